//! Tools.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::field::Field;
use crate::tagged::{by_form, object, tag, type_of, untag};

/// A tool that the model may call.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ResponsesTool {
    /// A tool whose input is free text.
    Custom(ResponsesCustomTool),
    /// A function with JSON arguments.
    Function(ResponsesFunctionTool),
    /// Several tools under a common name.
    Namespace(NamespaceTool),
    /// A tool of another type, such as `web_search`, unchanged.
    Other(Map<String, Value>),
}

impl ResponsesTool {
    /// The type of the tool on the wire.
    pub fn type_(&self) -> &str {
        match self {
            Self::Custom(_) => "custom",
            Self::Function(_) => "function",
            Self::Namespace(_) => "namespace",
            Self::Other(map) => type_of(map),
        }
    }
}

impl<'de> Deserialize<'de> for ResponsesTool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| {
            let map = object(value)?;
            match tag(&map)? {
                "custom" => untag(map).map(Self::Custom),
                "function" => untag(map).map(Self::Function),
                "namespace" => untag(map).map(Self::Namespace),
                _ => Ok(Self::Other(map)),
            }
        })
    }
}

/// A function with JSON arguments; unlike in chat requests, its members are not nested.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "function")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "ResponsesFunctionTool", transform = crate::schema::tagged("function"))
)]
pub struct ResponsesFunctionTool {
    /// The name.
    pub name: String,
    /// The description.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub description: Field<String>,
    /// The JSON schema of its arguments, in the client's order.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub parameters: Field<Value>,
    /// Whether the arguments must follow the schema.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub strict: Field<bool>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A tool whose input is free text.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "custom")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "ResponsesCustomTool", transform = crate::schema::tagged("custom"))
)]
pub struct ResponsesCustomTool {
    /// The name.
    pub name: String,
    /// The description.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub description: Field<String>,
    /// `{"type": "text"}`, or a grammar.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub format: Field<Value>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Several tools under a common name.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "namespace")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "NamespaceTool", transform = crate::schema::tagged("namespace"))
)]
pub struct NamespaceTool {
    /// The name.
    pub name: String,
    /// The description.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub description: Field<String>,
    /// The tools.
    pub tools: Vec<ResponsesTool>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
