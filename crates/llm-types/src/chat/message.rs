//! The messages of a conversation.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::content::Content;
use super::response::AssistantMessage;
use super::tools::{FunctionCall, ToolCall};
use crate::{field::Field, open_enum::open_enum};

/// One message of a conversation, of any role.
///
/// Each member stays absent, null or a value, as it was read: providers disagree on whether an
/// assistant's message with tool calls must, may or must not have `content` (rust-genai#74,
/// aichat#1326, zeph#1955).
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Message {
    /// The role of the author.
    pub role: Role,
    /// The content.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub content: Field<Content>,
    /// The author's name.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub name: Field<String>,
    /// The assistant's refusal.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub refusal: Field<String>,
    /// The assistant's earlier reasoning, under Together's name.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub reasoning: Field<String>,
    /// The assistant's earlier reasoning, under the name of DeepSeek and LiteLLM.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub reasoning_content: Field<String>,
    /// The assistant's tool calls.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub tool_calls: Field<Vec<ToolCall>>,
    /// The id of the call to which a tool's message replies.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub tool_call_id: Field<String>,
    /// The assistant's function call, the predecessor of tool calls.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub function_call: Field<FunctionCall>,
    /// The assistant's earlier audio.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub audio: Field<Value>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Message {
    /// Creates a message with the given role.
    pub fn new(role: impl Into<Role>, content: impl Into<Content>) -> Self {
        let mut message = Self::empty(role.into());
        message.content = Field::Value(content.into());
        message
    }

    /// Creates a system message.
    pub fn system(content: impl Into<Content>) -> Self {
        Self::new(Role::System, content)
    }

    /// Creates a user message.
    pub fn user(content: impl Into<Content>) -> Self {
        Self::new(Role::User, content)
    }

    /// Creates an assistant message.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// Creates the result of the tool call with the given id.
    pub fn tool(tool_call_id: impl Into<String>, content: impl Into<Content>) -> Self {
        let mut message = Self::new(Role::Tool, content);
        message.tool_call_id = Field::Value(tool_call_id.into());
        message
    }

    /// Sets the author's name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Field::Value(name.into());
        self
    }

    /// Adds tool calls of the assistant.
    #[must_use]
    pub fn with_tool_calls(mut self, calls: impl Into<Vec<ToolCall>>) -> Self {
        self.tool_calls = Field::Value(calls.into());
        self
    }

    /// The text of the content: the string, or its text parts joined.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        self.content.value().and_then(Content::text)
    }

    fn empty(role: Role) -> Self {
        Self {
            role,
            content: Field::Absent,
            name: Field::Absent,
            refusal: Field::Absent,
            reasoning: Field::Absent,
            reasoning_content: Field::Absent,
            tool_calls: Field::Absent,
            tool_call_id: Field::Absent,
            function_call: Field::Absent,
            audio: Field::Absent,
            extra: Map::new(),
        }
    }
}

/// Converts a response message to a message of the conversation.
impl From<AssistantMessage> for Message {
    fn from(answer: AssistantMessage) -> Self {
        Self {
            content: answer.content,
            refusal: answer.refusal,
            reasoning: answer.reasoning,
            reasoning_content: answer.reasoning_content,
            tool_calls: answer.tool_calls,
            function_call: answer.function_call,
            audio: answer.audio,
            extra: answer.extra,
            ..Self::empty(answer.role)
        }
    }
}

open_enum! {
    /// The role of a message's author.
    pub enum Role {
        /// The model.
        Assistant = "assistant",
        /// Instructions, under the name used by OpenAI's reasoning models.
        Developer = "developer",
        /// The result of a function call, the predecessor of tool calls.
        Function = "function",
        /// Instructions.
        System = "system",
        /// The result of a tool call.
        Tool = "tool",
        /// The user.
        User = "user",
    }
}
