//! Lenient readers for variants that providers are known to send.

use std::fmt::Display;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::tagged::{Problem, by_form, unexpected};
use crate::{field::Field, number::Number};

/// `null` reads as the default: `#[serde(default)]` alone covers only an absent key
/// (rellfy/openai#53, zeph#1561).
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads a count that may be written as `7.0` or `null` (OpenAI's schema says number).
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    by_form(deserializer, |value| match value {
        Value::Null => Ok(None),
        Value::Number(number) => whole(number, u64::MAX).map(Some),
        other => Err(unexpected("a whole number", &other)),
    })
}

/// Like [`count`], with zero as the default.
pub(crate) fn index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    by_form(deserializer, |value| match value {
        Value::Null => Ok(0),
        Value::Number(number) => whole(number, u32::MAX),
        other => Err(unexpected("a whole number", &other)),
    })
}

fn whole<T: Display + TryFrom<u64>>(number: serde_json::Number, max: T) -> Result<T, Problem> {
    let found = Number::deserialize(&number).map_err(|error| error.to_string())?;
    let fitting = found.as_u64().and_then(|whole| T::try_from(whole).ok());
    fitting.ok_or_else(|| format!("expected a whole number of at most {max}, found {number}"))
}

/// Reads the arguments of a function call as text, even if an engine sends an object (TGI did).
pub(crate) fn arguments<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Field<String>, D::Error> {
    Field::<Value>::deserialize(deserializer).map(|field| {
        field.map(|arguments| match arguments {
            Value::String(text) => text,
            other => other.to_string(),
        })
    })
}
