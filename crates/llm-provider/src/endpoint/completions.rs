use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error as StdError;

use llm_types::completions::{CompletionChoice, CompletionRequest, CompletionResponse};
use llm_types::{ErrorResponse, Field, FinishReason, Logprobs, Usage};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::check::{self, Kind};
use super::chunks::{
    Chunk, ChunkType, Inspection, Normalize, Normalizer, Seen, canonical, unexpected,
};
use super::repair::repaired;
use super::{Accumulate, Endpoint, Request, StreamingRequest, params};
use crate::{Capability, Document, Metadata, ParamSpec, Result};

/// Text completions.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct Completions;

impl Endpoint for Completions {
    fn capability(&self) -> Capability {
        Capability::Completions
    }

    fn path(&self) -> &'static str {
        "/v1/completions"
    }

    fn check(&self, request: &Document) -> Result<()> {
        check::texts(&check::members(request, MEMBERS)?, "prompt")
    }

    fn params(&self) -> &'static [ParamSpec] {
        params::COMPLETIONS
    }

    fn normalize(&self, _: &Document, reply: Document, _: &mut Metadata) -> Result<Document> {
        normalize(reply)
    }

    fn is_streamed(&self) -> bool {
        true
    }

    fn chunks(&self, request: &Document) -> Option<Box<dyn Normalize>> {
        Some(Box::new(Normalizer::<CompletionResponse>::new(request)))
    }

    fn accumulator(&self) -> Option<Box<dyn Accumulate>> {
        Some(Box::new(CompletionAccumulator::default()))
    }
}

impl Request for CompletionRequest {
    type Response = CompletionResponse;
    const ENDPOINT: &'static dyn Endpoint = &Completions;
}

impl StreamingRequest for CompletionRequest {
    type Chunk = CompletionResponse;
}

/// Normalizes a reply in one piece.
fn normalize(reply: Document) -> Result<Document> {
    let head: Head<'_> = match serde_json::from_slice(reply.bytes()) {
        Ok(head) => head,
        Err(error) => match repaired(reply.bytes()) {
            Some(reply) => return normalize(Document::from_bytes(reply)),
            None => return Err(unexpected(WHAT)(error)),
        },
    };
    let choices = head.choices.as_deref().unwrap_or_default();
    let differs = choices.is_empty() || choices.iter().any(ChoiceHead::differs);
    if head.is_openai() && !differs {
        return Ok(reply);
    }
    let mut value: CompletionResponse = reply.read().map_err(unexpected(WHAT))?;
    OBJECT.clone_into(&mut value.object);
    for choice in &mut value.choices {
        choice.finish_reason = canonical(choice.finish_reason.take(), &mut choice.extra);
        shape_logprobs(choice);
    }
    Ok(Document::new(&value))
}

impl ChunkType for CompletionResponse {
    fn inspect(data: &[u8], seen: &Seen) -> Result<Inspection, Box<dyn StdError + Send + Sync>> {
        let head: Head<'_> = serde_json::from_slice(data)?;
        let choices = head.choices.as_deref().unwrap_or_default();
        let is_empty = choices.is_empty() && head.usage.is_none() && head.token.is_none();
        if head.error.is_some() || (is_empty && ErrorResponse::parse(data).is_some()) {
            return Ok(Inspection::Error);
        }
        let is_piece = |choice: &ChoiceHead<'_>| {
            choice.finish_reason.is_none() && choice.delta.is_none() && !choice.differs()
        };
        let plain = head.is_openai()
            && head.usage.is_none()
            && !choices.is_empty()
            && choices.iter().all(is_piece)
            && !seen.several
            && !seen.any_finish();
        Ok(if plain {
            Inspection::Plain {
                has_output: choices.iter().any(ChoiceHead::has_text),
            }
        } else {
            Inspection::Differs
        })
    }

    fn take_usage(&mut self) -> Option<(Self, Usage)> {
        let usage = self.usage.take().into_value();
        let usage = usage.filter(Usage::has_counts)?;
        let mut alone = Self::new(&*self.id, self.created, "").with_usage(usage.clone());
        alone.model = self.model.clone();
        Some((alone, usage))
    }

    fn normalize(&mut self, seen: &mut Seen) -> bool {
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

    fn has_output(&self) -> bool {
        self.choices.iter().any(|choice| !choice.text.is_empty())
    }

    fn is_finish(&self) -> bool {
        let mut choices = self.choices.iter();
        choices.any(|choice| choice.finish_reason.is_value())
    }
}

