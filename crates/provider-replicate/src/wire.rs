//! What Replicate sends. Nothing but a prediction's id and status is relied upon: real bodies
//! leave out fields that the specification requires, and null stands where it does not allow it.

use llm_provider::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::error::unexpected;

/// A run of a model. What may be absent, null or odd is a [`Value`], looked into with care.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Prediction {
    pub(crate) id: String,
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) output: Value,
    #[serde(default)]
    pub(crate) error: Value,
    #[serde(default)]
    pub(crate) logs: Value,
    #[serde(default)]
    metrics: Value,
    #[serde(default)]
    data_removed: Value,
    #[serde(default)]
    urls: Value,
}

/// How far a prediction is. Unknown words are kept: Replicate added `aborted` in 2025, which made
/// its own clients fail or poll for ever.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(crate) struct Status(pub(crate) String);

impl Prediction {
    /// The text so far.
    ///
    /// A language model's output is a list of strings to be joined (`x-cog-array-display:
    /// concatenate`) or a string; before the first token it is null, and remains so without one.
    pub(crate) fn text(&self) -> Result<String> {
        let kind = match &self.output {
            Value::Null if self.data_removed == true => {
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

    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.get(name)?.as_f64()
    }

    /// `stream` or `web`; those to get and to cancel it are known from the id.
    pub(crate) fn url(&self, name: &str) -> Option<&str> {
        self.urls.get(name)?.as_str()
    }
}

impl Status {
    /// Whether nothing comes after it. An unknown status may be followed by others.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(
            self.0.as_str(),
            "aborted" | "canceled" | "failed" | "succeeded"
        )
    }

    /// Whether the model has begun. An unknown status is taken for another word for waiting.
    pub(crate) fn has_begun(&self) -> bool {
        self.is_terminal() || self.0 == "processing"
    }

    pub(crate) fn is_success(&self) -> bool {
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
