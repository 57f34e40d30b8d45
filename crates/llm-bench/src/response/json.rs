use http::response;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::client::ResponseSink;
use crate::record::{Failure, FailureKind};
use crate::response::chat::WireUsage;
use crate::response::events::{MessageUsage, ResponseUsage};
use crate::response::{ResponseHead, Usage};
use crate::text_api::TextApi;

/// A response in one JSON document: embeddings, rerank, a prediction.
#[derive(Debug, Default)]
pub(crate) struct JsonResponse {
    pub(crate) head: ResponseHead,
    pub(crate) body: Vec<u8>,
}

impl JsonResponse {
    /// The output of a text API; an error if there is none.
    pub(crate) fn text(&self, api: TextApi) -> Result<WholeText, Failure> {
        let read = match api {
            TextApi::Chat | TextApi::Completions => self.parsed::<WireChat>().map(WholeText::from),
            TextApi::Messages => self.parsed::<WireMessageReply>().map(WholeText::from),
            TextApi::Responses => self.parsed::<WireResponse>().map(WholeText::from),
        };
        let text = read.map_err(|error| Failure {
            kind: FailureKind::Protocol,
            message: format!("the response is not one of the {api} API: {error}"),
        })?;
        if text.has_output {
            return Ok(text);
        }
        Err(Failure {
            kind: FailureKind::Empty,
            message: "the response has no tokens".to_owned(),
        })
    }

    fn parsed<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }

    /// The usage of embeddings or a rerank; an error if there are no results.
    pub(crate) fn usage(&self) -> Result<Usage, Failure> {
        let protocol = |message: String| Failure {
            kind: FailureKind::Protocol,
            message,
        };
        let wire: WireBody = serde_json::from_slice(&self.body)
            .map_err(|error| protocol(format!("the response is not the expected JSON: {error}")))?;
        let Some(items) = wire.data.or(wire.results) else {
            return Err(protocol(
                "the response has neither data nor results".to_owned(),
            ));
        };
        if items.is_empty() {
            return Err(Failure {
                kind: FailureKind::Empty,
                message: "the response has no results".to_owned(),
            });
        }
        Ok(wire.usage.map(Usage::from).unwrap_or_default())
    }
}

impl ResponseSink for JsonResponse {
    fn head(&mut self, head: &response::Parts) {
        self.head.read(head);
    }

    fn data(&mut self, data: &[u8], _at: u64) -> bool {
        if self.head.body(data) {
            self.body.extend_from_slice(data);
        }
        self.head.is_within_limit()
    }
}

/// A text that came in one piece.
#[derive(Debug, Default)]
pub(crate) struct WholeText {
    pub(crate) text: String,
    pub(crate) finish_reason: Option<String>,
    pub(crate) usage: Usage,
    /// Whether there is any output, also reasoning and tool calls.
    has_output: bool,
}

