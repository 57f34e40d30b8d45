//! Readers that forgive what providers are known to send.

use serde::{Deserialize, Deserializer, de::Error as DeError};

use serde_json::Value;

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

/// A count that may be written `7.0` or `null` (OpenAI's schema says number).
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::<Number>::deserialize(deserializer)?
        .map(whole)
        .transpose()
}

/// As [`count`], where zero is the default.
pub(crate) fn index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let index = count(deserializer)?.unwrap_or(0);
    u32::try_from(index).map_err(|_| D::Error::custom("expected an index of at most 32 bits"))
}

fn whole<E: DeError>(number: Number) -> Result<u64, E> {
    number
        .as_u64()
        .ok_or_else(|| E::custom(format_args!("expected a whole number, found {number}")))
}

/// The arguments of a function call: text, also when an engine sends the object itself (TGI did).
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
