//! Values that fit a JSON schema, for simulated tool calls and structured answers.

use serde_json::{Value, json};

/// A value that matches the common keywords of `schema`; strings get `text`.
pub(crate) fn fitting(schema: &Value, text: &str) -> Value {
    Sampler {
        root: schema,
        text,
        left: MAX_VALUES,
    }
    .sample(schema)
}

struct Sampler<'a> {
    root: &'a Value,
    text: &'a str,
    /// Schemas may be recursive, deep and wide.
    left: usize,
}

impl Sampler<'_> {
    fn sample(&mut self, schema: &Value) -> Value {
        let Some(left) = self.left.checked_sub(1) else {
            return Value::Null;
        };
        self.left = left;
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let root = self.root;
            let pointed = target
                .strip_prefix('#')
                .and_then(|pointer| root.pointer(pointer));
            return pointed.map_or(Value::Null, |to| self.sample(to));
        }
        if let Some(only) = schema.get("const") {
            return only.clone();
        }
        if let Some(first) = schema.get("enum").and_then(|all| all.get(0)) {
            return first.clone();
        }
        for several in ["anyOf", "oneOf", "allOf"] {
            if let Some(first) = schema.get(several).and_then(|all| all.get(0)) {
                return self.sample(first);
            }
        }
        let kind = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
            kind => kind.and_then(Value::as_str),
        };
        match kind {
            Some("string") => Value::from(self.text),
            Some("integer") => json!(least(schema).ceil() as i64),
            Some("number") => json!(least(schema)),
            Some("boolean") => Value::Bool(true),
            Some("null") => Value::Null,
            Some("array") => {
                let items = schema.get("items").unwrap_or(&Value::Null);
                json!([self.sample(items)])
            }
            _ => self.object(schema),
        }
    }

    fn object(&mut self, schema: &Value) -> Value {
        let fields = schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        Value::Object(
            fields
                .map(|(name, field)| (name.clone(), self.sample(field)))
                .collect(),
        )
    }
}

fn least(schema: &Value) -> f64 {
    schema.get("minimum").and_then(Value::as_f64).unwrap_or(1.0)
}

/// Also limits the recursion.
const MAX_VALUES: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_fits_its_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["C", "F"]},
                "days": {"type": "integer", "minimum": 2.5},
                "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
                "maybe": {"type": ["string", "null"]},
                "either": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            },
            "$defs": {"tag": {"const": "x"}},
        });
        assert_eq!(
            fitting(&schema, "Paris"),
            json!({"city": "Paris", "unit": "C", "days": 3, "tags": ["x"], "maybe": "Paris",
                   "either": true})
        );
    }

    #[test]
    fn recursive_schemas_terminate() {
        let schema = json!({"properties": {"again": {"$ref": "#"}}});
        assert!(fitting(&schema, "").is_object());
        let wide = json!({"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}});
        assert!(fitting(&wide, "").is_object());
        let schema = json!({"$ref": "#"});
        assert_eq!(fitting(&schema, ""), Value::Null);
    }
}
