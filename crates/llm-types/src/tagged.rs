//! Objects told apart by their `type`, with room for types not known yet.
//!
//! Serde's internally tagged enums cannot keep an unknown variant's members, and its untagged ones
//! cannot say what is wrong. So: read the map, look at the tag, then read the struct of that tag.
//! The structs write their tag themselves (`#[serde(tag = "type", rename = "…")]`).

use serde::Serialize;
use serde::de::{DeserializeOwned, Deserializer, Error as DeError};
use serde_json::{Map, Value};

use crate::parse::{ParseError, kind};

/// The `type` of an object.
pub(crate) fn tag<E: DeError>(map: &Map<String, Value>) -> Result<&str, E> {
    match map.get("type") {
        Some(Value::String(tag)) => Ok(tag),
        Some(other) => Err(E::custom(format_args!(
            ".type: expected a string, found {}",
            kind(other)
        ))),
        None => Err(E::custom("missing field `type`")),
    }
}

/// The members beside the `type`.
pub(crate) fn untag<T: DeserializeOwned, E: DeError>(mut map: Map<String, Value>) -> Result<T, E> {
    map.shift_remove("type");
    from_map(&map)
}

/// Reads a struct from a map, with an error that tells the path inside it.
pub(crate) fn from_map<T: DeserializeOwned, E: DeError>(map: &Map<String, Value>) -> Result<T, E> {
    located(map)
}

/// Reads the elements of a list, with an error that tells which one is wrong.
pub(crate) fn elements<T: DeserializeOwned, E: DeError>(list: Vec<Value>) -> Result<Vec<T>, E> {
    located(&Value::Array(list))
}

fn located<'de, S, T, E>(source: &'de S) -> Result<T, E>
where
    &'de S: Deserializer<'de, Error = serde_json::Error>,
    S: Serialize,
    T: DeserializeOwned,
    E: DeError,
{
    T::deserialize(source).map_err(|error| {
        // Values have no positions to find the path by, text has: read it again, as text.
        let text = serde_json::to_vec(source).unwrap_or_default();
        match serde_json::from_slice::<T>(&text) {
            Err(error) => E::custom(ParseError::from_serde(&text, &error).inner_message()),
            Ok(_) => E::custom(error),
        }
    })
}
