//! The Messages and Responses APIs at upstreams that have them: bytes go through.

use std::borrow::Cow;

use bytes::Bytes;
use llm_types::{RawObject, Usage};
use serde::Deserialize;
use serde_json::json;

use super::Endpoint;
use super::check;
use super::chunks::{Chunk, Normalize, Step, unexpected};
use crate::{Capability, Document, Error, ErrorKind, Metadata, Result};

/// Anthropic's Messages API, unchanged. Most upstreams do not have it
/// ([`Capability::Messages`]).
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct NativeMessages;

/// OpenAI's Responses API, unchanged. Most upstreams do not have it
/// ([`Capability::Responses`]).
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct NativeResponses;

impl Endpoint for NativeMessages {
    fn capability(&self) -> Capability {
        Capability::Messages
    }

    fn path(&self) -> &'static str {
        "/v1/messages"
    }

    fn request_headers(&self) -> &'static [&'static str] {
        &["anthropic-version", "anthropic-beta"]
    }

    fn check(&self, request: &Document) -> Result<()> {
        check::members(request, &[]).map(drop)
    }

    fn normalize(&self, _: &Document, reply: Document, facts: &mut Metadata) -> Result<Document> {
        facts.usage = usage(&reply, "a message")?;
        Ok(reply)
    }

    fn is_streamed(&self) -> bool {
        true
    }

    fn chunks(&self, _: &Document) -> Option<Box<dyn Normalize>> {
        Some(Box::new(Events::default()))
    }
}

impl Endpoint for NativeResponses {
    fn capability(&self) -> Capability {
        Capability::Responses
    }

    fn path(&self) -> &'static str {
        "/v1/responses"
    }

    fn check(&self, request: &Document) -> Result<()> {
        check::members(request, &[]).map(drop)
    }

    fn normalize(&self, _: &Document, reply: Document, facts: &mut Metadata) -> Result<Document> {
        facts.usage = usage(&reply, "a response")?;
        Ok(reply)
    }

    fn is_streamed(&self) -> bool {
        true
    }

    fn chunks(&self, _: &Document) -> Option<Box<dyn Normalize>> {
        Some(Box::new(Events::default()))
    }
}

/// The usage of a reply, which is `what`.
fn usage(reply: &Document, what: &'static str) -> Result<Option<Box<Usage>>> {
    let usage = reply.read_member("usage").map_err(unexpected(what))?;
    Ok(usage.map(|usage: NativeUsage| Box::new(usage.into())))
}

/// The usage of both APIs. In Messages, cached tokens are not among the input tokens.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct NativeUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct InputDetails {
    cached_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct OutputDetails {
    #[serde(alias = "thinking_tokens")]
    reasoning_tokens: Option<u64>,
}

impl NativeUsage {
    /// Takes the counts of a later event, which replace the earlier ones.
    fn update(&mut self, later: Self) {
        for (count, later) in [
            (&mut self.input_tokens, later.input_tokens),
            (&mut self.output_tokens, later.output_tokens),
            (
                &mut self.cache_read_input_tokens,
                later.cache_read_input_tokens,
            ),
            (
                &mut self.cache_creation_input_tokens,
                later.cache_creation_input_tokens,
            ),
        ] {
            *count = later.or(*count);
        }
        self.input_tokens_details = later.input_tokens_details.or(self.input_tokens_details);
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details);
    }
}

impl From<NativeUsage> for Usage {
    fn from(native: NativeUsage) -> Self {
        let read = native.cache_read_input_tokens;
        let written = native.cache_creation_input_tokens;
        let outside = read.unwrap_or(0).saturating_add(written.unwrap_or(0));
        let prompt = native.input_tokens.unwrap_or(0).saturating_add(outside);
        let mut usage = Self::new(prompt, native.output_tokens.unwrap_or(0));
        let details = native.input_tokens_details;
        if let Some(cached) = read.or_else(|| details?.cached_tokens) {
            usage
                .extra
                .insert("cached_tokens".to_owned(), json!(cached));
        }
        let details = native.output_tokens_details;
        if let Some(reasoning) = details.and_then(|details| details.reasoning_tokens) {
            usage
                .extra
                .insert("reasoning_tokens".to_owned(), json!(reasoning));
        }
        usage
    }
}

/// Finds the output, the usage and the end in the events of a stream.
#[derive(Debug, Default)]
struct Events {
    usage: NativeUsage,
    has_ended: bool,
}

/// The members of events that have the usage.
#[derive(Deserialize)]
struct Reported {
    usage: Option<NativeUsage>,
    #[serde(alias = "response")]
    message: Option<Nested>,
}

#[derive(Deserialize)]
struct Nested {
    usage: Option<NativeUsage>,
}

