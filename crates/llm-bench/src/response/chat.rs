use std::borrow::Cow;
use std::fmt;

use http::response;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use sse_codec::{Decoder, Event};

use crate::client::ResponseSink;
use crate::record::FailureKind;
use crate::response::head::message_in;
use crate::response::{ResponseHead, StreamState, Usage, events};
use crate::text_api::TextApi;

/// A streamed text.
#[derive(Debug)]
pub(crate) struct TextResponse {
    pub(crate) head: ResponseHead,
    pub(crate) stream: StreamState,
    decoder: Decoder,
    take: fn(&mut StreamState, Event<'_>, u64),
}

impl TextResponse {
    pub(crate) fn new(api: TextApi, keep_text: bool) -> Self {
        Self {
            head: ResponseHead::default(),
            stream: StreamState::new(keep_text),
            decoder: Decoder::new(),
            take: match api {
                TextApi::Chat | TextApi::Completions => take,
                TextApi::Messages => events::take_message,
                TextApi::Responses => events::take_response,
            },
        }
    }

    /// Ends the body: the last event may lack its blank line.
    pub(crate) fn finish(&mut self, at: u64) {
        if !self.head.is_success() {
            return;
        }
        if !self.head.is_event_stream {
            let message = "the response is not an event stream";
            self.stream.fail(FailureKind::Protocol, message);
            return;
        }
        match self.decoder.finish() {
            Some(Ok(event)) => (self.take)(&mut self.stream, event, at),
            Some(Err(error)) => self.stream.fail(FailureKind::Protocol, error.to_string()),
            None => {}
        }
        let stream = &mut self.stream;
        if stream.failure.is_some() {
            return;
        }
        // Some servers omit `[DONE]`; a finish reason is enough.
        if !stream.done && stream.finish_reason.is_none() {
            let message = "the stream ended before the output was complete";
            stream.fail(FailureKind::Disconnected, message);
        } else if stream.chunks.is_empty() {
            stream.fail(FailureKind::Empty, "the response has no tokens");
        }
    }
}

impl ResponseSink for TextResponse {
    fn head(&mut self, head: &response::Parts) {
        self.head.read(head);
    }

    fn data(&mut self, data: &[u8], at: u64) -> bool {
        if !self.head.body(data) || !self.head.is_event_stream {
            return self.head.is_within_limit();
        }
        let (stream, take) = (&mut self.stream, self.take);
        if let Err(error) = self.decoder.feed(data, |event| take(stream, event, at)) {
            stream.fail(FailureKind::Protocol, error.to_string());
        }
        self.head.is_within_limit() && stream.is_open()
    }
}

fn take(stream: &mut StreamState, event: Event<'_>, at: u64) {
    let data = event.data();
    if data == b"[DONE]" {
        stream.done = true;
        return;
    }
    let no_chunk =
        |error: &dyn fmt::Display| format!("an event is not a chat completion chunk: {error}");
    // Validated once as a whole instead of per string. Some engines cut characters in two.
    let text = String::from_utf8_lossy(data);
    let chunk: WireChunk<'_> = match serde_json::from_str(&text) {
        Ok(chunk) => chunk,
        Err(error) => return stream.fail(FailureKind::Protocol, no_chunk(&error)),
    };
    let choices = chunk.choices;
    if choices.weight > 0 {
        stream.token(at, &choices.text, choices.weight);
    }
    if choices.has_output {
        stream.output(at);
    }
    if let Some(reason) = choices.finish_reason {
        stream.finish_reason = Some(reason.into_owned());
    }
    if let Some(usage) = chunk.usage {
        stream.usage = usage.into();
    }
    if let Some(error) = chunk.error {
        let body = Value::Object([("error".to_owned(), error)].into_iter().collect());
        let message = message_in(&body).unwrap_or_else(|| "an error without a message".to_owned());
        stream.fail(FailureKind::InStream, message);
    }
}

/// The measured members; the rest of a chunk is skipped without building values.
#[derive(Deserialize)]
struct WireChunk<'a> {
    #[serde(borrow, default)]
    choices: Choices<'a>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    error: Option<Value>,
}

/// All choices of a chunk in one, since only their sums are needed.
#[derive(Default)]
struct Choices<'a> {
    weight: usize,
    /// Whether there is more than reasoning.
    has_output: bool,
    /// Content only, which a next turn repeats.
    text: Cow<'a, str>,
    finish_reason: Option<Cow<'a, str>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ChoicesVisitor)
    }
}

struct ChoicesVisitor;

impl<'de> Visitor<'de> for ChoicesVisitor {
    type Value = Choices<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of choices")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Choices::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut all = Choices::default();
        while let Some(choice) = seq.next_element::<Choice<'de>>()? {
            let delta = choice.delta.unwrap_or_default();
            // Together repeats a chunk's text beside its delta; legacy completions have only that.
            let Text(content) = delta.content.or(choice.text).unwrap_or_default();
            let length = |texts: [Option<Text<'_>>; 2]| {
                let texts = texts.into_iter().flatten();
                texts.map(|Text(text)| text.len()).sum::<usize>()
            };
            let output = content.len()
                + length([delta.refusal, None])
                + delta.tool_calls.0
                + usize::from(delta.function_call.is_some());
            all.weight += output + length([delta.reasoning, delta.reasoning_content]);
            all.has_output |= output > 0;
            if all.text.is_empty() {
                all.text = content;
            }
            let reason = choice.finish_reason.map(|Text(reason)| reason);
            all.finish_reason = all.finish_reason.or(reason);
        }
        Ok(all)
    }
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
}

