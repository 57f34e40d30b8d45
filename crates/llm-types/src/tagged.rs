//! Reads values that have several forms: a string or an object, or objects with a `type`.
//!
//! Serde's untagged enums cannot report what is wrong, and its tagged enums cannot keep an unknown
//! type. These readers parse the whole value, inspect it, and then read the form that it has. The
//! structs of the tagged forms write their tag with `#[serde(tag = "type")]`.

use std::fmt;

use serde::Serialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error as DeError, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use crate::parse::{ParseError, kind};

/// The message of an error in a value, after the path of the value if it is nested.
pub(crate) type Problem = String;

/// Reads any value and passes it to `form`.
///
/// It uses a visitor instead of `Value::deserialize`: an error inside a visitor has the position of
/// this value, an error outside it that of the surrounding value.
pub(crate) fn by_form<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    form: fn(Value) -> Result<T, Problem>,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(ByForm(form))
}

/// The members of an object.
pub(crate) fn object(value: Value) -> Result<Map<String, Value>, Problem> {
    match value {
        Value::Object(map) => Ok(map),
        other => Err(unexpected("an object", &other)),
    }
}

/// The `type` of an object that is kept unchanged; empty if it has none.
pub(crate) fn type_of(map: &Map<String, Value>) -> &str {
    map.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// The `type` of an object.
pub(crate) fn tag(map: &Map<String, Value>) -> Result<&str, Problem> {
    match map.get("type") {
        Some(Value::String(tag)) => Ok(tag),
        Some(other) => Err(format!(".type: {}", unexpected("a string", other))),
        None => Err("missing field `type`".to_owned()),
    }
}

/// Reads a struct from the members beside the `type`.
pub(crate) fn untag<T: DeserializeOwned>(mut map: Map<String, Value>) -> Result<T, Problem> {
    map.shift_remove("type");
    from_map(&map)
}

/// Reads a struct from a map.
pub(crate) fn from_map<T: DeserializeOwned>(map: &Map<String, Value>) -> Result<T, Problem> {
    located(map)
}

/// Reads the elements of a list.
pub(crate) fn elements<T: DeserializeOwned>(list: Vec<Value>) -> Result<Vec<T>, Problem> {
    located(&Value::Array(list))
}

/// The message for a value that has none of the forms.
pub(crate) fn unexpected(expected: &str, found: &Value) -> Problem {
    format!("expected {expected}, found {}", kind(found))
}

fn located<'de, S, T>(source: &'de S) -> Result<T, Problem>
where
    &'de S: Deserializer<'de, Error = serde_json::Error>,
    S: Serialize,
    T: DeserializeOwned,
{
    T::deserialize(source).map_err(|error| {
        // Only text has the positions from which the path is found, so it is parsed again as text.
        let text = serde_json::to_vec(source).unwrap_or_default();
        match serde_json::from_slice::<T>(&text) {
            Err(error) => ParseError::from_serde(&text, &error).inner_message(),
            Ok(_) => error.to_string(),
        }
    })
}

struct ByForm<T>(fn(Value) -> Result<T, Problem>);

impl<T> ByForm<T> {
    fn read<E: DeError>(self, value: impl Into<Value>) -> Result<T, E> {
        (self.0)(value.into()).map_err(E::custom)
    }
}

impl<'de, T> Visitor<'de> for ByForm<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: DeError>(self, value: bool) -> Result<T, E> {
        self.read(value)
    }

    fn visit_f64<E: DeError>(self, value: f64) -> Result<T, E> {
        self.read(value)
    }

    fn visit_i64<E: DeError>(self, value: i64) -> Result<T, E> {
        self.read(value)
    }

    fn visit_u64<E: DeError>(self, value: u64) -> Result<T, E> {
        self.read(value)
    }

    fn visit_str<E: DeError>(self, value: &str) -> Result<T, E> {
        self.read(value)
    }

    fn visit_string<E: DeError>(self, value: String) -> Result<T, E> {
        self.read(value)
    }

    fn visit_unit<E: DeError>(self) -> Result<T, E> {
        self.read(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        let list = Vec::deserialize(SeqAccessDeserializer::new(list))?;
        self.read(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        let map = Map::deserialize(MapAccessDeserializer::new(map))?;
        self.read(map)
    }
}
