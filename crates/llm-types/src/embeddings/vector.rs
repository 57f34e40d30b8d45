//! [`Vector`]: numbers, or 32-bit floats in base64.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::base64;
use crate::number::Number;
use crate::tagged::{by_form, elements, unexpected};

/// A vector, written in the form in which it was read.
#[allow(clippy::exhaustive_enums)] // the two encoding formats of OpenAI
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Vector {
    /// Little-endian 32-bit floats, in base64.
    Base64(String),
    /// Numbers.
    Floats(Vec<Number>),
}

impl Vector {
    /// Creates a vector in base64.
    pub fn base64(floats: &[f32]) -> Self {
        let bytes: Vec<u8> = floats
            .iter()
            .flat_map(|float| float.to_le_bytes())
            .collect();
        Self::Base64(base64::encode(&bytes))
    }

    /// Creates a vector of numbers, with the fewest digits that distinguish the 32-bit floats.
    pub fn floats(floats: &[f32]) -> Self {
        let shortest = |float: &f32| {
            float
                .to_string()
                .parse()
                .unwrap_or_else(|_| f64::from(*float))
        };
        Self::Floats(floats.iter().map(shortest).map(Number::from).collect())
    }

    /// The numbers, in either form.
    ///
    /// # Errors
    ///
    /// If the text is not base64 of 32-bit floats.
    pub fn to_f32s(&self) -> Result<Vec<f32>, VectorError> {
        let text = match self {
            Self::Floats(numbers) => {
                return Ok(numbers.iter().map(|n| n.as_f64() as f32).collect());
            }
            Self::Base64(text) => text,
        };
        let bytes = base64::decode(text).ok_or(VectorError::NotBase64)?;
        let (floats, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(VectorError::NotFloats { bytes: bytes.len() });
        }
        Ok(floats.iter().copied().map(f32::from_le_bytes).collect())
    }
}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| match value {
            Value::String(text) => Ok(Self::Base64(text)),
            Value::Array(list) => elements(list).map(Self::Floats),
            other => Err(unexpected(
                "an array of numbers or a string in base64",
                &other,
            )),
        })
    }
}

/// The error of a vector's text.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VectorError {
    /// The text is not base64.
    NotBase64,
    /// The number of bytes is not a multiple of 4.
    NotFloats {
        /// The number of bytes.
        bytes: usize,
    },
}

impl fmt::Display for VectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBase64 => f.write_str("the vector is not in base64"),
            Self::NotFloats { bytes } => {
                write!(f, "the vector has {bytes} bytes, not a multiple of 4")
            }
        }
    }
}

impl StdError for VectorError {}

#[cfg(test)]
mod tests {
    use super::{Vector, VectorError};

    #[test]
    fn converts_both_ways() {
        let floats = [0.0023064255, -0.009327292, 1.0, f32::MIN_POSITIVE];
        let numbers = Vector::floats(&floats);
        assert_eq!(
            serde_json::to_string(&numbers).unwrap(),
            "[0.0023064255,-0.009327292,1.0,1.1754944e-38]"
        );
        assert_eq!(numbers.to_f32s().unwrap(), floats);
        assert_eq!(Vector::base64(&floats).to_f32s().unwrap(), floats);
        assert_eq!(
            Vector::base64(&[1.0]),
            Vector::Base64("AACAPw==".to_owned())
        );
    }

    #[test]
    fn reports_what_is_wrong_with_the_text() {
        let error = |text: &str| Vector::Base64(text.to_owned()).to_f32s().unwrap_err();
        assert_eq!(error("?"), VectorError::NotBase64);
        assert_eq!(error("AACA"), VectorError::NotFloats { bytes: 3 });
    }
}
