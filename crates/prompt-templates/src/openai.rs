//! Messages from OpenAI's schema.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use llm_types::{ContentPart, FunctionCall};

use crate::json;
use crate::message::{PromptContent, PromptMessage, PromptPart, PromptRole, PromptToolCall};

/// Borrows everything from the request. A refusal counts as the assistant's content, and the older
/// `function_call` as a tool call.
impl<'a> From<&'a llm_types::Message> for PromptMessage<'a> {
    fn from(message: &'a llm_types::Message) -> Self {
        let content = match (message.content.value(), message.refusal.value()) {
            (Some(content), _) => PromptContent::from(content),
            (None, Some(refusal)) => PromptContent::from(refusal),
            (None, None) => PromptContent::None,
        };
        let calls = message
            .tool_calls
            .value()
            .into_iter()
            .flatten()
            .map(PromptToolCall::from);
        let older = message.function_call.value().map(older_call);
        let reasoning = message
            .reasoning_content
            .value()
            .or_else(|| message.reasoning.value());
        let mut this = Self::new(PromptRole::from(message.role.as_str()), content);
        this.tool_calls = calls.chain(older).collect();
        this.tool_call_id = message.tool_call_id.value().map(Cow::from);
        this.name = message.name.value().map(Cow::from);
        this.reasoning = reasoning.map(Cow::from);
        this
    }
}

impl<'a> From<&'a llm_types::Content> for PromptContent<'a> {
    fn from(content: &'a llm_types::Content) -> Self {
        match content {
            llm_types::Content::Text(text) => Self::from(text),
            llm_types::Content::Parts(parts) => {
                Self::Parts(parts.iter().map(PromptPart::from).collect::<Vec<_>>())
            }
        }
    }
}

impl<'a> From<&'a ContentPart> for PromptPart<'a> {
    fn from(part: &'a ContentPart) -> Self {
        match part {
            ContentPart::ImageUrl(part) => Self::Image(Cow::from(&part.image_url.url)),
            ContentPart::Refusal(part) => Self::Text(Cow::from(&part.refusal)),
            ContentPart::Text(part) => Self::Text(Cow::from(&part.text)),
            other => Self::Other(Cow::from(other.type_())),
        }
    }
}

/// The free-text input of a custom tool becomes a JSON string.
impl<'a> From<&'a llm_types::ToolCall> for PromptToolCall<'a> {
    fn from(call: &'a llm_types::ToolCall) -> Self {
        let id = call.id.value().map_or("", String::as_str);
        let name = call.name().unwrap_or_default();
        let input = call.custom.value().and_then(|custom| custom.input.value());
        let arguments = match (call.arguments(), input) {
            (Some(arguments), _) => Cow::from(arguments),
            (None, Some(input)) => Cow::from(json::quoted(input)),
            (None, None) => Cow::from("{}"),
        };
        Self::new(id, name, arguments)
    }
}

fn older_call(call: &FunctionCall) -> PromptToolCall<'_> {
    PromptToolCall::new("", &*call.name, call.arguments.as_str().unwrap_or("{}"))
}

#[cfg(test)]
mod tests {
    use llm_types::Message as OpenAi;
    use serde_json::{from_value, json};

    use super::*;

    #[track_caller]
    fn check(message: serde_json::Value, wanted: &PromptMessage<'_>) {
        let message: OpenAi = from_value(message).unwrap();
        assert_eq!(PromptMessage::from(&message), *wanted);
    }

    #[test]
    fn nothing_is_lost() {
        check(
            json!({"role": "user", "content": "x", "name": "n"}),
            &PromptMessage::user("x").with_name("n"),
        );
        check(
            json!({"role": "tool", "content": "x", "tool_call_id": "1"}),
            &PromptMessage::tool("1", "x"),
        );
        check(
            json!({"role": "assistant", "content": null, "reasoning_content": "r", "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "2", "type": "custom", "custom": {"name": "c", "input": "a\"b"}},
            ]}),
            &PromptMessage::assistant(PromptContent::None)
                .with_reasoning("r")
                .with_tool_calls(
                    [
                        PromptToolCall::new("1", "f", "{}"),
                        PromptToolCall::new("2", "c", "\"a\\\"b\""),
                    ]
                    .into(),
                ),
        );
        check(
            json!({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}),
            &PromptMessage::assistant(PromptContent::None)
                .with_tool_calls([PromptToolCall::new("", "f", "{}")].into()),
        );
        check(
            json!({"role": "assistant", "refusal": "no"}),
            &PromptMessage::assistant("no"),
        );
        check(
            json!({"role": "narrator", "content": [
                {"type": "text", "text": "t"},
                {"type": "image_url", "image_url": {"url": "u"}},
                {"type": "video_url"},
            ]}),
            &PromptMessage::new(
                PromptRole::Other("narrator"),
                PromptContent::Parts(
                    [
                        PromptPart::Text("t".into()),
                        PromptPart::Image("u".into()),
                        PromptPart::Other("video_url".into()),
                    ]
                    .into(),
                ),
            ),
        );
    }
}
