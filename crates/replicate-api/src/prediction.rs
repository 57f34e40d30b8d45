use std::fmt;

use futures_util::{Stream, stream};
use http::Method;
use llm_provider::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::{Ask, Client};
use crate::error::{self, unexpected};
use crate::target::path;
use crate::watch::Watch;

/// A run of a model.
///
/// Nothing but its id and status is relied upon: real bodies leave out fields that the
/// specification requires, and null stands where it does not allow it. What may be absent, null or
/// odd is a [`Value`], looked into with care.
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

impl Client {
    /// A prediction as it is now.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of this id.
    pub async fn prediction(&self, id: &str) -> Result<Prediction> {
        let prediction: Prediction = self.ask(Ask::get(path("predictions", [id])?)).await?;
        if prediction.id == id {
            return Ok(prediction);
        }
        Err(unexpected("Replicate tells of another prediction"))
    }

    /// The account's predictions, the newest first, without input, output and logs.
    pub fn predictions(&self) -> impl Stream<Item = Result<Prediction>> + Send + 'static {
        self.list(Ok(Ask::get("/v1/predictions")))
    }

    /// Stops a prediction, and tells how it is then. One that has ended stays as it is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none of this id.
    pub async fn cancel_prediction(&self, id: &str) -> Result<Prediction> {
        let path = path("predictions", [id])? + "/cancel";
        self.ask(Ask::new(Method::POST, path)).await
    }

    /// A prediction as it is each time that it is looked at, with pauses, until it has ended.
    ///
    /// Dropping the stream leaves the prediction running. The [`Limits`](crate::Limits) are
    /// counted from now on.
    pub fn watch_prediction(
        &self,
        id: &str,
    ) -> impl Stream<Item = Result<Prediction>> + Send + 'static {
        let first = Some((Watch::new(self, None), id.to_owned(), true));
        stream::try_unfold(first, |state| async {
            let Some((mut watch, id, is_first)) = state else {
                return Ok(None);
            };
            if !is_first {
                watch.pause().await?;
            }
            let prediction = watch.ask(&id).await?;
            let is_over = prediction.status.is_terminal();
            let next = (!is_over).then_some((watch, id, false));
            Ok(Some((prediction, next)))
        })
    }
}

impl Prediction {
    /// Why it has ended without success; `None` if it goes on, or has succeeded.
    pub fn failure(&self) -> Option<Error> {
        let failed = self.status.is_terminal() && !self.status.is_success();
        failed.then(|| self.status.failure(&self.error))
    }

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

    /// The error that a prediction which ended so stands for, given Replicate's words for it; what
    /// is no known word is taken for `failed`.
    pub fn failure(&self, error: &Value) -> Error {
        error::from_end(&self.0, error)
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
