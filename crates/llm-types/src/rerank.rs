//! Rerank, as in Cohere's API versions 1 and 2, and Together's variant.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::tagged::{by_form, unexpected};
use crate::{field::Field, lenient, number::Number, usage::Usage};

/// A request to sort documents by relevance to a query.
///
/// It has the members of both versions. `null` members are left out when written, and parameters
/// without a field are in `extra`.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RerankRequest {
    /// The model; optional in version 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The query.
    pub query: String,
    /// The documents; version 2 accepts only texts.
    pub documents: Vec<RerankDocument>,
    /// The maximum number of results.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub top_n: Option<u64>,
    /// The members of object documents to rank by (version 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank_fields: Option<Vec<String>>,
    /// Whether to include the documents in the results (version 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_documents: Option<bool>,
    /// The maximum number of chunks per document (version 1).
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_chunks_per_doc: Option<u64>,
    /// The maximum number of tokens per document (version 2).
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_tokens_per_doc: Option<u64>,
    /// All other parameters, such as version 2's `priority`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl RerankRequest {
    /// Creates a request with only the required members.
    pub fn new<D: Into<RerankDocument>>(
        model: impl Into<String>,
        query: impl Into<String>,
        documents: impl IntoIterator<Item = D>,
    ) -> Self {
        Self {
            model: Some(model.into()),
            query: query.into(),
            documents: documents.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Sets the maximum number of results.
    #[must_use]
    pub fn with_top_n(mut self, top_n: u64) -> Self {
        self.top_n = Some(top_n);
        self
    }

    /// Sets whether to include the documents in the results.
    #[must_use]
    pub fn with_return_documents(mut self, return_documents: bool) -> Self {
        self.return_documents = Some(return_documents);
        self
    }
}

/// A document: a text, or an object with a `text` member.
#[allow(clippy::exhaustive_enums)] // Cohere's schema has these two forms
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum RerankDocument {
    /// An object. Its `text` is ranked unless `rank_fields` names other members.
    Object(Map<String, Value>),
    /// A text.
    Text(String),
}

impl RerankDocument {
    /// Wraps a text in an object, the form of documents in results.
    pub fn object(text: impl Into<String>) -> Self {
        Self::Object(Map::from_iter([(
            "text".to_owned(),
            Value::String(text.into()),
        )]))
    }

    /// The text, in either form.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Object(map) => map.get("text").and_then(Value::as_str),
            Self::Text(text) => Some(text),
        }
    }

    /// The document as Together includes it in a result: objects as their JSON text.
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Object(map) => Cow::Owned(Value::Object(map.clone()).to_string()),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }
}

impl From<&str> for RerankDocument {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for RerankDocument {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<'de> Deserialize<'de> for RerankDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| match value {
            Value::Object(map) => Ok(Self::Object(map)),
            Value::String(text) => Ok(Self::Text(text)),
            other => Err(unexpected("a string or an object", &other)),
        })
    }
}

/// The results, sorted by relevance.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RerankResponse {
    /// The id of the response.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub id: Field<String>,
    /// `rerank` at Together; Cohere has no such member.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub object: Field<String>,
    /// The model, at Together.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub model: Field<String>,
    /// The results, the most relevant first.
    pub results: Vec<RerankResult>,
    /// Version and billing, at Cohere.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub meta: Field<RerankMeta>,
    /// The token usage, at Together.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub usage: Field<Usage>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl RerankResponse {
    /// Creates a response with an id and results.
    pub fn new(id: impl Into<String>, results: impl Into<Vec<RerankResult>>) -> Self {
        Self {
            id: Field::Value(id.into()),
            results: results.into(),
            ..Self::default()
        }
    }

    /// Sets version and billing.
    #[must_use]
    pub fn with_meta(mut self, meta: RerankMeta) -> Self {
        self.meta = Field::Value(meta);
        self
    }
}

/// The relevance of one document.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RerankResult {
    /// The index of the document in the request.
    #[serde(deserialize_with = "lenient::index")]
    pub index: u32,
    /// The relevance score, usually from 0 to 1.
    pub relevance_score: Number,
    /// The document, if requested.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub document: Field<RerankDocument>,
    /// All other members, such as version 2's `relevant_spans`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl RerankResult {
    /// Creates the result for the document at this index.
    pub fn new(index: u32, relevance_score: impl Into<Number>) -> Self {
        Self {
            index,
            relevance_score: relevance_score.into(),
            document: Field::Absent,
            extra: Map::new(),
        }
    }

    /// Includes the document.
    #[must_use]
    pub fn with_document(mut self, document: RerankDocument) -> Self {
        self.document = Field::Value(document);
        self
    }
}

/// Version and billing of a rerank call; all counts are floats in Cohere's schema.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RerankMeta {
    /// The version of the API.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub api_version: Field<ApiVersion>,
    /// The billed units.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub billed_units: Field<BilledUnits>,
    /// The token counts.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub tokens: Field<RerankTokens>,
    /// Warnings for the caller.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub warnings: Field<Vec<String>>,
    /// All other members, such as `cached_tokens`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl RerankMeta {
    /// Creates metadata with the API version (`1` or `2`) and the number of billed searches.
    pub fn new(version: impl Into<String>, search_units: impl Into<Number>) -> Self {
        Self {
            api_version: Field::Value(ApiVersion {
                version: version.into(),
                extra: Map::new(),
            }),
            billed_units: Field::Value(BilledUnits {
                search_units: Field::Value(search_units.into()),
                extra: Map::new(),
            }),
            ..Self::default()
        }
    }
}

/// The version of the API.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ApiVersion {
    /// `1` or `2`.
    pub version: String,
    /// All other members, such as `is_deprecated`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The billed units.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BilledUnits {
    /// The number of searches.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub search_units: Field<Number>,
    /// All other members, such as `input_tokens`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The token counts of a rerank call.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RerankTokens {
    /// The number of input tokens: query and documents.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub input_tokens: Field<Number>,
    /// The number of output tokens.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub output_tokens: Field<Number>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
