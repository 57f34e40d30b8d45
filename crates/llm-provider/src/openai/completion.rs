use std::borrow::Cow;
use std::error::Error as StdError;

use llm_types::completions::{CompletionChoice, CompletionResponse};
use llm_types::{ErrorResponse, Field, FinishReason, Logprobs};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::exchange::unexpected;
use super::stream::{Glance, Seen, WireChunk, canonical};
use crate::{Error, Json, Result};

/// Evens out a whole answer; one that is OpenAI's already keeps its bytes.
pub(super) fn normalize(response: Json<CompletionResponse>) -> Result<Json<CompletionResponse>> {
    let head: Head<'_> = serde_json::from_slice(response.bytes()).map_err(no_completion)?;
    let differs = head.choices.is_empty() || head.choices.iter().any(ChoiceHead::differs);
    if head.is_openai() && !differs {
        return Ok(response);
    }
    let mut value = response.into_value().map_err(no_completion)?;
    OBJECT.clone_into(&mut value.object);
    for choice in &mut value.choices {
        choice.finish_reason = canonical(choice.finish_reason.take(), &mut choice.extra);
        shape_logprobs(choice);
    }
    Ok(Json::from_value(value))
}

impl WireChunk for CompletionResponse {
    fn glance(data: &[u8], seen: &Seen) -> Result<Glance, Box<dyn StdError + Send + Sync>> {
        let head: Head<'_> = serde_json::from_slice(data)?;
        let is_empty = head.choices.is_empty() && head.usage.is_none() && head.token.is_none();
        if head.error.is_some() || (is_empty && ErrorResponse::parse(data).is_some()) {
            return Ok(Glance::Error);
        }
        let is_piece = |choice: &ChoiceHead<'_>| {
            choice.finish_reason.is_none() && choice.delta.is_none() && !choice.differs()
        };
        let plain = head.is_openai()
            && head.usage.is_none()
            && !head.choices.is_empty()
            && head.choices.iter().all(is_piece)
            && !seen.any_finish();
        Ok(if plain {
            Glance::Plain
        } else {
            Glance::Differs
        })
    }

    fn take_usage(&mut self) -> Option<Self> {
        let usage = self.usage.take().into_value()?;
        let mut alone = Self::new(&*self.id, self.created, "").with_usage(usage);
        alone.model = self.model.clone();
        Some(alone)
    }

    fn even_out(&mut self, seen: &mut Seen) -> bool {
        OBJECT.clone_into(&mut self.object);
        spread_token(self);
        self.choices.retain_mut(|choice| {
            // The text may be in a delta alone, as in chats.
            let delta = choice.extra.shift_remove("delta");
            if choice.text.is_empty()
                && let Some(text) = delta.as_ref().and_then(|delta| delta["content"].as_str())
            {
                text.clone_into(&mut choice.text);
            }
            shape_logprobs(choice);
            let ended = seen.finish(choice.index, &mut choice.finish_reason, &mut choice.extra);
            !ended || !choice.text.is_empty()
        });
        !self.choices.is_empty()
    }
}

/// Together's schema has one `token`, and beside the choices what belongs to the only one.
fn spread_token(chunk: &mut CompletionResponse) {
    let extra = &mut chunk.extra;
    let token = extra.shift_remove("token");
    let reason = extra.shift_remove("finish_reason");
    let reason = reason.as_ref().and_then(Value::as_str);
    if chunk.choices.is_empty() && (token.is_some() || reason.is_some()) {
        let text = token.as_ref().filter(|token| token["special"] != true);
        let text = text.and_then(|token| token["text"].as_str());
        let choice = CompletionChoice::new(0, text.unwrap_or_default(), None);
        chunk.choices.push(choice);
    }
    for choice in &mut chunk.choices {
        if let Some(reason) = reason.filter(|_| !choice.finish_reason.is_value()) {
            choice.finish_reason = Field::Value(FinishReason::from(reason));
        }
    }
}

/// Log probabilities in the shape of OpenAI's completions, whichever they came in.
fn shape_logprobs(choice: &mut CompletionChoice) {
    let text = choice.text.as_str();
    choice.logprobs = choice
        .logprobs
        .take()
        .map(|logprobs| Logprobs::Tokens(logprobs.into_tokens(text)));
    choice.logprobs.fill_null();
}

/// What of an answer or a chunk tells whether it has to be rewritten.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    object: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Vec<ChoiceHead<'a>>,
    #[serde(default)]
    usage: Option<IgnoredAny>,
    #[serde(default)]
    error: Option<IgnoredAny>,
    #[serde(default)]
    token: Option<IgnoredAny>,
    #[serde(default)]
    finish_reason: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct ChoiceHead<'a> {
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    index: Option<IgnoredAny>,
    #[serde(default)]
    logprobs: Option<IgnoredAny>,
    #[serde(default)]
    delta: Option<IgnoredAny>,
}

impl Head<'_> {
    fn is_openai(&self) -> bool {
        self.object.as_deref() == Some(OBJECT)
            && self.token.is_none()
            && self.finish_reason.is_none()
    }
}

impl ChoiceHead<'_> {
    fn differs(&self) -> bool {
        let canonical = self.finish_reason.as_deref().is_none_or(|reason| {
            let reason = FinishReason::from(reason);
            !reason.as_str().is_empty() && reason.clone().canonical() == reason
        });
        !canonical || self.index.is_none() || self.logprobs.is_some()
    }
}

fn no_completion(error: serde_json::Error) -> Error {
    unexpected("a text completion", error)
}

const OBJECT: &str = "text_completion";
