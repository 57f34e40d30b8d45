//! The request.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::block::BlockContent;
use crate::chat::{ReasoningEffort, Role};
use crate::{field::Field, lenient, number::Number, open_enum::open_enum};

/// A request for a message; also the body of `count_tokens`, which has no `max_tokens`.
///
/// A `null` parameter means the same as an absent one and is left out when written.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessagesRequest {
    /// The model.
    pub model: String,
    /// The messages of the conversation.
    pub messages: Vec<InputMessage>,
    /// The maximum number of tokens to generate, including reasoning; required for a message.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_tokens: Option<u64>,
    /// Metadata; `user_id` is a stable identifier of the end user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// The reasoning effort and the format of the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_config: Option<OutputConfig>,
    /// The format of the output; the beta name of `output_config.format`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<OutputFormat>,
    /// Where to stop generating.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_sequences: Option<Vec<String>>,
    /// Whether to stream the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// The instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<BlockContent>,
    /// The sampling temperature, from 0 to 1; rejected by Anthropic since 2026-10-21.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Number>,
    /// Whether and how much the model reasons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<ThinkingConfig>,
    /// Which tool to call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<MessagesToolChoice>,
    /// The tools that the model may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<MessagesTool>>,
    /// The number of most likely tokens to sample from; rejected by Anthropic since 2026-10-21.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<Number>,
    /// The nucleus sampling threshold; rejected by Anthropic since 2026-10-21.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<Number>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl MessagesRequest {
    /// Creates a request with only the required members.
    pub fn new(
        model: impl Into<String>,
        max_tokens: u64,
        messages: impl Into<Vec<InputMessage>>,
    ) -> Self {
        Self {
            model: model.into(),
            max_tokens: Some(max_tokens),
            messages: messages.into(),
            ..Self::default()
        }
    }

    /// Whether streaming is requested.
    pub fn is_stream(&self) -> bool {
        self.stream == Some(true)
    }
}

/// One message of the conversation.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InputMessage {
    /// `user`, `assistant` or, since 2026-10-21, `system`.
    pub role: Role,
    /// The content.
    pub content: BlockContent,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl InputMessage {
    /// Creates a message.
    pub fn new(role: impl Into<Role>, content: impl Into<BlockContent>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
            extra: Map::new(),
        }
    }
}

/// A tool: the client's own, or one of Anthropic's, which have a dated `type`.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessagesTool {
    /// The name.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub name: Field<String>,
    /// `custom`, null or absent for the client's own tools.
    #[serde(default, rename = "type", skip_serializing_if = "Field::is_absent")]
    pub type_: Field<String>,
    /// The description.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub description: Field<String>,
    /// The JSON schema of the arguments, in the client's order.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub input_schema: Field<Value>,
    /// Whether the arguments must follow the schema.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub strict: Field<bool>,
    /// All other members, such as `cache_control`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl MessagesTool {
    /// Whether it is the client's own tool, and not one of Anthropic's.
    pub fn is_custom(&self) -> bool {
        matches!(self.type_.as_str(), None | Some("custom"))
    }
}

/// Which tool to call.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessagesToolChoice {
    /// `auto`, `any`, `tool` or `none`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The tool's name, if the type is `tool`.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub name: Field<String>,
    /// Whether the model may call only one tool at a time.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub disable_parallel_tool_use: Field<bool>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Whether and how much the model reasons.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ThinkingConfig {
    /// The mode.
    #[serde(rename = "type")]
    pub type_: ThinkingMode,
    /// The maximum number of tokens for reasoning, if the mode is `enabled`.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub budget_tokens: Option<u64>,
    /// `summarized` or `omitted`.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub display: Field<String>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The reasoning effort and the format of the output.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OutputConfig {
    /// The reasoning effort.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub effort: Field<ReasoningEffort>,
    /// The format.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub format: Field<OutputFormat>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The format of the output.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OutputFormat {
    /// `json_schema`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The JSON schema, in the client's order.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub schema: Field<Value>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

open_enum! {
    /// Whether the model reasons.
    pub enum ThinkingMode {
        /// The model decides.
        Adaptive = "adaptive",
        /// Between tool calls, too; the model decides.
        BetweenTools = "between_tools",
        /// No.
        Disabled = "disabled",
        /// Yes, within `budget_tokens`.
        Enabled = "enabled",
    }
}
