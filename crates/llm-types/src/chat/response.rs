//! The response.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::content::Content;
use super::logprobs::Logprobs;
use super::message::Role;
use super::params::ServiceTier;
use super::tools::{FunctionCall, ToolCall};
use crate::{field::Field, lenient, number::Number, open_enum::open_enum, usage::Usage};

/// A chat completion.
///
/// Reading fills required keys that an engine left out with their empty default; all else comes
/// out as it came in.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChatResponse {
    /// The id of the answer.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub id: String,
    /// Always `chat.completion`.
    #[serde(default = "object")]
    pub object: String,
    /// When it was made, in seconds of Unix time.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub created: Number,
    /// The model that answered.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub model: String,
    /// The answers.
    pub choices: Vec<Choice>,
    /// The token counts.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub usage: Field<Usage>,
    /// The class of service that was given.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub service_tier: Field<ServiceTier>,
    /// The build of the engine.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub system_fingerprint: Field<String>,
    /// Members not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ChatResponse {
    /// A response without choices.
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
    pub fn with_choice(mut self, choice: Choice) -> Self {
        self.choices.push(choice);
        self
    }

    /// Sets the token counts.
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = Field::Value(usage);
        self
    }

    /// The text of the first answer.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        self.choices.first()?.message.text()
    }
}

/// One answer.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Choice {
    /// Its place among the answers.
    #[serde(default, deserialize_with = "lenient::index")]
    pub index: u32,
    /// What the model said.
    #[serde(default)]
    pub message: AssistantMessage,
    /// The log probabilities of its tokens.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub logprobs: Field<Logprobs>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub finish_reason: Field<FinishReason>,
    /// Members not named above, as Together's `seed`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Choice {
    /// An answer; `logprobs` is null.
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

/// What the model said.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AssistantMessage {
    /// Always the assistant.
    #[serde(default = "assistant")]
    pub role: Role,
    /// The answer; null beside tool calls.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub content: Field<Content>,
    /// The refusal to answer.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub refusal: Field<String>,
    /// The thinking, as Together names it.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub reasoning: Field<String>,
    /// The thinking, as DeepSeek and LiteLLM name it.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub reasoning_content: Field<String>,
    /// The tool calls.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub tool_calls: Field<Vec<ToolCall>>,
    /// The function call, the predecessor of tool calls.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub function_call: Field<FunctionCall>,
    /// Links of a web search.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub annotations: Field<Vec<Value>>,
    /// The spoken answer.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub audio: Field<Value>,
    /// Members not named above, as `reasoning_details`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl AssistantMessage {
    /// A message whose `content` and `refusal` are null, as OpenAI's schema requires them.
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

    /// Sets the answer.
    pub fn with_content(mut self, content: impl Into<Content>) -> Self {
        self.content = Field::Value(content.into());
        self
    }

    /// Sets the thinking, under the name that OpenAI's clients know.
    pub fn with_reasoning_content(mut self, reasoning: impl Into<String>) -> Self {
        self.reasoning_content = Field::Value(reasoning.into());
        self
    }

    /// Sets the tool calls.
    pub fn with_tool_calls(mut self, calls: impl Into<Vec<ToolCall>>) -> Self {
        self.tool_calls = Field::Value(calls.into());
        self
    }

    /// The text of the answer.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        self.content.value().and_then(Content::text)
    }

    /// The thinking, under either name.
    pub fn thinking(&self) -> Option<&str> {
        self.reasoning_content
            .as_str()
            .or_else(|| self.reasoning.as_str())
    }

    /// The tool calls; none is the same as an empty list here.
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
    /// Why an answer ended.
    pub enum FinishReason {
        /// Content was left out by a filter.
        ContentFilter = "content_filter",
        /// The model calls a function, the predecessor of tool calls.
        FunctionCall = "function_call",
        /// The most tokens are written.
        Length = "length",
        /// The model was done, or a stop string came.
        Stop = "stop",
        /// The model calls tools.
        ToolCalls = "tool_calls",
    }
}

impl FinishReason {
    /// The key beside `finish_reason` under which the engine's own name is kept, as LiteLLM
    /// names it.
    pub const NATIVE: &'static str = "native_finish_reason";

    /// OpenAI's name of a reason that engines name otherwise, as `eos` is `stop`.
    pub fn canonical(self) -> Self {
        let Self::Other(name) = &self else {
            return self;
        };
        match name.as_str() {
            "end_turn" | "eos" | "eos_token" | "stop_sequence" => Self::Stop,
            "max_length" | "max_tokens" => Self::Length,
            "tool_call" | "tool_use" => Self::ToolCalls,
            _ => self,
        }
    }
}

fn object() -> String {
    "chat.completion".to_owned()
}

fn assistant() -> Role {
    Role::Assistant
}
