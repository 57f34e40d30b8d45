//! Response formats.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::field::Field;
use crate::tagged::{by_form, object, tag, type_of, untag};

/// The required format of the response.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ResponseFormat {
    /// JSON that follows a schema.
    JsonSchema(JsonSchemaFormat),
    /// Another format, unchanged: `text`, `json_object`, Together's `regex`.
    Other(Map<String, Value>),
}

impl ResponseFormat {
    /// Text, the default.
    pub fn text() -> Self {
        Self::of_type("text")
    }

    /// Any JSON object.
    pub fn json_object() -> Self {
        Self::of_type("json_object")
    }

    /// JSON that follows the schema.
    pub fn json_schema(name: impl Into<String>, schema: impl Into<Value>) -> Self {
        let json_schema = Map::from_iter([
            ("name".to_owned(), Value::String(name.into())),
            ("schema".to_owned(), schema.into()),
        ]);
        Self::JsonSchema(JsonSchemaFormat {
            json_schema: Field::Value(json_schema),
            extra: Map::new(),
        })
    }

    /// Sets whether the response must follow the schema exactly. It has no effect on formats without
    /// a schema.
    #[must_use]
    pub fn with_strict(mut self, strict: bool) -> Self {
        if let Self::JsonSchema(JsonSchemaFormat {
            json_schema: Field::Value(format),
            ..
        }) = &mut self
        {
            format.insert("strict".to_owned(), strict.into());
        }
        self
    }

    /// The type on the wire.
    pub fn type_(&self) -> &str {
        match self {
            Self::JsonSchema(_) => "json_schema",
            Self::Other(map) => type_of(map),
        }
    }

    /// The JSON schema, in OpenAI's nested member or in Together's flat one.
    pub fn schema(&self) -> Option<&Value> {
        match self {
            Self::JsonSchema(format) => format
                .json_schema
                .value()
                .and_then(|inner| inner.get("schema"))
                .or_else(|| format.extra.get("schema")),
            Self::Other(map) => map.get("schema"),
        }
    }

    fn of_type(type_: &str) -> Self {
        Self::Other(Map::from_iter([("type".to_owned(), type_.into())]))
    }
}

impl<'de> Deserialize<'de> for ResponseFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| {
            let map = object(value)?;
            match tag(&map)? {
                "json_schema" => untag(map).map(Self::JsonSchema),
                _ => Ok(Self::Other(map)),
            }
        })
    }
}

/// JSON that follows a schema.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "json_schema")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "JsonSchemaFormat", transform = crate::schema::tagged("json_schema"))
)]
pub struct JsonSchemaFormat {
    /// `name`, `description`, `schema` and `strict`; absent in Together's flat form.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub json_schema: Field<Map<String, Value>>,
    /// All other members; Together's flat form has `schema` here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
