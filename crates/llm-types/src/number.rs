//! [`Number`]: a JSON number that keeps its printed form.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as DeError, Visitor};
use serde::{Serialize, Serializer};

/// A JSON number that prints as it came: `1` stays `1`, `1.0` stays `1.0`.
///
/// Integers keep 64 bits. A larger number, such as Together's rounded seeds
/// (`18446744073709552000`), is kept as the nearest `f64`: JavaScript had already rounded it to
/// that value.
#[derive(Clone, Copy, PartialEq)]
pub struct Number(Repr);

#[derive(Clone, Copy, PartialEq)]
enum Repr {
    Float(f64),
    Negative(i64),
    Positive(u64),
}

impl Number {
    /// The value as a float, rounded if necessary.
    pub fn as_f64(self) -> f64 {
        match self.0 {
            Repr::Float(value) => value,
            Repr::Negative(value) => value as f64,
            Repr::Positive(value) => value as f64,
        }
    }

    /// The value if it is an integer that fits, even if written as `7.0`.
    pub fn as_u64(self) -> Option<u64> {
        match self.0 {
            Repr::Positive(value) => Some(value),
            Repr::Float(value) if (0.0..TWO_64).contains(&value) && value.fract() == 0.0 => {
                Some(value as u64)
            }
            Repr::Float(_) | Repr::Negative(_) => None,
        }
    }

    /// The value if it is an integer that fits, even if written as `-7.0`.
    pub fn as_i64(self) -> Option<i64> {
        match self.0 {
            Repr::Negative(value) => Some(value),
            Repr::Positive(value) => i64::try_from(value).ok(),
            Repr::Float(value)
                if (-TWO_64 / 2.0..TWO_64 / 2.0).contains(&value) && value.fract() == 0.0 =>
            {
                Some(value as i64)
            }
            Repr::Float(_) => None,
        }
    }
}

impl Default for Number {
    fn default() -> Self {
        Self(Repr::Positive(0))
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Repr::Float(value) => write!(f, "{value:?}"),
            Repr::Negative(value) => write!(f, "{value}"),
            Repr::Positive(value) => write!(f, "{value}"),
        }
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self(Repr::Float(value))
    }
}

impl From<i32> for Number {
    fn from(value: i32) -> Self {
        Self::from(i64::from(value))
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(u64::try_from(value).map_or(Repr::Negative(value), Repr::Positive))
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self(Repr::Positive(value.into()))
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(Repr::Positive(value))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Repr::Float(value) => serializer.serialize_f64(value),
            Repr::Negative(value) => serializer.serialize_i64(value),
            Repr::Positive(value) => serializer.serialize_u64(value),
        }
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E: DeError>(self, value: f64) -> Result<Number, E> {
        Ok(value.into())
    }

    fn visit_i64<E: DeError>(self, value: i64) -> Result<Number, E> {
        Ok(value.into())
    }

    fn visit_u64<E: DeError>(self, value: u64) -> Result<Number, E> {
        Ok(value.into())
    }
}

const TWO_64: f64 = 18_446_744_073_709_551_616.0;
