//! Embeddings: vectors for texts.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{field::Field, input::TextInput, lenient, open_enum::open_enum, usage::Usage};

mod base64;
mod vector;

pub use vector::{Vector, VectorError};

/// A request for embeddings.
///
/// As in [`ChatRequest`](crate::ChatRequest), `null` parameters are left out when written, and
/// parameters without a field are in `extra`.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EmbeddingRequest {
    /// The model.
    pub model: String,
    /// The texts, in the same four forms as a completion's prompt.
    pub input: TextInput,
    /// The number of dimensions of each vector.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub dimensions: Option<u64>,
    /// The format of the vectors; OpenAI's clients request base64 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_format: Option<EncodingFormat>,
    /// The end user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// All other parameters.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl EmbeddingRequest {
    /// Creates a request with only the required members.
    pub fn new(model: impl Into<String>, input: impl Into<TextInput>) -> Self {
        Self {
            model: model.into(),
            input: input.into(),
            dimensions: None,
            encoding_format: None,
            user: None,
            extra: Map::new(),
        }
    }

    /// Sets the format of the vectors.
    #[must_use]
    pub fn with_encoding_format(mut self, format: EncodingFormat) -> Self {
        self.encoding_format = Some(format);
        self
    }

    /// Sets the number of dimensions of each vector.
    #[must_use]
    pub fn with_dimensions(mut self, dimensions: u64) -> Self {
        self.dimensions = Some(dimensions);
        self
    }
}

/// The vectors.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EmbeddingResponse {
    /// Always `list`.
    #[serde(default = "list")]
    pub object: String,
    /// The vectors, in the order of the texts.
    pub data: Vec<Embedding>,
    /// The model.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub model: String,
    /// The token usage. Together leaves it out; OpenAI's clients require it.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub usage: Field<Usage>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl EmbeddingResponse {
    /// Creates a response with these vectors, numbered in order.
    pub fn new(model: impl Into<String>, vectors: impl IntoIterator<Item = Vector>) -> Self {
        let embedding = |(index, vector)| Embedding::new(index, vector);
        Self {
            object: list(),
            data: (0..).zip(vectors).map(embedding).collect(),
            model: model.into(),
            usage: Field::Absent,
            extra: Map::new(),
        }
    }

    /// Sets the token usage.
    #[must_use]
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = Field::Value(usage);
        self
    }

    /// Converts all vectors to the format that the client requested. OpenAI's clients read both.
    ///
    /// # Errors
    ///
    /// When a vector is not the base64 of 32-bit floats.
    pub fn encode(&mut self, format: &EncodingFormat) -> Result<(), VectorError> {
        for embedding in &mut self.data {
            let floats = embedding.embedding.to_f32s()?;
            embedding.embedding = match format {
                EncodingFormat::Base64 => Vector::base64(&floats),
                _ => Vector::floats(&floats),
            };
        }
        Ok(())
    }
}

/// The vector of one text.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Embedding {
    /// Always `embedding`.
    #[serde(default = "embedding")]
    pub object: String,
    /// The index of the text.
    #[serde(default, deserialize_with = "lenient::index")]
    pub index: u32,
    /// The vector.
    pub embedding: Vector,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Embedding {
    /// Creates the embedding of the text at this index.
    pub fn new(index: u32, vector: Vector) -> Self {
        Self {
            object: embedding(),
            index,
            embedding: vector,
            extra: Map::new(),
        }
    }
}

open_enum! {
    /// The format of vectors.
    pub enum EncodingFormat {
        /// Little-endian 32-bit floats, in base64.
        Base64 = "base64",
        /// An array of numbers.
        Float = "float",
    }
}

fn list() -> String {
    "list".to_owned()
}

fn embedding() -> String {
    "embedding".to_owned()
}
