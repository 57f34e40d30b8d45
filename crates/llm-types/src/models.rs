//! The list of models.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{field::Field, number::Number};

/// The response of `GET /models`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelList {
    /// Always `list`.
    pub object: String,
    /// The models.
    pub data: Vec<Model>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ModelList {
    /// Creates a list of models.
    pub fn new(data: Vec<Model>) -> Self {
        Self {
            object: "list".to_owned(),
            data,
            extra: Map::new(),
        }
    }
}

impl Default for ModelList {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// Reads OpenAI's `{"object": "list", "data": […]}` and Together's bare array.
impl<'de> Deserialize<'de> for ModelList {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor)
    }
}

/// One model.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Model {
    /// The name for requests.
    pub id: String,
    /// Always `model`.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub object: Field<String>,
    /// The creation time, in seconds of Unix time.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub created: Field<Number>,
    /// The owner.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub owned_by: Field<String>,
    /// All other members, such as prices, context length and templates.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Model {
    /// Creates a model with the four members that OpenAI's clients require.
    pub fn new(
        id: impl Into<String>,
        created: impl Into<Number>,
        owned_by: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            object: "model".into(),
            created: Field::Value(created.into()),
            owned_by: Field::Value(owned_by.into()),
            extra: Map::new(),
        }
    }
}

struct ListVisitor;

impl<'de> serde::de::Visitor<'de> for ListVisitor {
    type Value = ModelList;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of models, or an object with one in `data`")
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<ModelList, A::Error> {
        Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(list)).map(ModelList::new)
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<ModelList, A::Error> {
        let list = ListObject::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        Ok(ModelList {
            object: list.object.unwrap_or_else(|| "list".to_owned()),
            data: list.data,
            extra: list.extra,
        })
    }
}

#[derive(Deserialize)]
struct ListObject {
    object: Option<String>,
    data: Vec<Model>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}
