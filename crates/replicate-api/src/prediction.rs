//! Predictions: their state, output and errors.

use std::fmt;

use futures_util::{Stream, TryStreamExt, stream};
use http::Method;
use llm_provider::text::printable;
use llm_provider::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::{ApiRequest, ReplicateClient};
use crate::error::{self, unexpected};
use crate::target::path;
use crate::watch::Watch;

/// A run of a model.
///
/// Only the id and the status are required. Real responses leave out members that the specification
/// requires, and have null where it forbids null. So every other member is a [`Value`].
#[derive(Clone, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Prediction {
    /// The id, for fetching and cancelling.
    pub id: String,
    /// The state.
    pub status: PredictionStatus,
    /// The output so far; Replicate removes it after an hour.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// The error, if it failed.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub error: Value,
    /// The logs.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub logs: Value,
    /// All other members, such as `metrics`, `urls`, `model` and `created_at`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The state of a prediction. Unknown values are kept: Replicate added `aborted` in 2025, and its
/// own clients then failed or polled forever.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PredictionStatus(pub String);

impl ReplicateClient {
    /// Fetches the current state of a prediction.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if no prediction has this id.
    pub async fn prediction(&self, id: &str) -> Result<Prediction> {
        let request = ApiRequest::get(path("predictions", [id])?);
        let prediction = self.send_prediction(request).await?;
        if prediction.id == id {
            return Ok(prediction);
        }
        Err(unexpected("Replicate returned a different prediction"))
    }

    /// The account's predictions, the newest first, without input, output and logs.
    pub fn predictions(&self) -> impl Stream<Item = Result<Prediction>> + Send + 'static {
        let client = self.clone();
        let listed = self.list(Ok(ApiRequest::get("/v1/predictions")));
        listed.map_ok(move |mut prediction| {
            client.redact_prediction(&mut prediction);
            prediction
        })
    }

    /// Cancels a prediction and returns its new state. A prediction that has ended does not change.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if no prediction has this id.
    pub async fn cancel_prediction(&self, id: &str) -> Result<Prediction> {
        let path = path("predictions", [id])? + "/cancel";
        self.send_prediction(ApiRequest::new(Method::POST, path))
            .await
    }

    /// Polls a prediction and yields each state, until it has ended.
    ///
    /// Dropping the stream leaves the prediction running. The time limits
    /// ([`PredictionLimits`](crate::PredictionLimits)) start now.
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
            let prediction = watch.fetch(&id).await?;
            let is_over = prediction.status.is_terminal();
            let next = (!is_over).then_some((watch, id, false));
            Ok(Some((prediction, next)))
        })
    }
}

impl Prediction {
    /// The error if it failed or was cancelled; `None` if it is running or has succeeded.
    pub fn failure(&self) -> Option<Error> {
        let failed = self.status.is_terminal() && !self.status.is_success();
        failed.then(|| self.status.failure(&self.error))
    }

    /// The text so far.
    ///
    /// The output of a language model is a string, or a list of strings to be joined
    /// (`x-cog-array-display: concatenate`). It is null before the first token, and remains null if
    /// there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for any other output, and [`ErrorKind::UnexpectedBody`] if it was
    /// removed.
    pub fn text(&self) -> Result<String> {
        self.text_with("")
    }

    /// Like [`text`](Self::text), with `separator` between the items of a list: a line end for a model
    /// that [has separate outputs](crate::Version::has_separate_outputs).
    ///
    /// # Errors
    /// Those of [`text`](Self::text).
    pub fn text_with(&self, separator: &str) -> Result<String> {
        let kind = match &self.output {
            Value::Null if self.member("data_removed") == true => {
                let message = "Replicate has already removed the prediction's output";
                return Err(unexpected(message));
            }
            Value::Null => return Ok(String::new()),
            Value::String(text) => return Ok(text.clone()),
            Value::Array(pieces) => {
                let pieces = pieces.iter().filter(|piece| !piece.is_null());
                match pieces.map(Value::as_str).collect::<Option<Vec<_>>>() {
                    Some(pieces) => return Ok(pieces.join(separator)),
                    None => "a list of other values",
                }
            }
            Value::Object(_) => "an object",
            Value::Bool(_) | Value::Number(_) => "a number or a boolean",
        };
        let message = format!("the model's output is {kind}, not text: it is not a language model");
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// A number of `metrics`, such as `predict_time` in seconds.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.member("metrics")[name].as_f64()
    }

    /// The URL of `stream` or `web`. Those for fetching and cancelling follow from the id.
    pub fn url(&self, name: &str) -> Option<&str> {
        self.member("urls")[name].as_str()
    }

    fn member(&self, name: &str) -> &Value {
        self.extra.get(name).unwrap_or(&Value::Null)
    }
}

/// Leaves out input and output, which contain a prompt and a reply.
impl fmt::Debug for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Prediction");
        debug.field("id", &self.id).field("status", &self.status);
        debug.finish_non_exhaustive()
    }
}

/// The status as Replicate names it.
impl fmt::Display for PredictionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}

impl From<&str> for PredictionStatus {
    fn from(status: &str) -> Self {
        Self(status.to_owned())
    }
}

impl PredictionStatus {
    /// Whether this is the last status. An unknown status may be followed by others.
    pub fn is_terminal(&self) -> bool {
        matches!(
            self.0.as_str(),
            "aborted" | "canceled" | "failed" | "succeeded"
        )
    }

    /// Whether the model has started. An unknown status counts as waiting.
    pub fn has_begun(&self) -> bool {
        self.is_terminal() || self.0 == "processing"
    }

    /// Whether the output is complete.
    pub fn is_success(&self) -> bool {
        self.0 == "succeeded"
    }

    /// The error of a prediction that ended with this status, given Replicate's message; an unknown
    /// status counts as `failed`.
    ///
    /// The message of a [`Prediction`] is redacted; for other messages, use
    /// [`ReplicateClient::failure`].
    pub fn failure(&self, error: &Value) -> Error {
        error::from_status(&self.0, error)
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
        let separate = output(r#"["a",null,"b"]"#).text_with("\n");
        assert_eq!(separate.unwrap(), "a\nb");
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
    fn odd_fields_do_not_fail_the_prediction() {
        let body = r#"{"id":"a","status":"queued","urls":[],"metrics":null,"logs":7,"error":{}}"#;
        let prediction: Prediction = serde_json::from_str(body).unwrap();
        assert_eq!(prediction.status.0, "queued");
        assert!(!prediction.status.is_terminal() && !prediction.status.has_begun());
        assert_eq!(prediction.url("stream"), None);
    }
}
