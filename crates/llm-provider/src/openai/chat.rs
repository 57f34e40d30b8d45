use std::error::Error as StdError;

use llm_types::{
    ChatChunk, ChatResponse, ChunkChoice, ChunkSummary, ErrorResponse, Field, FinishReason,
    Logprobs, ParseError, RawObject,
};

use super::exchange::unexpected;
use super::stream::{Glance, Seen, WireChunk, canonical};
use crate::{Error, Json, Result};

/// Evens out a whole answer as streams are evened out; one that needs nothing keeps its bytes,
/// and is looked at without being copied.
pub(super) fn normalize(response: Json<ChatResponse>) -> Result<Json<ChatResponse>> {
    if is_even(&response).unwrap_or_default() {
        return Ok(response);
    }
    let mut value = response.into_value().map_err(no_chat)?;
    for choice in &mut value.choices {
        choice.finish_reason = canonical(choice.finish_reason.take(), &mut choice.extra);
        let message = &mut choice.message;
        share_reasoning(&message.reasoning, &mut message.reasoning_content);
        let text = message.text().unwrap_or_default();
        choice.logprobs = in_openai_shape(choice.logprobs.take(), &text);
    }
    Ok(Json::from_value(value))
}

/// A chunk that says nothing but content passes. In the others nulls are left out that clients
/// break on, as in the ids of tool calls.
impl WireChunk for ChatChunk {
    fn glance(data: &[u8], seen: &Seen) -> Result<Glance, Box<dyn StdError + Send + Sync>> {
        let summary = ChunkSummary::parse(data)?;
        let is_empty = summary.choices == 0 && !summary.usage.is_value();
        if summary.error.is_some() || (is_empty && ErrorResponse::parse(data).is_some()) {
            return Ok(Glance::Error);
        }
        let plain = summary.choices > 0
            && summary.finish_reason.is_none()
            && !summary.usage.is_value()
            && !summary.tool_calls
            && summary.reasoning.is_none()
            && !seen.logprobs
            && !seen.any_finish();
        Ok(if plain {
            Glance::Plain
        } else {
            Glance::Differs
        })
    }

    fn take_usage(&mut self) -> Option<Self> {
        let usage = self.usage.take().into_value()?;
        Some(Self::new(&*self.id, self.created, &*self.model).with_usage(usage))
    }

    fn even_out(&mut self, seen: &mut Seen) -> bool {
        self.drop_nulls();
        self.choices.retain_mut(|choice| keep(choice, seen));
        !self.choices.is_empty()
    }
}

/// Evens out a choice; `false` when nothing is left to say of one that has ended.
fn keep(choice: &mut ChunkChoice, seen: &mut Seen) -> bool {
    let delta = &mut choice.delta;
    share_reasoning(&delta.reasoning, &mut delta.reasoning_content);
    let text = delta.content.as_str().unwrap_or_default();
    choice.logprobs = in_openai_shape(choice.logprobs.take(), text);
    let ended = seen.finish(choice.index, &mut choice.finish_reason, &mut choice.extra);
    let delta = &choice.delta;
    let says = |text: &Field<String>| text.as_str().is_some_and(|text| !text.is_empty());
    !ended
        || says(&delta.content)
        || says(&delta.refusal)
        || says(&delta.reasoning_content)
        || delta
            .tool_calls
            .value()
            .is_some_and(|calls| !calls.is_empty())
}

/// Whether a whole answer may pass as it is; an error for one that cannot be read.
fn is_even(response: &Json<ChatResponse>) -> Result<bool, ParseError> {
    let Some(choices) = response.object()?.objects("choices") else {
        return Ok(false);
    };
    for choice in choices {
        let Ok(choice) = choice else {
            return Ok(false);
        };
        let message = choice.get("message").map(RawObject::parse_str);
        let Some(message) = message.transpose()? else {
            return Ok(false);
        };
        let is_canonical = choice.str("finish_reason").is_some_and(|reason| {
            let reason = FinishReason::from(&*reason);
            !reason.as_str().is_empty() && reason.clone().canonical() == reason
        });
        let shares = !has(&message, "reasoning") || has(&message, "reasoning_content");
        if !is_canonical || !shares || has(&choice, "logprobs") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has(object: &RawObject<'_>, key: &str) -> bool {
    object.bytes(key).is_some_and(|value| value != b"null")
}

/// Log probabilities in OpenAI's shape, whichever they came in.
fn in_openai_shape(logprobs: Field<Logprobs>, text: &str) -> Field<Logprobs> {
    logprobs.map(|logprobs| {
        let mut logprobs = logprobs.into_openai(text);
        logprobs.refusal.fill_null();
        Logprobs::Content(logprobs)
    })
}

/// Gives thinking the name that OpenAI's clients know, beside the one it came under.
fn share_reasoning(native: &Field<String>, known: &mut Field<String>) {
    if known.is_absent() && native.is_value() {
        *known = native.clone();
    }
}

fn no_chat(error: serde_json::Error) -> Error {
    unexpected("a chat completion", error)
}