#[derive(Deserialize)]
struct WireChat {
    choices: Vec<WireChoice>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct WireChoice {
    #[serde(default)]
    message: WireMessage,
    /// Of completions.
    text: Option<String>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireMessage {
    content: Option<String>,
    reasoning: Option<String>,
    reasoning_content: Option<String>,
    refusal: Option<IgnoredAny>,
    tool_calls: Option<IgnoredAny>,
}

impl From<WireChat> for WholeText {
    fn from(wire: WireChat) -> Self {
        let mut whole = Self {
            usage: wire.usage.map(Usage::from).unwrap_or_default(),
            ..Self::default()
        };
        for choice in wire.choices {
            let message = choice.message;
            let content = message.content.or(choice.text);
            let is_text =
                |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
            let texts = [&content, &message.reasoning, &message.reasoning_content];
            whole.has_output |= texts.into_iter().any(is_text);
            whole.has_output |= message.refusal.is_some() || message.tool_calls.is_some();
            if whole.text.is_empty() {
                whole.text = content.unwrap_or_default();
            }
            whole.finish_reason = whole.finish_reason.or(choice.finish_reason);
        }
        whole
    }
}

/// A reply of the Messages API.
#[derive(Deserialize)]
struct WireMessageReply {
    content: Vec<WireBlock>,
    stop_reason: Option<String>,
    usage: Option<MessageUsage>,
}

/// A block of content, or an item of a response's output.
#[derive(Deserialize)]
struct WireBlock {
    text: Option<String>,
    #[serde(default)]
    content: Vec<Self>,
}

impl From<WireMessageReply> for WholeText {
    fn from(wire: WireMessageReply) -> Self {
        let texts = wire
            .content
            .iter()
            .filter_map(|block| block.text.as_deref());
        Self {
            text: texts.collect(),
            has_output: !wire.content.is_empty(),
            finish_reason: wire.stop_reason,
            usage: wire.usage.map(Usage::from).unwrap_or_default(),
        }
    }
}

#[derive(Deserialize)]
struct WireResponse {
    output: Vec<WireBlock>,
    status: Option<String>,
    usage: Option<ResponseUsage>,
}

impl From<WireResponse> for WholeText {
    fn from(wire: WireResponse) -> Self {
        let parts = wire.output.iter().flat_map(|item| &item.content);
        Self {
            text: parts.filter_map(|part| part.text.as_deref()).collect(),
            has_output: !wire.output.is_empty(),
            finish_reason: wire.status,
            usage: wire.usage.map(Usage::from).unwrap_or_default(),
        }
    }
}

#[derive(Deserialize)]
struct WireBody {
    data: Option<Vec<IgnoredAny>>,
    results: Option<Vec<IgnoredAny>>,
    usage: Option<WireUsage>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_chat_has_any_kind_of_output() {
        let chat = |body: &str| {
            let body = body.as_bytes().to_vec();
            let head = ResponseHead::default();
            JsonResponse { head, body }.text(TextApi::Chat)
        };
        let found = chat(
            r#"{"choices":[{"message":{"content":"hi","tool_calls":null},"finish_reason":"stop"}],
                "usage":{"prompt_tokens":3,"completion_tokens":1}}"#,
        );
        let found = found.unwrap();
        assert_eq!(found.text, "hi");
        assert_eq!(found.finish_reason.as_deref(), Some("stop"));
        assert_eq!((found.usage.input, found.usage.output), (Some(3), Some(1)));
        let message = r#"{"choices":[{"message":{"content":null,"tool_calls":[{}]}}]}"#;
        assert_eq!(chat(message).unwrap().text, "");
        for (body, kind) in [
            (r#"{"choices":[]}"#, FailureKind::Empty),
            (
                r#"{"choices":[{"message":{"content":""}}]}"#,
                FailureKind::Empty,
            ),
            ("{}", FailureKind::Protocol),
            ("[", FailureKind::Protocol),
        ] {
            assert_eq!(chat(body).unwrap_err().kind, kind, "{body}");
        }
    }

    #[test]
    fn each_api_has_a_text_in_one_piece() {
        for (api, body) in [
            (
                TextApi::Completions,
                r#"{"choices":[{"text":"hi","finish_reason":"stop"}],
                    "usage":{"prompt_tokens":3,"completion_tokens":1}}"#,
            ),
            (
                TextApi::Messages,
                r#"{"content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"hi"}],
                    "stop_reason":"stop","usage":{"input_tokens":1,"output_tokens":1,
                    "cache_read_input_tokens":2}}"#,
            ),
            (
                TextApi::Responses,
                r#"{"output":[{"type":"reasoning","summary":[]},
                    {"type":"message","content":[{"type":"output_text","text":"hi"}]}],
                    "status":"stop","usage":{"input_tokens":3,"output_tokens":1}}"#,
            ),
        ] {
            let body = body.as_bytes().to_vec();
            let head = ResponseHead::default();
            let found = JsonResponse { head, body }.text(api).unwrap();
            assert_eq!(found.text, "hi", "{api}");
            assert_eq!(found.finish_reason.as_deref(), Some("stop"), "{api}");
            let usage = (found.usage.input, found.usage.output);
            assert_eq!(usage, (Some(3), Some(1)), "{api}");
        }
    }

    #[test]
    fn all_usage_of_embeddings_is_input() {
        let usage = |body: &str| {
            let body = body.as_bytes().to_vec();
            let head = ResponseHead::default();
            JsonResponse { head, body }.usage()
        };
        let found = usage(r#"{"data":[{"embedding":[0.1]}],"usage":{"total_tokens":9}}"#);
        assert_eq!(found.unwrap().input, Some(9));
        assert_eq!(usage(r#"{"results":[{}]}"#).unwrap(), Usage::default());
        assert_eq!(
            usage(r#"{"data":[]}"#).unwrap_err().kind,
            FailureKind::Empty
        );
        assert_eq!(usage("{}").unwrap_err().kind, FailureKind::Protocol);
        assert_eq!(usage("[").unwrap_err().kind, FailureKind::Protocol);
    }
}
