//! The response.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::block::Block;
use crate::chat::Role;
use crate::{field::Field, lenient, open_enum::open_enum};

/// A message of the model.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessagesResponse {
    /// The id of the message.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub id: String,
    /// Always `message`. Claude Code drops streams without it (vllm#45367).
    #[serde(rename = "type", default = "message")]
    pub type_: String,
    /// Always the assistant.
    #[serde(default = "assistant")]
    pub role: Role,
    /// The model.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub model: String,
    /// The content.
    pub content: Vec<Block>,
    /// Why the message ended; null at the start of a stream.
    #[serde(default)]
    pub stop_reason: Field<StopReason>,
    /// The stop sequence that occurred.
    #[serde(default)]
    pub stop_sequence: Field<String>,
    /// Details of a refusal.
    #[serde(default)]
    pub stop_details: Field<Value>,
    /// The token usage.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub usage: MessagesUsage,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl MessagesResponse {
    /// Creates a message without content; the members about its end are null.
    pub fn new(id: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            type_: message(),
            role: Role::Assistant,
            model: model.into(),
            content: Vec::new(),
            stop_reason: Field::Null,
            stop_sequence: Field::Null,
            stop_details: Field::Null,
            usage: MessagesUsage::default(),
            extra: Map::new(),
        }
    }
}

/// The token usage of a message.
///
/// The prompt has `input_tokens`, `cache_creation_input_tokens` and `cache_read_input_tokens`
/// together: `input_tokens` does not include the other two.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessagesUsage {
    /// The tokens of the prompt that were neither read from a cache nor written to one.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub input_tokens: Option<u64>,
    /// The tokens of the prompt that were written to a cache.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub cache_creation_input_tokens: Option<u64>,
    /// The tokens of the prompt that were read from a cache.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub cache_read_input_tokens: Option<u64>,
    /// The tokens of the output, including reasoning.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub output_tokens: Option<u64>,
    /// Details of the output tokens.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub output_tokens_details: Field<OutputTokensDetails>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Details of the output tokens.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OutputTokensDetails {
    /// Tokens of reasoning.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub thinking_tokens: Option<u64>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The response of `count_tokens`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenCount {
    /// The number of tokens of the prompt.
    pub input_tokens: u64,
}

impl TokenCount {
    /// Creates a count.
    pub fn new(input_tokens: u64) -> Self {
        Self { input_tokens }
    }
}

open_enum! {
    /// Why a message ended.
    pub enum StopReason {
        /// The model finished.
        EndTurn = "end_turn",
        /// The maximum number of tokens was reached.
        MaxTokens = "max_tokens",
        /// The model's context window is full.
        ModelContextWindowExceeded = "model_context_window_exceeded",
        /// A server tool paused the turn.
        PauseTurn = "pause_turn",
        /// The model refused, or a filter removed content.
        Refusal = "refusal",
        /// A stop sequence occurred.
        StopSequence = "stop_sequence",
        /// The model called tools.
        ToolUse = "tool_use",
    }
}

fn message() -> String {
    "message".to_owned()
}

fn assistant() -> Role {
    Role::Assistant
}
