//! Moderations: whether texts and images are potentially harmful.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{lenient, number::Number};

/// A request of `POST /v1/moderations`.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModerationRequest {
    /// The model; OpenAI has a default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// A text, several texts, or parts with texts and images.
    pub input: Value,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ModerationRequest {
    /// Creates a request to classify a text, several texts, or parts.
    pub fn new(model: impl Into<String>, input: impl Into<Value>) -> Self {
        Self {
            model: model.into(),
            input: input.into(),
            extra: Map::new(),
        }
    }
}

/// The response to a [`ModerationRequest`].
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModerationResponse {
    /// The id of the response.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub id: String,
    /// The model.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub model: String,
    /// One for each input.
    pub results: Vec<ModerationResult>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The classification of one input.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModerationResult {
    /// Whether any category applies.
    pub flagged: bool,
    /// Which categories apply; null for one that the model does not know.
    #[serde(default)]
    pub categories: BTreeMap<String, Option<bool>>,
    /// The score of each category, from 0 to 1.
    #[serde(default)]
    pub category_scores: BTreeMap<String, Number>,
    /// All other members, such as `category_applied_input_types`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
