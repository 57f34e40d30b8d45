//! The JSON Schemas of types for which schemars cannot derive one.

mod typed;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::{field::Field, number::Number};

/// A value or null. The struct around it states whether the key may be absent.
impl<T: JsonSchema> JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Option::<T>::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        Option::<T>::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(generator)
    }
}

impl JsonSchema for Number {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number"})
    }
}

/// An open enum: any string, with the known names as examples.
pub(crate) fn open_enum(names: &[&str]) -> Schema {
    json_schema!({"type": "string", "examples": names})
}

/// Adds the `type` that a struct writes with `#[serde(tag = "type")]`: schemars does not see it.
pub(crate) fn tagged(tag: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        let schema = schema.ensure_object();
        for (key, default) in [("properties", json!({})), ("required", json!([]))] {
            match schema.entry(key).or_insert(default) {
                Value::Object(properties) => {
                    properties.insert("type".to_owned(), json!({"const": tag}));
                }
                Value::Array(required) => required.push("type".into()),
                _ => {}
            }
        }
    }
}
