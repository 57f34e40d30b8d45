//! The events of streams of the Messages and the Responses API.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use sse_codec::Event;

use crate::record::FailureKind;
use crate::response::head::message_in;
use crate::response::{StreamState, Usage};

/// Takes an event of the Messages API.
pub(super) fn take_message(stream: &mut StreamState, event: Event<'_>, at: u64) {
    let Some(event) = parsed::<MessageEvent<'_>>(stream, &event, "a Messages API") else {
        return;
    };
    match event {
        MessageEvent::MessageStart { message } => {
            stream.usage = message.usage.map(Usage::from).unwrap_or_default();
        }
        MessageEvent::ContentBlockStart { content_block } => {
            // The name of a tool is output, too.
            if let Some(name) = content_block.name {
                stream.token(at, "", name.len());
                stream.output(at);
            }
        }
        MessageEvent::ContentBlockDelta { delta } => {
            let text = delta.text.unwrap_or_default();
            let output = text.len() + delta.partial_json.map_or(0, |json| json.len());
            let weight = output + delta.thinking.map_or(0, |text| text.len());
            if weight > 0 {
                stream.token(at, &text, weight);
            }
            if output > 0 {
                stream.output(at);
            }
        }
        MessageEvent::MessageDelta { delta, usage } => {
            if let Some(reason) = delta.stop_reason {
                stream.finish_reason = Some(reason.into_owned());
            }
            let usage = usage.map(Usage::from).unwrap_or_default();
            // The input is counted at the start, or at the end.
            stream.usage = Usage {
                input: usage
                    .input
                    .filter(|count| *count > 0)
                    .or(stream.usage.input),
                output: usage.output.or(stream.usage.output),
                reasoning: None,
                cached_input: usage.cached_input.or(stream.usage.cached_input),
            };
        }
        MessageEvent::MessageStop => stream.done = true,
        MessageEvent::Error { error } => fail(stream, error),
        MessageEvent::Other => {}
    }
}

/// Takes an event of the Responses API.
pub(super) fn take_response(stream: &mut StreamState, event: Event<'_>, at: u64) {
    if event.data() == b"[DONE]" {
        stream.done = true;
        return;
    }
    let Some(event) = parsed::<ResponseEvent<'_>>(stream, &event, "a Responses API") else {
        return;
    };
    match event {
        ResponseEvent::Text { delta } if !delta.is_empty() => {
            stream.token(at, &delta, delta.len());
            stream.output(at);
        }
        ResponseEvent::Call { delta } if !delta.is_empty() => {
            stream.token(at, "", delta.len());
            stream.output(at);
        }
        ResponseEvent::Reasoning { delta } if !delta.is_empty() => {
            stream.token(at, "", delta.len());
        }
        ResponseEvent::Completed { response } => {
            stream.done = true;
            stream.finish_reason = response.status.map(Cow::into_owned);
            stream.usage = response.usage.map(Usage::from).unwrap_or_default();
        }
        ResponseEvent::Failed { response } => fail(stream, response.error.unwrap_or_default()),
        ResponseEvent::Error(error) => fail(stream, error),
        _ => {}
    }
}

fn parsed<'a, T: Deserialize<'a>>(
    stream: &mut StreamState,
    event: &Event<'a>,
    what: &str,
) -> Option<T> {
    match serde_json::from_slice(event.data()) {
        Ok(event) => Some(event),
        Err(error) => {
            let message = format!("an event is not one of {what} stream: {error}");
            stream.fail(FailureKind::Protocol, message);
            None
        }
    }
}

fn fail(stream: &mut StreamState, error: Value) {
    let body = Value::Object([("error".to_owned(), error)].into_iter().collect());
    let message = message_in(&body).unwrap_or_else(|| "an error without a message".to_owned());
    stream.fail(FailureKind::InStream, message);
}

/// The measured events; others are ignored.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum MessageEvent<'a> {
    MessageStart {
        message: MessageHead,
    },
    ContentBlockStart {
        #[serde(borrow)]
        content_block: BlockHead<'a>,
    },
    ContentBlockDelta {
        #[serde(borrow)]
        delta: BlockDelta<'a>,
    },
    MessageDelta {
        #[serde(borrow)]
        delta: MessageEnd<'a>,
        usage: Option<MessageUsage>,
    },
    MessageStop,
    Error {
        error: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct MessageHead {
    usage: Option<MessageUsage>,
}

#[derive(Deserialize)]
struct BlockHead<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct BlockDelta<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow)]
    partial_json: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct MessageEnd<'a> {
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
}

/// The usage of the Messages API, whose input is without what a cache served or stored.
#[derive(Deserialize)]
pub(super) struct MessageUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