impl Events {
    fn count(&mut self, data: &[u8]) {
        // Usage of another form is not counted.
        let Ok(reported) = serde_json::from_slice::<Reported>(data) else {
            return;
        };
        let nested = reported.message.and_then(|nested| nested.usage);
        for usage in [nested, reported.usage].into_iter().flatten() {
            self.usage.update(usage);
        }
    }
}

impl Normalize for Events {
    fn read(&mut self, data: &Bytes) -> Result<Step> {
        let event = RawObject::parse(data).map_err(|error| {
            let message = "the upstream sent an event that is not a JSON object";
            Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
        })?;
        let name = event.str("type").unwrap_or(Cow::Borrowed(""));
        if name == "error" {
            return Err(in_stream(data, &event));
        }
        let has_output = name.ends_with("delta") && name != "message_delta";
        let is_finish = ENDS.contains(&&*name);
        if is_finish || USAGE.contains(&&*name) {
            self.count(data);
        }
        self.has_ended |= is_finish;
        let chunk = Chunk::new(Document::from_bytes(data.clone()));
        let chunk = chunk.with_output(has_output).with_finish(is_finish);
        Ok(Step::Chunk(match is_finish {
            true => chunk.with_usage(self.usage.into()),
            false => chunk,
        }))
    }

    fn end(&mut self, _: bool) -> Result<Option<Chunk>> {
        if self.has_ended {
            return Ok(None);
        }
        let message = "the upstream ended its stream before the reply was complete";
        Err(Error::new(ErrorKind::Transport, message))
    }
}

/// The error of an event; that of Responses has no envelope.
fn in_stream(data: &Bytes, event: &RawObject<'_>) -> Error {
    let error = Error::in_stream(data);
    match event.str("message") {
        Some(message) if !event.contains_key("error") => {
            let code = event.str("code").map(Cow::into_owned);
            error.with_message(message.into_owned()).with_code(code)
        }
        _ => error,
    }
}

/// The last events.
const ENDS: [&str; 4] = [
    "message_stop",
    "response.completed",
    "response.failed",
    "response.incomplete",
];
/// Further events with usage.
const USAGE: [&str; 2] = ["message_start", "message_delta"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(events: &[&str]) -> (Vec<Chunk>, Result<Option<Chunk>>) {
        let mut normalizer = Events::default();
        let chunks = events.iter().map(|event| {
            let event = Bytes::copy_from_slice(event.as_bytes());
            match normalizer.read(&event).unwrap() {
                Step::Chunk(chunk) => {
                    assert_eq!(chunk.bytes(), &event, "bytes go through");
                    chunk
                }
                Step::Skip => panic!("an event was skipped"),
            }
        });
        let chunks = chunks.collect();
        let end = normalizer.end(false);
        (chunks, end)
    }

    #[test]
    fn the_usage_of_messages_is_cumulative_and_counts_the_cache() {
        let (chunks, end) = read(&[
            r#"{"type":"message_start","message":{"usage":{"input_tokens":3,"cache_read_input_tokens":5,"output_tokens":0}}}"#,
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"Hi"}}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}"#,
            r#"{"type":"message_stop"}"#,
        ]);
        assert!(end.unwrap().is_none());
        let output: Vec<_> = chunks.iter().map(Chunk::has_output).collect();
        assert_eq!(output, [false, true, false, false]);
        let usage = chunks[3].usage().unwrap();
        assert_eq!(
            (usage.prompt(), usage.completion(), usage.cached()),
            (8, 7, Some(5))
        );
    }

    #[test]
    fn the_usage_of_responses_is_that_of_the_last_event() {
        let (chunks, end) = read(&[
            r#"{"type":"response.created","response":{"usage":null}}"#,
            r#"{"type":"response.output_text.delta","delta":"Hi"}"#,
            r#"{"type":"response.completed","response":{"usage":{"input_tokens":8,"input_tokens_details":{"cached_tokens":2},"output_tokens":4,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":12}}}"#,
        ]);
        assert!(end.unwrap().is_none());
        assert!(chunks[1].has_output());
        let usage = chunks[2].usage().unwrap();
        assert_eq!((usage.prompt(), usage.completion()), (8, 4));
        assert_eq!((usage.cached(), usage.reasoning()), (Some(2), Some(1)));
    }

    #[test]
    fn an_error_event_and_an_early_end_are_errors() {
        let (_, end) = read(&[r#"{"type":"response.created"}"#]);
        assert_eq!(end.unwrap_err().kind(), ErrorKind::Transport);
        for event in [
            r#"{"type":"error","code":"overloaded","message":"busy","param":null}"#,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#,
        ] {
            let error = Events::default().read(&Bytes::from_static(event.as_bytes()));
            assert!(error.unwrap_err().message().contains("busy"), "{event}");
        }
    }
}
