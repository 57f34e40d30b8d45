//! What Replicate sends. Nothing but a prediction's id and status is relied upon: real bodies
//! leave out fields that the specification requires, and null stands where it does not allow it.

use std::fmt;

use llm_provider::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::unexpected;

/// A run of a model. What may be absent, null or odd is a [`Value`], looked into with care.
#[derive(Clone, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Prediction {
    /// Its name, for asking and cancelling.
    pub id: String,
    /// How far it is.
    pub status: Status,
    /// What the model has written so far; Replicate removes it after an hour.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub error: Value,
    /// What the model logged.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub logs: Value,
    /// `metrics`, `urls`, `model`, `created_at` and all else that Replicate tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// How far a prediction is. Unknown words are kept: Replicate added `aborted` in 2025, which made
/// its own clients fail or poll for ever.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status(pub String);

impl Prediction {
    /// The text so far.
    ///
    /// A language model's output is a list of strings to be joined (`x-cog-array-display:
    /// concatenate`) or a string; before the first token it is null, and remains so without one.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for anything else, and [`ErrorKind::UnexpectedBody`] when it has
    /// been removed.
    pub fn text(&self) -> Result<String> {
        let kind = match &self.output {
            Value::Null if self.member("data_removed") == true => {
                let message = "Replicate has removed the prediction's output already";
                return Err(unexpected(message));
            }
            Value::Null => return Ok(String::new()),
            Value::String(text) => return Ok(text.clone()),
            Value::Array(pieces) => {
                let pieces = pieces.iter().filter(|piece| !piece.is_null());
                match pieces.map(Value::as_str).collect::<Option<String>>() {
                    Some(text) => return Ok(text),
                    None => "a list of other things",
                }
            }
            Value::Object(_) => "an object",
            Value::Bool(_) | Value::Number(_) => "a number or a truth value",
        };
        let message = format!("the model's output is {kind}, not text: it is no language model");
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// A number of `metrics`, such as `predict_time` in seconds.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.member("metrics")[name].as_f64()
    }

    /// `stream` or `web`; those to get and to cancel it are known from the id.
    pub fn url(&self, name: &str) -> Option<&str> {
        self.member("urls")[name].as_str()
    }

    fn member(&self, name: &str) -> &Value {
        self.extra.get(name).unwrap_or(&Value::Null)
    }
}

/// Without what people or models said.
impl fmt::Debug for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Prediction");
        debug.field("id", &self.id).field("status", &self.status);
        debug.finish_non_exhaustive()
    }
}

impl Status {
    /// Whether nothing comes after it. An unknown status may be followed by others.
    pub fn is_terminal(&self) -> bool {
        matches!(
            self.0.as_str(),
            "aborted" | "canceled" | "failed" | "succeeded"
        )
    }

    /// Whether the model has begun. An unknown status is taken for another word for waiting.
    pub fn has_begun(&self) -> bool {
        self.is_terminal() || self.0 == "processing"
    }

    /// Whether it has all its output.
    pub fn is_success(&self) -> bool {
        self.0 == "succeeded"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(output: &str) -> Prediction {
        let body = format!(r#"{{"id":"a","status":"succeeded","output":{output}}}"#);
        serde_json::from_str(&body).unwrap()
    }

    #[test]
    fn lists_and_strings_are_text() {
        assert_eq!(output(r#"["a","",null," b"]"#).text().unwrap(), "a b");
        assert_eq!(output(r#""a b""#).text().unwrap(), "a b");
        assert_eq!(output("[]").text().unwrap(), "");
        assert_eq!(output("null").text().unwrap(), "");
        for other in [r#"{"text":"a"}"#, "1", "true", r#"[["a"]]"#] {
            assert_eq!(
                output(other).text().unwrap_err().kind(),
                ErrorKind::Unsupported
            );
        }
    }

    #[test]
    fn odd_fields_do_not_fail_the_whole() {
        let body = r#"{"id":"a","status":"queued","urls":[],"metrics":null,"logs":7,"error":{}}"#;
        let prediction: Prediction = serde_json::from_str(body).unwrap();
        assert_eq!(prediction.status.0, "queued");
        assert!(!prediction.status.is_terminal() && !prediction.status.has_begun());
        assert_eq!(prediction.url("stream"), None);
    }
}
