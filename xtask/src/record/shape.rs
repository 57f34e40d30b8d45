//! The shape of JSON: members and types, without values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The shape of one value, or of several that occur in the same place.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Without null, which may replace a value of any type.
    types: BTreeSet<&'static str>,
    members: BTreeMap<String, Self>,
    items: Option<Box<Self>>,
}

impl Shape {
    pub(super) fn of(value: &Value) -> Self {
        let mut shape = Self::default();
        shape.add(value);
        shape
    }

    /// Adds a value that occurs in the same place.
    pub(super) fn add(&mut self, value: &Value) {
        let kind = match value {
            Value::Null => return,
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(items) => {
                let shape = self.items.get_or_insert_default();
                items.iter().for_each(|item| shape.add(item));
                "array"
            }
            Value::Object(members) => {
                for (name, value) in members {
                    let shape = self.members.entry(name.clone()).or_default();
                    // These have members that depend on the model.
                    if !FREE.contains(&name.as_str()) {
                        shape.add(value);
                    }
                }
                "object"
            }
        };
        self.types.insert(kind);
    }

    /// Where the simulated shape differs from the recorded one, for people.
    pub(super) fn differences(&self, simulated: &Self, at: &str) -> Vec<String> {
        let mut found = Vec::new();
        let known = !self.types.is_empty() && !simulated.types.is_empty();
        if known && self.types.is_disjoint(&simulated.types) {
            let [recorded, simulated] = [self, simulated]
                .map(|shape| Vec::from_iter(shape.types.iter().copied()).join(" or "));
            found.push(format!("`{at}` is {recorded}, simulated {simulated}"));
            return found;
        }
        let both_objects = [self, simulated]
            .iter()
            .all(|shape| shape.types.contains("object"));
        if both_objects {
            for (name, shape) in &self.members {
                let at = format!("{at}.{name}");
                match simulated.members.get(name) {
                    Some(simulated) => found.extend(shape.differences(simulated, &at)),
                    None => found.push(format!("`{at}` is missing in the simulation")),
                }
            }
            let added = simulated.members.keys();
            let added = added.filter(|name| !self.members.contains_key(*name));
            found.extend(added.map(|name| format!("`{at}.{name}` is only in the simulation")));
        }
        if let (Some(items), Some(simulated)) = (&self.items, &simulated.items) {
            found.extend(items.differences(simulated, &format!("{at}[]")));
        }
        found
    }
}

/// Members whose content has no fixed shape.
const FREE: &[&str] = &["default_example", "input", "metrics", "openapi_schema"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(recorded: Value, simulated: Value, expected: &[&str]) {
        let [recorded, simulated] = [recorded, simulated].map(|value| Shape::of(&value));
        assert_eq!(recorded.differences(&simulated, "body"), expected);
    }

    #[test]
    fn values_lengths_and_null_do_not_matter() {
        check(
            json!({"a": 1, "b": ["x"], "c": null, "d": []}),
            json!({"a": 2.5, "b": ["y", "z"], "c": {"e": 1}, "d": [1]}),
            &[],
        );
        check(
            json!({"input": {"prompt": ""}}),
            json!({"input": {"text": ""}}),
            &[],
        );
    }

    #[test]
    fn members_and_types_matter() {
        check(
            json!({"a": 1, "b": [{"c": "x"}], "d": true}),
            json!({"a": "1", "b": [{"e": "x"}], "f": true}),
            &[
                "`body.a` is number, simulated string",
                "`body.b[].c` is missing in the simulation",
                "`body.b[].e` is only in the simulation",
                "`body.d` is missing in the simulation",
                "`body.f` is only in the simulation",
            ],
        );
    }

    #[test]
    fn a_member_of_any_item_counts() {
        check(json!([{"a": 1}, {"b": 1}]), json!([{"a": 1, "b": 1}]), &[]);
    }
}
