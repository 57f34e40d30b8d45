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

/// The type as a reader of a table needs it: `true or false`, `seconds above 0`.
impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any value"),
            Self::Bool => f.write_str("true or false"),
            Self::Choice(choices) => f.write_str(&choices.join(", ")),
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
