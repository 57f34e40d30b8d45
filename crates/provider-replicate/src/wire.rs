//! What Replicate sends. Nothing but a prediction's id and status is relied upon: real bodies
//! leave out fields that the specification requires, and null stands where it does not allow it.

use llm_provider::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A run of a model.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Prediction {
    pub(crate) id: String,
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) output: Option<Value>,
    #[serde(default)]
    pub(crate) error: Option<Value>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) logs: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) metrics: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) data_removed: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) urls: Option<Urls>,
}

/// Where a prediction is found. `get` and `cancel` are not read: they are known from the id.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Urls {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) stream: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) web: Option<String>,
}

/// How far a prediction is. Unknown words are kept: Replicate added `aborted` in 2025, which made
/// its own clients fail or poll for ever.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(from = "String")]
pub(crate) enum Status {
    Aborted,
    Canceled,
    Failed,
    Processing,
    Starting,
    Succeeded,
    Other(String),
}

/// A model, with its newest version unless it is an official one that hides it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Model {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) is_official: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) latest_version: Option<Version>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Version {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) id: Option<String>,
    #[serde(default)]
    pub(crate) openapi_schema: Value,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Deployment {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) current_release: Option<Release>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Release {
    pub(crate) model: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) version: Option<String>,
}

impl Prediction {
    /// The text so far; `None` while there is no output at all.
    ///
    /// A language model's output is a list of strings to be joined (`x-cog-array-display:
    /// concatenate`) or a string.
    pub(crate) fn text(&self) -> Result<Option<String>> {
        match &self.output {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Array(pieces)) => pieces
                .iter()
                .filter(|piece| !piece.is_null())
                .map(|piece| {
                    piece
                        .as_str()
                        .ok_or_else(|| no_text("a list of other things"))
                })
                .collect::<Result<String>>()
                .map(Some),
            Some(Value::Object(_)) => Err(no_text("an object")),
            Some(_) => Err(no_text("a number or a truth value")),
        }
    }

    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.as_ref()?.get(name)?.as_f64()
    }

    pub(crate) fn url(&self, pick: impl Fn(&Urls) -> &Option<String>) -> Option<&str> {
        self.urls.as_ref().and_then(|urls| pick(urls).as_deref())
    }
}

impl Status {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Aborted => "aborted",
            Self::Canceled => "canceled",
            Self::Failed => "failed",
            Self::Processing => "processing",
            Self::Starting => "starting",
            Self::Succeeded => "succeeded",
            Self::Other(word) => word,
        }
    }

    /// Whether nothing comes after it. An unknown status may be followed by others.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::Aborted | Self::Canceled | Self::Failed | Self::Succeeded
        )
    }

    /// Whether the model has begun. An unknown status is taken for another word for waiting.
    pub(crate) fn has_begun(&self) -> bool {
        !matches!(self, Self::Starting | Self::Other(_))
    }
}

impl From<String> for Status {
    fn from(word: String) -> Self {
        match word.as_str() {
            "aborted" => Self::Aborted,
            "canceled" => Self::Canceled,
            "failed" => Self::Failed,
            "processing" => Self::Processing,
            "starting" => Self::Starting,
            "succeeded" => Self::Succeeded,
            _ => Self::Other(word),
        }
    }
}

fn no_text(what: &str) -> Error {
    let message = format!("the model's output is {what}, not text: it is no language model");
    Error::new(ErrorKind::UnexpectedBody, message)
}

/// A value, or nothing where null or something else stands.
fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
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
        assert_eq!(
            output(r#"["a","",null," b"]"#).text().unwrap().unwrap(),
            "a b"
        );
        assert_eq!(output(r#""a b""#).text().unwrap().unwrap(), "a b");
        assert_eq!(output("[]").text().unwrap().unwrap(), "");
        assert_eq!(output("null").text().unwrap(), None);
        for other in [r#"{"text":"a"}"#, "1", "true", r#"[["a"]]"#] {
            assert_eq!(
                output(other).text().unwrap_err().kind(),
                ErrorKind::UnexpectedBody
            );
        }
    }

    #[test]
    fn odd_fields_do_not_fail_the_whole() {
        let body = r#"{"id":"a","status":"queued","urls":[],"metrics":null,"logs":7,"error":{}}"#;
        let prediction: Prediction = serde_json::from_str(body).unwrap();
        assert_eq!(prediction.status, Status::Other("queued".to_owned()));
        assert!(!prediction.status.is_terminal());
    }
}
