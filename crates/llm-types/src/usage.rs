//! Token counts.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{field::Field, lenient};

/// The token counts of a request.
///
/// Every count is optional: embeddings and rerank have no completion tokens, and some engines send
/// `{}` (zed#42893). The methods of the same purpose answer 0 then.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Usage {
    /// Tokens of the prompt.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer.
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
    /// What the prompt's tokens were.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub prompt_tokens_details: Field<PromptTokensDetails>,
    /// What the answer's tokens were.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub completion_tokens_details: Field<CompletionTokensDetails>,
    /// Members not named above; Together's flat `cached_tokens` and `reasoning_tokens` are here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Usage {
    /// Counts of a prompt and its answer, with their sum.
    pub fn new(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self {
            prompt_tokens: Some(prompt_tokens),
            completion_tokens: Some(completion_tokens),
            total_tokens: Some(prompt_tokens.saturating_add(completion_tokens)),
            ..Self::default()
        }
    }

    /// Counts of a prompt that has no answer in tokens: embeddings.
    pub fn prompt_only(prompt_tokens: u64) -> Self {
        Self {
            prompt_tokens: Some(prompt_tokens),
            total_tokens: Some(prompt_tokens),
            ..Self::default()
        }
    }

    /// Tokens of the prompt, 0 when not told.
    pub fn prompt(&self) -> u64 {
        self.prompt_tokens.unwrap_or(0)
    }

    /// Tokens of the answer, 0 when not told.
    pub fn completion(&self) -> u64 {
        self.completion_tokens.unwrap_or(0)
    }

    /// All tokens: as told, or the sum.
    pub fn total(&self) -> u64 {
        self.total_tokens
            .unwrap_or_else(|| self.prompt().saturating_add(self.completion()))
    }

    /// Prompt tokens read from a cache, in OpenAI's place or in Together's flat one.
    pub fn cached(&self) -> Option<u64> {
        self.prompt_tokens_details
            .value()
            .and_then(|details| details.cached_tokens)
            .or_else(|| self.flat("cached_tokens"))
    }

    /// Tokens of the reasoning, in OpenAI's place or in Together's flat one.
    ///
    /// Together counts them apart: they can exceed the completion tokens.
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

/// What the tokens of a prompt were.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PromptTokensDetails {
    /// Tokens of audio input.
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
    /// Tokens of image input.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub image_tokens: Option<u64>,
    /// Tokens of text.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub text_tokens: Option<u64>,
    /// Members not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What the tokens of an answer were.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompletionTokensDetails {
    /// Tokens of a predicted output that came true.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub accepted_prediction_tokens: Option<u64>,
    /// Tokens of audio output.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub audio_tokens: Option<u64>,
    /// Tokens of reasoning.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub reasoning_tokens: Option<u64>,
    /// Tokens of a predicted output that did not come true.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub rejected_prediction_tokens: Option<u64>,
    /// Tokens of text.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub text_tokens: Option<u64>,
    /// Members not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