/// All channels of tokens.
#[derive(Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(default)]
    tool_calls: JsonLength,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
}

/// Borrowed if nothing is escaped; serde copies a `Cow` inside an `Option`.
#[derive(Default, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The length of the JSON of tool calls in bytes: names and arguments are tokens, too.
#[derive(Default)]
struct JsonLength(usize);

impl<'de> Deserialize<'de> for JsonLength {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: Option<&serde_json::value::RawValue> = Option::deserialize(deserializer)?;
        let length = raw.map_or(0, |raw| raw.get().len());
        // `[]` has no tokens.
        Ok(Self(if length > 2 { length } else { 0 }))
    }
}

#[derive(Deserialize)]
pub(crate) struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    completion_tokens_details: Option<CompletionDetails>,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        let counts = [
            wire.prompt_tokens,
            wire.completion_tokens,
            wire.total_tokens,
        ];
        // Engines that do not count send zeros.
        if counts
            .iter()
            .all(|count| count.is_none_or(|count| count == 0))
        {
            return Self::default();
        }
        let output = wire.completion_tokens;
        Self {
            // Embeddings and rerank may report only a total, which is all input.
            input: wire.prompt_tokens.or(match output {
                None | Some(0) => wire.total_tokens,
                Some(_) => None,
            }),
            output,
            reasoning: wire
                .completion_tokens_details
                .and_then(|details| details.reasoning_tokens)
                .or(wire.reasoning_tokens),
            cached_input: wire
                .prompt_tokens_details
                .and_then(|details| details.cached_tokens)
                .or(wire.cached_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(events: &str) -> TextResponse {
        let mut answer = TextResponse::new(TextApi::Chat, true);
        let head = http::Response::builder()
            .header("content-type", "text/event-stream; charset=utf-8")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        answer.head(&head);
        for (at, event) in (1..).zip(events.split_inclusive("\n\n")) {
            answer.data(event.as_bytes(), at);
        }
        answer.finish(99);
        answer
    }

    #[test]
    fn the_first_token_may_come_by_any_channel() {
        for delta in [
            r#"{"reasoning":"hm"}"#,
            r#"{"reasoning_content":"hm"}"#,
            r#"{"content":"hi"}"#,
            r#"{"refusal":"no"}"#,
            r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}"#,
            r#"{"function_call":{"name":"f"}}"#,
        ] {
            let events = format!(
                "data: {{\"choices\":[{{\"delta\":{{\"role\":\"assistant\",\"content\":\"\",\
                 \"tool_calls\":[]}}}}]}}\n\ndata: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n\
                 data: [DONE]\n\n"
            );
            let answer = answer(&events);
            assert_eq!(answer.stream.failure, None, "{delta}");
            let at: Vec<_> = answer.stream.chunks.iter().map(|chunk| chunk.at).collect();
            assert_eq!(at, [2], "{delta}");
            let reasons = delta.contains("reasoning");
            assert_eq!(answer.stream.first_output.is_none(), reasons, "{delta}");
        }
    }

    #[test]
    fn the_first_output_comes_after_reasoning() {
        let delta = |delta: &str| format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
        let answer = answer(&format!(
            "{}{}{}{}data: [DONE]\n\n",
            delta(r#"{"role":"assistant","content":""}"#),
            delta(r#"{"reasoning":"hm","content":""}"#),
            delta(r#"{"content":"a"}"#),
            delta(r#"{"content":"b"}"#),
        ));
        let at: Vec<_> = answer.stream.chunks.iter().map(|chunk| chunk.at).collect();
        assert_eq!((at, answer.stream.first_output), (vec![2, 3, 4], Some(3)));
    }

    #[test]
    fn text_usage_and_finish_reason_are_kept() {
        let answer = answer(
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\\n\"},\"text\":\"a\\n\"}]}\n\n\
             : comment\n\n\
             data: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}],\
             \"usage\":null}\n\n\
             data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\
             \"completion_tokens_details\":{\"reasoning_tokens\":1}}}\n\ndata: [DONE]",
        );
        let stream = &answer.stream;
        assert_eq!(stream.failure, None);
        assert_eq!(stream.text.as_deref(), Some("a\nb"));
        assert_eq!(stream.chunks.iter().map(|c| c.weight).sum::<u32>(), 3);
        assert_eq!(stream.finish_reason.as_deref(), Some("stop"));
        assert_eq!(stream.usage.output, Some(2));
        assert_eq!(stream.usage.reasoning, Some(1));
        assert!(stream.done);
    }

    #[test]
    fn every_failure_has_a_kind() {
        let kind = |events: &str| answer(events).stream.failure.unwrap().kind;
        let token = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
        assert_eq!(kind("data: [DONE]\n\n"), FailureKind::Empty);
        assert_eq!(kind(token), FailureKind::Disconnected);
        assert_eq!(kind("data: nonsense\n\n"), FailureKind::Protocol);
        assert_eq!(
            kind(&format!(
                "{token}data: {{\"error\":{{\"message\":\"out\"}}}}\n\n"
            )),
            FailureKind::InStream
        );
    }
}
