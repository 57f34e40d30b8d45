use std::error::Error as StdError;
use std::fmt;

use llm_types::{
    Accumulator, ChatChunk, ChatRequest, ChatResponse, ChunkChoice, ChunkSummary, Delta,
    ErrorResponse, Field, FinishReason, Logprobs, ParseError, RawObject, TokenLogprob, Usage,
};

use serde_json::Value;

use super::calls;
use super::check::{self, Kind};
use super::chunks::{
    Chunk, ChunkType, Inspection, Normalize, Normalizer, Seen, canonical, unexpected,
};
use super::parts;
use super::repair::repaired;
use super::{Accumulate, Endpoint, Request, StreamingRequest, params};
use crate::{Capability, Document, Metadata, ParamSpec, Result};

/// Chat completions.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct Chat;

impl Endpoint for Chat {
    fn capability(&self) -> Capability {
        Capability::Chat
    }

    fn path(&self) -> &'static str {
        "/v1/chat/completions"
    }

    fn check(&self, request: &Document) -> Result<()> {
        let object = check::members(request, MEMBERS)?;
        let mut messages = object.objects("messages").into_iter().flatten().peekable();
        if messages.peek().is_none() {
            let expected = "an array with at least one message";
            return Err(check::missing("messages", expected));
        }
        for (message, object) in messages.enumerate() {
            check_message(
                Place {
                    message,
                    part: None,
                },
                object,
            )?;
        }
        Ok(())
    }

    fn params(&self) -> &'static [ParamSpec] {
        params::CHAT
    }

    fn normalize(&self, request: &Document, reply: Document, _: &mut Metadata) -> Result<Document> {
        normalize(reply, is_single_call(request))
    }

    fn is_streamed(&self) -> bool {
        true
    }

    fn chunks(&self, request: &Document) -> Option<Box<dyn Normalize>> {
        let normalizer = Normalizer::<ChatChunk>::new(request);
        Some(Box::new(
            normalizer.with_single_call(is_single_call(request)),
        ))
    }

    fn split(&self, reply: Document) -> Result<Vec<Document>> {
        let reply: ChatResponse = reply.read().map_err(unexpected("a chat completion"))?;
        let chunks = reply.into_chunks(true);
        Ok(chunks.iter().map(Document::new).collect())
    }

    fn accumulator(&self) -> Option<Box<dyn Accumulate>> {
        Some(Box::new(Accumulator::default()))
    }
}

/// Whether the client forbids parallel calls. Not every upstream has the parameter, so all calls
/// after the first one are removed.
fn is_single_call(request: &Document) -> bool {
    request.get("parallel_tool_calls") == Some(b"false")
}

impl Request for ChatRequest {
    type Response = ChatResponse;
    const ENDPOINT: &'static dyn Endpoint = &Chat;
}

impl StreamingRequest for ChatRequest {
    type Chunk = ChatChunk;
}

