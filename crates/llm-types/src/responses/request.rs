//! The request.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::item::Item;
use super::tool::ResponsesTool;
use crate::chat::{ReasoningEffort, ToolChoice};
use crate::tagged::{by_form, elements, unexpected};
use crate::{field::Field, lenient, number::Number};

/// A request for a response.
///
/// A `null` parameter means the same as an absent one and is left out when written.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResponsesRequest {
    /// The model.
    pub model: String,
    /// The conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<ResponsesInput>,
    /// Whether to answer at once and generate later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<bool>,
    /// The stored conversation to which the request belongs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Value>,
    /// Additional members that the response should have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<String>>,
    /// The instructions, which precede the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The maximum number of tokens to generate, including reasoning.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_output_tokens: Option<u64>,
    /// The maximum number of calls of tools that run on the server.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_tool_calls: Option<u64>,
    /// Metadata that the response repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// Whether the model may call several tools at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// The response that this request continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_response_id: Option<String>,
    /// A stored prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Value>,
    /// The key of the prompt cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_cache_key: Option<String>,
    /// Whether and how much the model reasons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<ReasoningConfig>,
    /// A stable identifier of the end user, for abuse detection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safety_identifier: Option<String>,
    /// The service tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Whether to store the response; the default is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<bool>,
    /// Whether to stream the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// The sampling temperature, from 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Number>,
    /// The format and verbosity of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<TextConfig>,
    /// Which tool to call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// The tools that the model may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<ResponsesTool>>,
    /// For how many tokens per position to return log probabilities.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub top_logprobs: Option<u64>,
    /// The nucleus sampling threshold, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<Number>,
    /// Whether the server may drop items if the input is too long: `auto` or `disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncation: Option<String>,
    /// The end user; the older name of `safety_identifier`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ResponsesRequest {
    /// Creates a request with only the model and the input.
    pub fn new(model: impl Into<String>, input: impl Into<ResponsesInput>) -> Self {
        Self {
            model: model.into(),
            input: Some(input.into()),
            ..Self::default()
        }
    }

    /// Whether streaming is requested.
    pub fn is_stream(&self) -> bool {
        self.stream == Some(true)
    }
}

/// The conversation: a string or a list of items, written in the form in which it was read.
#[allow(clippy::exhaustive_enums)] // OpenAI's schema has these two forms
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ResponsesInput {
    /// One message of the user.
    Text(String),
    /// Items.
    Items(Vec<Item>),
}

impl From<&str> for ResponsesInput {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<Item>> for ResponsesInput {
    fn from(items: Vec<Item>) -> Self {
        Self::Items(items)
    }
}

impl<'de> Deserialize<'de> for ResponsesInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| match value {
            Value::String(text) => Ok(Self::Text(text)),
            Value::Array(items) => elements(items).map(Self::Items),
            other => Err(unexpected("a string or an array of items", &other)),
        })
    }
}

/// Whether and how much the model reasons.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReasoningConfig {
    /// The effort.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub effort: Field<ReasoningEffort>,
    /// `auto`, `concise` or `detailed`.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub summary: Field<String>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The format and verbosity of the text.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TextConfig {
    /// The format.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub format: Field<TextFormat>,
    /// `low`, `medium` or `high`.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub verbosity: Field<String>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The format of the text; unlike in chat requests, its members are not nested.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TextFormat {
    /// `text`, `json_object` or `json_schema`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The name of the schema.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub name: Field<String>,
    /// The description of the schema.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub description: Field<String>,
    /// The JSON schema, in the client's order.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub schema: Field<Value>,
    /// Whether the text must follow the schema.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub strict: Field<bool>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