/// Moves Together's `token` and `finish_reason`, which are beside `choices`, into the only choice.
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

/// Converts log probabilities of any shape to that of OpenAI's completions.
fn shape_logprobs(choice: &mut CompletionChoice) {
    let text = choice.text.as_str();
    choice.logprobs = choice
        .logprobs
        .take()
        .map(|logprobs| Logprobs::Tokens(logprobs.into_tokens(text)));
    choice.logprobs.fill_null();
}

/// The members of a reply or a chunk that decide whether it has to be rewritten.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    object: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Option<Vec<ChoiceHead<'a>>>,
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
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
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
    fn has_text(&self) -> bool {
        self.text.as_deref().is_some_and(|text| !text.is_empty())
    }

    fn differs(&self) -> bool {
        let canonical = self.finish_reason.as_deref().is_none_or(|reason| {
            let reason = FinishReason::from(reason);
            !reason.as_str().is_empty() && reason.clone().canonical() == reason
        });
        !canonical || self.index.is_none() || self.logprobs.is_some()
    }
}

/// Joins the chunks of a stream into a reply.
#[derive(Default)]
struct CompletionAccumulator {
    response: Option<CompletionResponse>,
    choices: BTreeMap<u32, CompletionChoice>,
}

impl Accumulate for CompletionAccumulator {
    fn push(&mut self, chunk: &Chunk) -> Result<()> {
        let mut chunk: CompletionResponse = chunk.read()?;
        for more in std::mem::take(&mut chunk.choices) {
            match self.choices.get_mut(&more.index) {
                Some(choice) => append(choice, more),
                None => drop(self.choices.insert(more.index, more)),
            }
        }
        match &mut self.response {
            Some(response) if chunk.usage.is_value() => response.usage = chunk.usage,
            Some(_) => {}
            None => self.response = Some(chunk),
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Document {
        let empty = || CompletionResponse::new("", 0_u64, "");
        let mut response = self.response.unwrap_or_else(empty);
        response.choices = self.choices.into_values().collect();
        Document::new(&response)
    }
}

fn append(choice: &mut CompletionChoice, more: CompletionChoice) {
    let text = std::mem::take(&mut choice.text);
    choice.logprobs = match (choice.logprobs.take(), more.logprobs) {
        (Field::Value(logprobs), Field::Value(others)) => {
            Field::Value(logprobs.append(&text, others, &more.text))
        }
        (logprobs, others) if others.is_value() || logprobs.is_absent() => others,
        (logprobs, _) => logprobs,
    };
    choice.text = text + &more.text;
    if more.finish_reason.is_value() {
        choice.finish_reason = more.finish_reason;
    }
    choice.extra.extend(more.extra);
}

const OBJECT: &str = "text_completion";
const WHAT: &str = "a text completion";

/// Members that have the same type at every upstream.
const MEMBERS: &[(&str, Kind)] = &[
    ("best_of", Kind::Number),
    ("echo", Kind::Bool),
    ("frequency_penalty", Kind::Number),
    ("logit_bias", Kind::Object),
    ("max_tokens", Kind::Number),
    ("n", Kind::Number),
    ("presence_penalty", Kind::Number),
    ("seed", Kind::Number),
    ("suffix", Kind::String),
    ("temperature", Kind::Number),
    ("top_p", Kind::Number),
];
