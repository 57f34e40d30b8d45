//! Rerank in the shape of Cohere's API, versions 1 and 2, and Together's kin.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::tagged::{by_form, unexpected};
use crate::{field::Field, lenient, number::Number, usage::Usage};

/// A request to sort documents by how well they answer a query.
///
/// The members are those of version 1 and of version 2 together; `null` ones are left out when
/// written, and parameters not named here are in `extra`.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RerankRequest {
    /// The model; optional in version 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The query.
    pub query: String,
    /// The documents; only texts in version 2.
    pub documents: Vec<Document>,
    /// How many results to tell.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub top_n: Option<u64>,
    /// The members of object documents to look at (version 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank_fields: Option<Vec<String>>,
    /// Whether to repeat the documents in the results (version 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_documents: Option<bool>,
    /// The most pieces to cut a document into (version 1).
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_chunks_per_doc: Option<u64>,
    /// Where to cut documents off (version 2).
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_tokens_per_doc: Option<u64>,
    /// Parameters not named above, as version 2's `priority`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl RerankRequest {
    /// A request with nothing but the required.
    pub fn new<D: Into<Document>>(
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

    /// Sets how many results to tell.
    pub fn with_top_n(mut self, top_n: u64) -> Self {
        self.top_n = Some(top_n);
        self
    }

    /// Asks for the documents in the results, or not.
    pub fn with_return_documents(mut self, wanted: bool) -> Self {
        self.return_documents = Some(wanted);
        self
    }
}

/// A document: text, or an object with a `text`.
#[allow(clippy::exhaustive_enums)] // Cohere's schema has these two forms
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Document {
    /// An object; its `text` unless `rank_fields` name others.
    Object(Map<String, Value>),
    /// Text.
    Text(String),
}

impl Document {
    /// A text wrapped in an object, the form of documents in results.
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

    /// The document as Together repeats it in a result: objects as their JSON text.
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Object(map) => Cow::Owned(Value::Object(map.clone()).to_string()),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }
}

impl From<&str> for Document {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Document {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| match value {
            Value::Object(map) => Ok(Self::Object(map)),
            Value::String(text) => Ok(Self::Text(text)),
            other => Err(unexpected("a string or an object", &other)),
        })
    }
}

/// The documents, sorted by relevance.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RerankResponse {
    /// The id of the answer.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub id: Field<String>,
    /// `rerank` with Together; Cohere has no such member.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub object: Field<String>,
    /// The model that answered, with Together.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub model: Field<String>,
    /// The results, the best first.
    pub results: Vec<RerankResult>,
    /// Version and cost, with Cohere.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub meta: Field<RerankMeta>,
    /// The token counts, with Together.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub usage: Field<Usage>,
    /// Members not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl RerankResponse {
    /// A response with an id and results.
    pub fn new(id: impl Into<String>, results: impl Into<Vec<RerankResult>>) -> Self {
        Self {
            id: Field::Value(id.into()),
            results: results.into(),
            ..Self::default()
        }
    }

    /// Sets version and cost.
    pub fn with_meta(mut self, meta: RerankMeta) -> Self {
        self.meta = Field::Value(meta);
        self
    }
}

/// One document's relevance.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RerankResult {
    /// The place of the document in the request.
    #[serde(deserialize_with = "lenient::index")]
    pub index: u32,
    /// The relevance, most often 0 to 1.
    pub relevance_score: Number,
    /// The document, when asked for.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub document: Field<Document>,
    /// Members not named above, as version 2's `relevant_spans`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl RerankResult {
    /// The relevance of the document in this place.
    pub fn new(index: u32, relevance_score: impl Into<Number>) -> Self {
        Self {
            index,
            relevance_score: relevance_score.into(),
            document: Field::Absent,
            extra: Map::new(),
        }
    }

    /// Repeats the document.
    pub fn with_document(mut self, document: Document) -> Self {
        self.document = Field::Value(document);
        self
    }
}

/// Version and cost of a rerank; all counts are floats in Cohere's schema.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RerankMeta {
    /// The version of the API.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub api_version: Field<ApiVersion>,
    /// What is to be paid.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub billed_units: Field<BilledUnits>,
    /// The token counts.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub tokens: Field<RerankTokens>,
    /// What the caller should know.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub warnings: Field<Vec<String>>,
    /// Members not named above, as `cached_tokens`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl RerankMeta {
    /// The version of the API (`1` or `2`) and the searches to be paid.
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
    /// Members not named above, as `is_deprecated`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What is to be paid.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BilledUnits {
    /// Searches.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub search_units: Field<Number>,
    /// Members not named above, as `input_tokens`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Token counts of a rerank.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RerankTokens {
    /// Tokens of query and documents.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub input_tokens: Field<Number>,
    /// Tokens of the answer.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub output_tokens: Field<Number>,
    /// Members not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
