//! The response.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::content::Content;
use super::logprobs::Logprobs;
use super::message::Role;
use super::params::ServiceTier;
use super::tools::{FunctionCall, ToolCall};
use crate::parse::{ParseError, parse};
use crate::{field::Field, lenient, number::Number, open_enum::open_enum, usage::Usage};

/// A chat completion.
///
/// Reading fills required keys that an engine left out with empty defaults. Everything else is
/// written as it was read.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChatResponse {
    /// The id of the response.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub id: String,
    /// Always `chat.completion`.
    #[serde(default = "object", deserialize_with = "read_object")]
    pub object: String,
    /// The creation time, in seconds of Unix time.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub created: Number,
    /// The model.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub model: String,
    /// The choices.
    pub choices: Vec<Choice>,
    /// The token usage.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub usage: Field<Usage>,
    /// The service tier that was used.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub service_tier: Field<ServiceTier>,
    /// The version of the engine.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub system_fingerprint: Field<String>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ChatResponse {
    /// Creates a response without choices.
    pub fn new(
        id: impl Into<String>,
        created: impl Into<Number>,
        model: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            object: object(),
            created: created.into(),
            model: model.into(),
            choices: Vec::new(),
            usage: Field::Absent,
            service_tier: Field::Absent,
            system_fingerprint: Field::Absent,
            extra: Map::new(),
        }
    }

    /// Adds a choice.
    #[must_use]
    pub fn with_choice(mut self, choice: Choice) -> Self {
        self.choices.push(choice);
        self
    }

    /// Sets the token usage.
    #[must_use]
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = Field::Value(usage);
        self
    }

    /// The text of the first choice.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        self.choices.first()?.message.text()
    }

    /// Reads the text of the first choice as JSON, for requests with a
    /// [`ResponseFormat`](crate::ResponseFormat). A Markdown code fence around the JSON, which models
    /// write that do not enforce the format, is removed.
    ///
    /// # Errors
    ///
    /// If there is no text, or if it is not a `T`. The error quotes nothing of the text.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ParseError> {
        let text = self.text().unwrap_or_default();
        parse(without_fence(&text).as_bytes())
    }

    /// The tool calls of the first choice.
    pub fn calls(&self) -> &[ToolCall] {
        self.choices
            .first()
            .map_or(&[], |choice| choice.message.calls())
    }
}

/// The text inside of "```json" and "```", if it has both.
fn without_fence(text: &str) -> &str {
    let text = text.trim();
    let inside = text
        .strip_prefix("```")
        .and_then(|text| text.strip_suffix("```"));
    inside.map_or(text, |inside| inside.strip_prefix("json").unwrap_or(inside))
}

/// A choice.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Choice {
    /// The index of the choice.
    #[serde(default, deserialize_with = "lenient::index")]
    pub index: u32,
    /// The message.
    #[serde(default)]
    pub message: AssistantMessage,
    /// The log probabilities of its tokens.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub logprobs: Field<Logprobs>,
    /// The finish reason.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub finish_reason: Field<FinishReason>,
    /// All other members, such as Together's `seed`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Choice {
    /// Creates a choice; `logprobs` is null.
    pub fn new(index: u32, message: AssistantMessage, finish_reason: FinishReason) -> Self {
        Self {
            index,
            message,
            logprobs: Field::Null,
            finish_reason: Field::Value(finish_reason),
            extra: Map::new(),
        }
    }
}

/// The message of a choice.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AssistantMessage {
    /// Always the assistant.
    #[serde(default = "assistant")]
    pub role: Role,
    /// The content; null beside tool calls.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub content: Field<Content>,
    /// The refusal.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub refusal: Field<String>,
    /// The reasoning, under Together's name.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub reasoning: Field<String>,
    /// The reasoning, under the name of DeepSeek and LiteLLM.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub reasoning_content: Field<String>,
    /// The tool calls.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub tool_calls: Field<Vec<ToolCall>>,
    /// The function call, the predecessor of tool calls.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub function_call: Field<FunctionCall>,
    /// Annotations, such as the links of a web search.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub annotations: Field<Vec<Value>>,
    /// The audio output.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub audio: Field<Value>,
    /// All other members, such as `reasoning_details`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl AssistantMessage {
    /// Creates a message whose `content` and `refusal` are null, as OpenAI's schema requires.
    pub fn new() -> Self {
        Self {
            role: Role::Assistant,
            content: Field::Null,
            refusal: Field::Null,
            reasoning: Field::Absent,
            reasoning_content: Field::Absent,
            tool_calls: Field::Absent,
            function_call: Field::Absent,
            annotations: Field::Absent,
            audio: Field::Absent,
            extra: Map::new(),
        }
    }

    /// Sets the content.
    #[must_use]
    pub fn with_content(mut self, content: impl Into<Content>) -> Self {
        self.content = Field::Value(content.into());
        self
    }

    /// Sets the reasoning, under the name that OpenAI's clients know.
    #[must_use]
    pub fn with_reasoning_content(mut self, reasoning: impl Into<String>) -> Self {
        self.reasoning_content = Field::Value(reasoning.into());
        self
    }

    /// Sets the tool calls.
    #[must_use]
    pub fn with_tool_calls(mut self, calls: impl Into<Vec<ToolCall>>) -> Self {
        self.tool_calls = Field::Value(calls.into());
        self
    }

    /// The text of the content.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        self.content.value().and_then(Content::text)
    }

    /// The reasoning, under either name.
    pub fn thinking(&self) -> Option<&str> {
        self.reasoning_content
            .as_str()
            .or_else(|| self.reasoning.as_str())
    }

    /// The tool calls; an absent list counts as empty.
    pub fn calls(&self) -> &[ToolCall] {
        self.tool_calls.value().map_or(&[], Vec::as_slice)
    }
}

impl Default for AssistantMessage {
    fn default() -> Self {
        Self::new()
    }
}

open_enum! {
    /// The reason why a choice ended.
    pub enum FinishReason {
        /// A filter removed content.
        ContentFilter = "content_filter",
        /// The model called a function, the predecessor of tool calls.
        FunctionCall = "function_call",
        /// The maximum number of tokens was reached.
        Length = "length",
        /// The model finished, or a stop sequence occurred.
        Stop = "stop",
        /// The model called tools.
        ToolCalls = "tool_calls",
    }
}

impl FinishReason {
    /// The key beside `finish_reason` that keeps the engine's own name, as in LiteLLM.
    pub const NATIVE: &'static str = "native_finish_reason";

    /// Maps an engine's name of a reason to OpenAI's, such as `eos` to `stop`.
    #[must_use]
    pub fn canonical(self) -> Self {
        let Self::Other(name) = &self else {
            return self;
        };
        match name.to_ascii_lowercase().as_str() {
            "end_turn" | "eos" | "eos_token" | "stop" | "stop_sequence" => Self::Stop,
            "max_length" | "max_tokens" | "model_length" => Self::Length,
            "tool_call" | "tool_use" => Self::ToolCalls,
            "prohibited_content" | "recitation" | "safety" => Self::ContentFilter,
            _ => self,
        }
    }

    /// Whether the engine failed or gave up, so that the reply is incomplete for no reason of the
    /// request's.
    pub fn is_failure(&self) -> bool {
        matches!(
            self.as_str(),
            "abort" | "error" | "insufficient_system_resource"
        )
    }
}

fn object() -> String {
    "chat.completion".to_owned()
}

/// Some servers send null.
fn read_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::deserialize(deserializer).map(|read| read.unwrap_or_else(object))
}

fn assistant() -> Role {
    Role::Assistant
}
