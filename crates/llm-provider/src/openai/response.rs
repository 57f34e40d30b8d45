use llm_types::{ChatResponse, Field, FinishReason};
use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Json, Result};

/// Evens out a whole answer as streams are evened out; one that needs nothing keeps its bytes.
pub(super) fn normalize(response: Json<ChatResponse>) -> Result<Json<ChatResponse>> {
    let original = response.value().map_err(|error| {
        let message = "the upstream answered with something that is not a chat completion";
        Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
    })?;
    let mut value = original.clone();
    for choice in &mut value.choices {
        choice.finish_reason = canonical(choice.finish_reason.take(), &mut choice.extra);
        let message = &mut choice.message;
        share_reasoning(&message.reasoning, &mut message.reasoning_content);
    }
    Ok(if value == *original {
        response
    } else {
        Json::from_value(value)
    })
}

/// OpenAI's name of a finish reason; an engine's own name is kept beside it, and the empty
/// string is none.
pub(super) fn canonical(
    reason: Field<FinishReason>,
    extra: &mut Map<String, Value>,
) -> Field<FinishReason> {
    let Field::Value(native) = reason else {
        return reason;
    };
    if native.as_str().is_empty() {
        return Field::Null;
    }
    let canonical = native.clone().canonical();
    if canonical != native {
        extra.insert(FinishReason::NATIVE.to_owned(), native.as_str().into());
    }
    Field::Value(canonical)
}

/// Gives thinking the name that OpenAI's clients know, beside the one it came under.
pub(super) fn share_reasoning(native: &Field<String>, known: &mut Field<String>) {
    if known.is_absent() && native.is_value() {
        *known = native.clone();
    }
}
