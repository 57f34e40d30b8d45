//! OpenAI's messages as input.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use llm_types::ContentPart;

use crate::message::{Content, Message, Part, Role, ToolCall};

/// Borrows all text. Parts that are neither text nor picture stay as [`Part::Other`], so that the
/// template can refuse them by name.
impl<'a> From<&'a llm_types::Message> for Message<'a> {
    fn from(message: &'a llm_types::Message) -> Self {
        let borrowed = |field: &'a llm_types::Field<_>| field.as_str().map(Cow::Borrowed);
        Self {
            role: Role::from(message.role.as_str()),
            content: message.content.value().map_or(Content::None, Content::from),
            tool_calls: message
                .tool_calls
                .value()
                .into_iter()
                .flatten()
                .map(ToolCall::from)
                .collect(),
            tool_call_id: borrowed(&message.tool_call_id),
            name: borrowed(&message.name),
            reasoning: borrowed(&message.reasoning_content)
                .or_else(|| borrowed(&message.reasoning)),
        }
    }
}

impl<'a> From<&'a llm_types::Content> for Content<'a> {
    fn from(content: &'a llm_types::Content) -> Self {
        match content {
            llm_types::Content::Text(text) => Self::Text(Cow::Borrowed(text)),
            llm_types::Content::Parts(parts) => {
                Self::Parts(parts.iter().map(Part::from).collect::<Vec<_>>())
            }
        }
    }
}

impl<'a> From<&'a ContentPart> for Part<'a> {
    fn from(part: &'a ContentPart) -> Self {
        match part {
            ContentPart::ImageUrl(image) => Self::Image(Cow::Borrowed(&image.image_url.url)),
            ContentPart::Refusal(refusal) => Self::Text(Cow::Borrowed(&refusal.refusal)),
            ContentPart::Text(text) => Self::Text(Cow::Borrowed(&text.text)),
            other => Self::Other(Cow::Borrowed(other.type_())),
        }
    }
}

/// A custom tool's call is given its input as the arguments.
impl<'a> From<&'a llm_types::ToolCall> for ToolCall<'a> {
    fn from(call: &'a llm_types::ToolCall) -> Self {
        let id = call.id.as_str().unwrap_or_default();
        let (name, arguments) = match (call.function.value(), call.custom.value()) {
            (Some(function), _) => (function.name.as_str(), function.arguments.as_str()),
            (None, Some(custom)) => (custom.name.as_str(), custom.input.as_str()),
            (None, None) => ("", None),
        };
        let arguments = arguments.unwrap_or_default();
        Self::new(id, name, arguments)
    }
}