impl Accumulate for Accumulator {
    fn push(&mut self, chunk: &Chunk) -> Result<()> {
        self.push(chunk.read()?);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Document {
        Document::new(&self.into_response())
    }
}

/// Normalizes a reply in one piece, as streams are normalized. Checking whether it has to be changed
/// copies nothing.
fn normalize(reply: Document, single_call: bool) -> Result<Document> {
    if is_normal(&reply, single_call).unwrap_or_default() {
        return Ok(reply);
    }
    if let Some(reply) = parts::joined(reply.bytes()) {
        return normalize(Document::from_bytes(reply), single_call);
    }
    let mut value: ChatResponse = match reply.read() {
        Ok(value) => value,
        Err(error) => match repaired(reply.bytes()) {
            Some(reply) => return normalize(Document::from_bytes(reply), single_call),
            None => return Err(unexpected("a chat completion")(error)),
        },
    };
    for choice in &mut value.choices {
        choice.finish_reason = canonical(choice.finish_reason.take(), &mut choice.extra);
        let message = &mut choice.message;
        share_reasoning(&message.reasoning, &mut message.reasoning_content);
        if let Field::Value(calls) = &mut message.tool_calls {
            if single_call {
                calls.truncate(1);
            }
            calls.iter_mut().for_each(calls::complete);
        }
        let text = message.text().unwrap_or_default();
        choice.logprobs = in_openai_shape(choice.logprobs.take(), &text);
        if let Field::Value(Logprobs::Content(logprobs)) = &mut choice.logprobs
            && message.reasoning_content.is_value()
        {
            keep_text(&mut logprobs.content, &text);
        }
    }
    Ok(Document::new(&value))
}

/// Removes the log probabilities of tokens before and after the text: replies in one piece of some
/// engines also have those of the reasoning and of the end token, unlike their streams.
fn keep_text(logprobs: &mut Field<Vec<TokenLogprob>>, text: &str) {
    let Field::Value(tokens) = logprobs else {
        return;
    };
    let all: String = tokens.iter().map(|token| token.token.as_str()).collect();
    let Some(start) = all.rfind(text).filter(|_| all.len() > text.len()) else {
        return;
    };
    let mut at = 0;
    tokens.retain(|token| {
        let begin = at;
        at += token.token.len();
        start <= begin && at <= start + text.len()
    });
}

/// A chunk that has only content passes unchanged. In other chunks, nulls on which clients fail are
/// removed, such as those in the ids of tool calls.
impl ChunkType for ChatChunk {
    fn inspect(data: &[u8], seen: &Seen) -> Result<Inspection, Box<dyn StdError + Send + Sync>> {
        let summary = ChunkSummary::parse(data)?;
        let is_empty = summary.choices == 0 && !summary.usage.is_value();
        if summary.error.is_some() || (is_empty && ErrorResponse::parse(data).is_some()) {
            return Ok(Inspection::Error);
        }
        let plain = summary.choices > 0
            && summary.finish_reason.is_none()
            && !summary.empty_finish_reason
            && !summary.usage.is_value()
            && !summary.tool_calls
            && !summary.null_calls
            && !summary.content_parts
            && summary.reasoning.is_none()
            && !seen.logprobs
            && !seen.several
            && !seen.any_finish();
        Ok(if plain {
            Inspection::Plain {
                has_output: summary.has_output(),
            }
        } else {
            Inspection::Differs
        })
    }

    fn take_usage(&mut self) -> Option<(Self, Usage)> {
        let usage = self.usage.take().into_value();
        let usage = usage.filter(Usage::has_counts)?;
        let alone = Self::new(&*self.id, self.created, &*self.model);
        Some((alone.with_usage(usage.clone()), usage))
    }

    fn normalize(&mut self, seen: &mut Seen) -> bool {
        self.drop_nulls();
        self.choices.retain_mut(|choice| keep(choice, seen));
        !self.choices.is_empty()
    }

    fn has_output(&self) -> bool {
        self.choices.iter().any(|choice| has_output(&choice.delta))
    }

