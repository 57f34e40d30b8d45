//! The error body.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{field::Field, lenient};

/// The body of a failed request, and the data of the event that ends a stream that fails.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "error")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "MessagesErrorResponse", transform = crate::schema::tagged("error"))
)]
pub struct MessagesErrorResponse {
    /// The error.
    pub error: MessagesError,
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub request_id: Field<String>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl From<MessagesError> for MessagesErrorResponse {
    fn from(error: MessagesError) -> Self {
        Self {
            error,
            request_id: Field::Absent,
            extra: Map::new(),
        }
    }
}

/// The details of an error.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessagesError {
    /// The type of the error, such as `invalid_request_error`.
    #[serde(rename = "type", default, deserialize_with = "lenient::or_default")]
    pub type_: String,
    /// The message.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub message: String,
    /// Details, such as `error_code`.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub details: Field<Map<String, Value>>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl MessagesError {
    /// Creates an error.
    pub fn new(type_: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            type_: type_.into(),
            message: message.into(),
            ..Self::default()
        }
    }

    /// Sets the machine-readable `details.error_code`.
    #[must_use]
    pub fn with_error_code(mut self, code: impl Into<String>) -> Self {
        let code = ("error_code".to_owned(), Value::String(code.into()));
        self.details = Field::Value(Map::from_iter([code]));
        self
    }
}
