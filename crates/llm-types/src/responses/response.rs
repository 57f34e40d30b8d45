//! The response.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::item::Item;
use super::tool::ResponsesTool;
use crate::chat::ToolChoice;
use crate::{field::Field, lenient, number::Number, open_enum::open_enum};

/// A response.
///
/// Clients of the Open Responses specification require every member without a default here, also
/// those that are null; [`new`](Self::new) sets them.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResponsesResponse {
    /// The id.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub id: String,
    /// Always `response`.
    #[serde(default = "object")]
    pub object: String,
    /// The creation time, in seconds of Unix time.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub created_at: Number,
    /// The time at which it was completed, in seconds of Unix time.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub completed_at: Field<Number>,
    /// The status.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub status: Field<ResponsesStatus>,
    /// Why the response is incomplete: an object with `reason`.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub incomplete_details: Field<Value>,
    /// Why the response failed: an object with `code` and `message`.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub error: Field<Value>,
    /// The model.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub model: String,
    /// The output.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub output: Vec<Item>,
    /// The tools of the request.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub tools: Vec<ResponsesTool>,
    /// The choice of a tool of the request.
    #[serde(default = "ToolChoice::auto")]
    pub tool_choice: ToolChoice,
    /// Whether the model was allowed to call several tools at once.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub parallel_tool_calls: bool,
    /// The token usage.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub usage: Field<ResponsesUsage>,
    /// All other members, most of them repeated from the request.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ResponsesResponse {
    /// Creates a response in progress, without output.
    pub fn new(
        id: impl Into<String>,
        created_at: impl Into<Number>,
        model: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            object: object(),
            created_at: created_at.into(),
            completed_at: Field::Null,
            status: Field::Value(ResponsesStatus::InProgress),
            incomplete_details: Field::Null,
            error: Field::Null,
            model: model.into(),
            output: Vec::new(),
            tools: Vec::new(),
            tool_choice: ToolChoice::auto(),
            parallel_tool_calls: true,
            usage: Field::Null,
            extra: Map::new(),
        }
    }
}

/// The token usage of a response.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResponsesUsage {
    /// The tokens of the prompt.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub input_tokens: u64,
    /// Details of the prompt tokens.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub input_tokens_details: InputTokensDetails,
    /// The tokens of the output, including reasoning.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub output_tokens: u64,
    /// Details of the output tokens.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub output_tokens_details: ResponsesTokensDetails,
    /// The sum of both.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub total_tokens: u64,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Details of the prompt tokens.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InputTokensDetails {
    /// Tokens read from a cache.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub cached_tokens: u64,
    /// Tokens written to a cache.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub cache_write_tokens: Option<u64>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Details of the output tokens.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResponsesTokensDetails {
    /// Tokens of reasoning.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub reasoning_tokens: u64,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

open_enum! {
    /// The status of a response.
    pub enum ResponsesStatus {
        /// Cancelled by the client.
        Cancelled = "cancelled",
        /// Complete.
        Completed = "completed",
        /// Failed.
        Failed = "failed",
        /// Being generated.
        InProgress = "in_progress",
        /// Cut off.
        Incomplete = "incomplete",
        /// Waiting to be generated.
        Queued = "queued",
    }
}

fn object() -> String {
    "response".to_owned()
}