    fn is_finish(&self) -> bool {
        let mut choices = self.choices.iter();
        choices.any(|choice| choice.finish_reason.is_value())
    }
}

/// Whether a delta has output.
fn has_output(delta: &Delta) -> bool {
    let adds = |text: &Field<String>| text.as_str().is_some_and(|text| !text.is_empty());
    adds(&delta.content)
        || adds(&delta.refusal)
        || adds(&delta.reasoning)
        || adds(&delta.reasoning_content)
        || delta
            .tool_calls
            .value()
            .is_some_and(|calls| !calls.is_empty())
        || delta.function_call.is_value()
        || OTHER_OUTPUT.iter().any(|name| {
            let value = delta.extra.get(*name);
            value.is_some_and(|value| !is_empty(value))
        })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Members of a delta with output that OpenAI's schema does not have, or as objects.
const OTHER_OUTPUT: &[&str] = &["audio", "images", "reasoning_details", "thinking"];

/// Normalizes a choice; `false` if it ended earlier and has no more output.
fn keep(choice: &mut ChunkChoice, seen: &mut Seen) -> bool {
    let delta = &mut choice.delta;
    share_reasoning(&delta.reasoning, &mut delta.reasoning_content);
    if let Field::Value(calls) = &mut delta.tool_calls {
        seen.calls.number(choice.index, calls);
        if seen.single_call {
            let first = seen.calls.first(choice.index);
            calls.retain(|call| first.is_none_or(|first| call.index == first));
            if calls.is_empty() {
                delta.tool_calls = Field::Absent;
            }
        }
    }
    let text = delta.content.as_str().unwrap_or_default();
    choice.logprobs = in_openai_shape(choice.logprobs.take(), text);
    let ended = seen.finish(choice.index, &mut choice.finish_reason, &mut choice.extra);
    !ended || has_output(&choice.delta)
}

/// Whether a reply may pass unchanged; an error if it cannot be read.
fn is_normal(response: &Document, single_call: bool) -> Result<bool, ParseError> {
    let Some(choices) = response.object()?.objects("choices") else {
        return Ok(false);
    };
    for choice in choices {
        let Ok(choice) = choice else {
            return Ok(false);
        };
        let Some(message) = choice.object("message") else {
            return Ok(false);
        };
        let is_canonical = choice.str("finish_reason").is_some_and(|reason| {
            let reason = FinishReason::from(&*reason);
            !reason.as_str().is_empty() && reason.clone().canonical() == reason
        });
        let has_parts = message
            .bytes("content")
            .is_some_and(|content| content.starts_with(b"["));
        let shares = !has(&message, "reasoning") || has(&message, "reasoning_content");
        let calls = message.objects("tool_calls").into_iter().flatten();
        let (mut count, mut complete) = (0_usize, true);
        for call in calls {
            count += 1;
            complete &= call.is_ok_and(|call| calls::is_complete(&call));
        }
        let calls_differ = !complete || (single_call && count > 1);
        if !is_canonical || has_parts || !shares || calls_differ || has(&choice, "logprobs") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has(object: &RawObject<'_>, key: &str) -> bool {
    object.bytes(key).is_some_and(|value| value != b"null")
}

/// Converts log probabilities of any shape to OpenAI's.
fn in_openai_shape(logprobs: Field<Logprobs>, text: &str) -> Field<Logprobs> {
    logprobs.map(|logprobs| {
        let mut logprobs = logprobs.into_openai(text);
        logprobs.refusal.fill_null();
        Logprobs::Content(logprobs)
    })
}

/// Adds reasoning under the name that OpenAI's clients know, besides the upstream's name.
fn share_reasoning(native: &Field<String>, known: &mut Field<String>) {
    if !known.is_value() && native.is_value() {
        *known = native.clone();
    }
}

fn check_message(place: Place, message: RawItem<'_>) -> Result<()> {
    let message = require_object(place, message)?;
    require_string(place, &message, "role")?;
    match message.bytes("content").map(Kind::of) {
        None | Some(Kind::String | Kind::Null) => Ok(()),
        Some(Kind::Array) => {
            for (index, part) in message.objects("content").into_iter().flatten().enumerate() {
                let place = Place {
                    part: Some(index),
                    ..place
                };
                require_string(place, &require_object(place, part)?, "type")?;
            }
            Ok(())
        }
        Some(found) => {
            let expected = "a string or an array of content parts";
            Err(check::wrong(&format!("{place}.content"), expected, found))
        }
    }
}

/// An object, or the text of an item that is not an object.
type RawItem<'a> = Result<RawObject<'a>, &'a str>;

fn require_object<'a>(place: Place, item: RawItem<'a>) -> Result<RawObject<'a>> {
    item.map_err(|found| {
        let expected = Kind::Object.to_string();
        check::wrong(&place.to_string(), &expected, Kind::of(found))
    })
}

fn require_string(place: Place, object: &RawObject<'_>, key: &str) -> Result<()> {
    match object.bytes(key).map(Kind::of) {
        Some(Kind::String) => Ok(()),
        Some(found) => Err(check::wrong(
            &format!("{place}.{key}"),
            &Kind::String.to_string(),
            found,
        )),
        None => Err(check::missing(&format!("{place}.{key}"), "a string")),
    }
}

/// The position of a message or of a part of its content; formatted only for an error.
#[derive(Clone, Copy)]
struct Place {
    message: usize,
    part: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "messages[{}]", self.message)?;
        self.part
            .map_or(Ok(()), |part| write!(f, ".content[{part}]"))
    }
}

/// Members that have the same type at every upstream.
const MEMBERS: &[(&str, Kind)] = &[
    ("messages", Kind::Array),
    ("frequency_penalty", Kind::Number),
    ("logit_bias", Kind::Object),
    ("max_completion_tokens", Kind::Number),
    ("max_tokens", Kind::Number),
    ("metadata", Kind::Object),
    ("n", Kind::Number),
    ("parallel_tool_calls", Kind::Bool),
    ("presence_penalty", Kind::Number),
    ("response_format", Kind::Object),
    ("seed", Kind::Number),
    ("temperature", Kind::Number),
    ("tools", Kind::Array),
    ("top_logprobs", Kind::Number),
    ("top_p", Kind::Number),
];
