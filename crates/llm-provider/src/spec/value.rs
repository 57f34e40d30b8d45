use std::fmt;
use std::time::Duration;

use serde_json::Value;

/// The type of a setting or parameter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ValueKind {
    /// Any value.
    Any,
    /// `true` or `false`.
    Bool,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A whole number from 0 to `max`.
    Count {
        /// The largest value.
        max: u32,
    },
    /// A mapping from header names to values, which may be secrets.
    Headers,
    /// A whole number.
    Integer,
    /// A list.
    List,
    /// A mapping.
    Map,
    /// A number.
    Number,
    /// The path of a file.
    Path,
    /// A time in seconds, above 0.
    PositiveSeconds,
    /// A time in seconds, from 0.
    Seconds,
    /// A text that must not be shown.
    Secret,
    /// A text.
    Text,
    /// A mapping from names to texts, or to mappings from some of these keys to texts.
    TextMap {
        /// The keys of the inner mappings.
        keys: &'static [&'static str],
    },
    /// An absolute URL.
    Url,
}

impl ValueKind {
    /// Whether a value in JSON has this type. Null has every type: it is the same as no value. What
    /// the inner mappings of a [`TextMap`](Self::TextMap) contain is not checked.
    pub fn accepts(&self, value: &Value) -> bool {
        let from = |least: f64| value.as_f64().is_some_and(|number| number >= least);
        match self {
            _ if value.is_null() => true,
            Self::Any => true,
            Self::Bool => value.is_boolean(),
            Self::Choice(choices) => value.as_str().is_some_and(|text| choices.contains(&text)),
            Self::Count { max } => value.as_u64().is_some_and(|count| count <= u64::from(*max)),
            Self::Headers | Self::Map => value.is_object(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::List => value.is_array(),
            Self::Number => value.is_number(),
            Self::Path | Self::Secret | Self::Text | Self::Url => value.is_string(),
            Self::PositiveSeconds => from(f64::MIN_POSITIVE),
            Self::Seconds => from(0.0),
            Self::TextMap { .. } => value.as_object().is_some_and(|map| {
                let mut values = map.values();
                values.all(|value| value.is_string() || value.is_object())
            }),
        }
    }
}

/// The type in words: `true or false`, `seconds, above 0`.
impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any value"),
            Self::Bool => f.write_str("true or false"),
            Self::Choice(choices) => write!(f, "one of {}", choices.join(", ")),
            Self::Count { max } => write!(f, "whole number, 0 to {max}"),
            Self::Headers => f.write_str("header names and values"),
            Self::Integer => f.write_str("whole number"),
            Self::List => f.write_str("list"),
            Self::Map | Self::TextMap { .. } => f.write_str("mapping"),
            Self::Number => f.write_str("number"),
            Self::Path => f.write_str("path"),
            Self::PositiveSeconds => f.write_str("seconds, above 0"),
            Self::Seconds => f.write_str("seconds"),
            Self::Secret => f.write_str("secret"),
            Self::Text => f.write_str("text"),
            Self::Url => f.write_str("URL"),
        }
    }
}

/// The default of a setting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SettingValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Count(u32),
    /// A time.
    Seconds(Duration),
    /// A text.
    Text(&'static str),
}

/// The value as it is written in a configuration; times in seconds.
impl fmt::Display for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Count(value) => value.fmt(f),
            Self::Seconds(time) => time.as_secs_f64().fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The value as it is written in JSON; times in seconds.
impl From<SettingValue> for Value {
    fn from(value: SettingValue) -> Self {
        match value {
            SettingValue::Bool(value) => value.into(),
            SettingValue::Count(value) => value.into(),
            SettingValue::Seconds(time) if time.subsec_nanos() == 0 => time.as_secs().into(),
            SettingValue::Seconds(time) => time.as_secs_f64().into(),
            SettingValue::Text(text) => text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_type_accepts_its_values_only() {
        let choice = ValueKind::Choice(&["a", "b"]);
        let text_map = ValueKind::TextMap { keys: &["x"] };
        for (kind, good, bad) in [
            (ValueKind::Bool, json!([true]), json!(["true", 1])),
            (choice, json!(["a", "b"]), json!(["c", 1])),
            (
                ValueKind::Count { max: 3 },
                json!([0, 3]),
                json!([4, -1, 1.5, "1"]),
            ),
            (ValueKind::Headers, json!([{ "a": "b" }]), json!([[], "a"])),
            (ValueKind::Integer, json!([-1, 5]), json!([1.5, "1"])),
            (ValueKind::List, json!([[]]), json!([{}, "a"])),
            (ValueKind::Number, json!([-1, 1.5]), json!(["1", true])),
            (
                ValueKind::PositiveSeconds,
                json!([1, 0.5]),
                json!([0, -1, "1"]),
            ),
            (ValueKind::Seconds, json!([0, 0.5]), json!([-1, "1"])),
            (ValueKind::Secret, json!(["key"]), json!([1, {}])),
            (
                text_map,
                json!([{ "a": "b", "c": { "x": "y" } }]),
                json!([{ "a": 1 }, "a"]),
            ),
        ] {
            for value in good.as_array().unwrap() {
                assert!(kind.accepts(value), "{kind}: {value}");
            }
            for value in bad.as_array().unwrap() {
                assert!(!kind.accepts(value), "{kind}: {value}");
            }
            assert!(kind.accepts(&Value::Null));
            assert!(ValueKind::Any.accepts(&bad));
        }
    }

    #[test]
    fn a_default_is_shown_as_in_a_configuration() {
        for (value, text, json) in [
            (SettingValue::Bool(false), "false", json!(false)),
            (SettingValue::Count(2), "2", json!(2)),
            (
                SettingValue::Seconds(Duration::from_secs(900)),
                "900",
                json!(900),
            ),
            (
                SettingValue::Seconds(Duration::from_millis(1500)),
                "1.5",
                json!(1.5),
            ),
            (SettingValue::Text("eu"), "eu", json!("eu")),
        ] {
            assert_eq!(value.to_string(), text);
            assert_eq!(Value::from(value), json);
        }
    }
}