impl From<MessageUsage> for Usage {
    fn from(wire: MessageUsage) -> Self {
        let cached = wire.cache_read_input_tokens;
        let cache = cached
            .unwrap_or(0)
            .saturating_add(wire.cache_creation_input_tokens.unwrap_or(0));
        Self {
            input: wire.input_tokens.map(|input| input.saturating_add(cache)),
            output: wire.output_tokens,
            reasoning: None,
            cached_input: cached,
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum ResponseEvent<'a> {
    #[serde(rename = "response.output_text.delta")]
    Text {
        #[serde(borrow)]
        delta: Cow<'a, str>,
    },
    #[serde(
        rename = "response.function_call_arguments.delta",
        alias = "response.refusal.delta",
        alias = "response.custom_tool_call_input.delta"
    )]
    Call {
        #[serde(borrow)]
        delta: Cow<'a, str>,
    },
    #[serde(
        rename = "response.reasoning_text.delta",
        alias = "response.reasoning_summary_text.delta"
    )]
    Reasoning {
        #[serde(borrow)]
        delta: Cow<'a, str>,
    },
    #[serde(rename = "response.completed", alias = "response.incomplete")]
    Completed {
        #[serde(borrow)]
        response: ResponseEnd<'a>,
    },
    #[serde(rename = "response.failed")]
    Failed {
        #[serde(borrow)]
        response: ResponseEnd<'a>,
    },
    #[serde(rename = "error")]
    Error(Value),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct ResponseEnd<'a> {
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    usage: Option<ResponseUsage>,
    error: Option<Value>,
}

/// The usage of the Responses API.
#[derive(Deserialize)]
pub(super) struct ResponseUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize)]
struct InputDetails {
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

impl From<ResponseUsage> for Usage {
    fn from(wire: ResponseUsage) -> Self {
        Self {
            input: wire.input_tokens,
            output: wire.output_tokens,
            reasoning: wire
                .output_tokens_details
                .and_then(|of| of.reasoning_tokens),
            cached_input: wire.input_tokens_details.and_then(|of| of.cached_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::client::ResponseSink;
    use crate::record::FailureKind;
    use crate::response::TextResponse;
    use crate::text_api::TextApi;

    fn answer(api: TextApi, events: &[&str]) -> TextResponse {
        let mut answer = TextResponse::new(api, true);
        let head = http::Response::builder().header("content-type", "text/event-stream");
        answer.head(&head.body(()).unwrap().into_parts().0);
        for (at, event) in (1..).zip(events) {
            answer.data(format!("event: x\ndata: {event}\n\n").as_bytes(), at);
        }
        answer.finish(99);
        answer
    }

    #[test]
    fn messages_have_thinking_text_tools_and_usage() {
        let answer = answer(
            TextApi::Messages,
            &[
                r#"{"type":"message_start","message":{"usage":{"input_tokens":5,"cache_read_input_tokens":7,"output_tokens":1}}}"#,
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
                r#"{"type":"ping"}"#,
                r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"hi"}}"#,
                r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
                r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":9}}"#,
                r#"{"type":"message_stop"}"#,
            ],
        );
        let stream = &answer.stream;
        assert_eq!(stream.failure, None);
        let at: Vec<_> = stream.chunks.iter().map(|chunk| chunk.at).collect();
        assert_eq!((at, stream.first_output), (vec![3, 5, 6], Some(5)));
        assert_eq!(stream.text.as_deref(), Some("hi"));
        assert_eq!(stream.finish_reason.as_deref(), Some("tool_use"));
        let usage = (stream.usage.input, stream.usage.output);
        assert_eq!(usage, (Some(12), Some(9)));
        assert_eq!(stream.usage.cached_input, Some(7));
    }

    #[test]
    fn responses_have_reasoning_text_calls_and_usage() {
        let answer = answer(
            TextApi::Responses,
            &[
                r#"{"type":"response.created","response":{"status":"in_progress"}}"#,
                r#"{"type":"response.reasoning_text.delta","delta":"hm"}"#,
                r#"{"type":"response.output_text.delta","delta":"h\ni"}"#,
                r#"{"type":"response.function_call_arguments.delta","delta":"{}"}"#,
                r#"{"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":5,"output_tokens":3,"input_tokens_details":{"cached_tokens":2},"output_tokens_details":{"reasoning_tokens":1}}}}"#,
            ],
        );
        let stream = &answer.stream;
        assert_eq!(stream.failure, None);
        let at: Vec<_> = stream.chunks.iter().map(|chunk| chunk.at).collect();
        assert_eq!((at, stream.first_output), (vec![2, 3, 4], Some(3)));
        assert_eq!(stream.text.as_deref(), Some("h\ni"));
        let usage = stream.usage;
        assert_eq!((usage.input, usage.output), (Some(5), Some(3)));
        assert_eq!((usage.cached_input, usage.reasoning), (Some(2), Some(1)));
    }

    #[test]
    fn failures_inside_a_stream_are_found() {
        for (api, event) in [
            (
                TextApi::Messages,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#,
            ),
            (
                TextApi::Responses,
                r#"{"type":"response.failed","response":{"error":{"code":"x","message":"busy"}}}"#,
            ),
            (TextApi::Responses, r#"{"type":"error","message":"busy"}"#),
        ] {
            let failure = answer(api, &[event]).stream.failure.unwrap();
            assert_eq!(failure.kind, FailureKind::InStream, "{event}");
            assert_eq!(failure.message, "busy", "{event}");
        }
        for api in [TextApi::Messages, TextApi::Responses] {
            let failure = answer(api, &["[]"]).stream.failure.unwrap();
            assert_eq!(failure.kind, FailureKind::Protocol, "{api}");
            let failure = answer(api, &[]).stream.failure.unwrap();
            assert_eq!(failure.kind, FailureKind::Disconnected, "{api}");
        }
    }
}
