use http::response;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::client::ResponseSink;
use crate::record::{Failure, FailureKind};
use crate::response::chat::WireUsage;
use crate::response::{ResponseHead, Usage};

/// A response in one JSON document: embeddings, rerank, a prediction.
#[derive(Debug, Default)]
pub(crate) struct JsonResponse {
    pub(crate) head: ResponseHead,
    pub(crate) body: Vec<u8>,
}

impl JsonResponse {
    /// The output of a chat; an error if there is none.
    pub(crate) fn chat(&self) -> Result<WholeChat, Failure> {
        let wire: WireChat = serde_json::from_slice(&self.body).map_err(|error| Failure {
            kind: FailureKind::Protocol,
            message: format!("the response is not a chat completion: {error}"),
        })?;
        let mut chat = WholeChat {
            usage: wire.usage.map(Usage::from).unwrap_or_default(),
            ..WholeChat::default()
        };
        let mut has_output = false;
        for choice in wire.choices {
            let message = choice.message;
            has_output |= [
                &message.content,
                &message.reasoning,
                &message.reasoning_content,
            ]
            .into_iter()
            .flatten()
            .any(|text| !text.is_empty());
            has_output |= message.refusal.is_some() || message.tool_calls.is_some();
            if chat.text.is_empty() {
                chat.text = message.content.unwrap_or_default();
            }
            chat.finish_reason = chat.finish_reason.or(choice.finish_reason);
        }
        if has_output {
            return Ok(chat);
        }
        Err(Failure {
            kind: FailureKind::Empty,
            message: "the response has no tokens".to_owned(),
        })
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

/// The output of a chat without a stream.
#[derive(Debug, Default)]
pub(crate) struct WholeChat {
    pub(crate) text: String,
    pub(crate) finish_reason: Option<String>,
    pub(crate) usage: Usage,
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
            JsonResponse { head, body }.chat()
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
