use std::borrow::Cow;

use llm_types::{ChatResponse, Field, FinishReason};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Json, Result};

/// Evens out a whole answer as streams are evened out; one that needs nothing keeps its bytes,
/// and is looked at without being copied.
pub(super) fn normalize(response: Json<ChatResponse>) -> Result<Json<ChatResponse>> {
    let head: Head<'_> = serde_json::from_slice(response.bytes()).map_err(unexpected)?;
    if !head.choices.iter().any(ChoiceHead::differs) {
        return Ok(response);
    }
    let mut value = response.into_value().map_err(unexpected)?;
    for choice in &mut value.choices {
        choice.finish_reason = canonical(choice.finish_reason.take(), &mut choice.extra);
        let message = &mut choice.message;
        share_reasoning(&message.reasoning, &mut message.reasoning_content);
    }
    Ok(Json::from_value(value))
}

/// What of an answer tells whether it has to be rewritten.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    choices: Vec<ChoiceHead<'a>>,
}

#[derive(Deserialize)]
struct ChoiceHead<'a> {
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    message: MessageHead,
}

#[derive(Default, Deserialize)]
struct MessageHead {
    #[serde(default)]
    reasoning: Option<IgnoredAny>,
    #[serde(default)]
    reasoning_content: Option<IgnoredAny>,
}

impl ChoiceHead<'_> {
    fn differs(&self) -> bool {
        let canonical = self.finish_reason.as_deref().is_none_or(|reason| {
            let reason = FinishReason::from(reason);
            !reason.as_str().is_empty() && reason.clone().canonical() == reason
        });
        let shared = self.message.reasoning.is_none() || self.message.reasoning_content.is_some();
        !canonical || !shared
    }
}

fn unexpected(error: serde_json::Error) -> Error {
    let message = "the upstream answered with something that is not a chat completion";
    Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
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
