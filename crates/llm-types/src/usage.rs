//! Token usage.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{field::Field, lenient};

/// The token usage of a request.
///
/// Every count is optional: embeddings and rerank have no completion tokens, and some engines send
/// `{}` (zed#42893). The methods with the same names return 0 for a missing count.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Usage {
    /// The number of prompt tokens.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub prompt_tokens: Option<u64>,
    /// The number of completion tokens.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub completion_tokens: Option<u64>,
    /// The sum of both.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub total_tokens: Option<u64>,
    /// Details of the prompt tokens.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub prompt_tokens_details: Field<PromptTokensDetails>,
    /// Details of the completion tokens.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub completion_tokens_details: Field<CompletionTokensDetails>,
    /// All other members, such as Together's flat `cached_tokens` and `reasoning_tokens`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Usage {
    /// Creates the usage of a prompt and its completion, with their sum.
    pub fn new(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self {
            prompt_tokens: Some(prompt_tokens),
            completion_tokens: Some(completion_tokens),
            total_tokens: Some(prompt_tokens.saturating_add(completion_tokens)),
            ..Self::default()
        }
    }

    /// Creates the usage of a call without completion tokens, such as for embeddings.
    pub fn prompt_only(prompt_tokens: u64) -> Self {
        Self {
            prompt_tokens: Some(prompt_tokens),
            total_tokens: Some(prompt_tokens),
            ..Self::default()
        }
    }

    /// Whether prompt or completion tokens were counted. Some engines send `{}`, or nulls.
    pub fn has_counts(&self) -> bool {
        self.prompt_tokens.is_some() || self.completion_tokens.is_some()
    }

    /// The number of prompt tokens; 0 if missing.
    pub fn prompt(&self) -> u64 {
        self.prompt_tokens.unwrap_or(0)
    }

    /// The number of completion tokens; 0 if missing.
    pub fn completion(&self) -> u64 {
        self.completion_tokens.unwrap_or(0)
    }

    /// The total: as reported, or the sum.
    pub fn total(&self) -> u64 {
        self.total_tokens
            .unwrap_or_else(|| self.prompt().saturating_add(self.completion()))
    }

    /// Prompt tokens read from a cache, in OpenAI's nested member or in Together's flat one.
    pub fn cached(&self) -> Option<u64> {
        self.prompt_tokens_details
            .value()
            .and_then(|details| details.cached_tokens)
            .or_else(|| self.flat("cached_tokens"))
    }

    /// Reasoning tokens, in OpenAI's nested member or in Together's flat one.
    ///
    /// Together counts them separately: they can exceed the completion tokens.
    pub fn reasoning(&self) -> Option<u64> {
        self.completion_tokens_details
            .value()
            .and_then(|details| details.reasoning_tokens)
            .or_else(|| self.flat("reasoning_tokens"))
    }

    fn flat(&self, key: &str) -> Option<u64> {
        self.extra.get(key).and_then(Value::as_u64)
    }
}

/// Details of the prompt tokens.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PromptTokensDetails {
    /// Audio tokens.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub audio_tokens: Option<u64>,
    /// Tokens written to a cache.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub cache_write_tokens: Option<u64>,
    /// Tokens read from a cache.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub cached_tokens: Option<u64>,
    /// Image tokens.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub image_tokens: Option<u64>,
    /// Text tokens.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub text_tokens: Option<u64>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Details of the completion tokens.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompletionTokensDetails {
    /// Accepted tokens of a predicted output.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub accepted_prediction_tokens: Option<u64>,
    /// Audio tokens.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub audio_tokens: Option<u64>,
    /// Reasoning tokens.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub reasoning_tokens: Option<u64>,
    /// Rejected tokens of a predicted output.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub rejected_prediction_tokens: Option<u64>,
    /// Text tokens.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub text_tokens: Option<u64>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
