use std::time::Duration;

use llm_types::{ParseError, parse};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::endpoint::{Endpoint, Request};
use crate::text::excerpt;
use crate::{Document, Error, ErrorKind, Result};

/// A request on its way to a provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// The operation.
    pub endpoint: &'static dyn Endpoint,
    /// The request, in OpenAI's schema (rerank: Cohere's).
    pub body: Document,
    /// Leave out what the provider does not support, instead of failing.
    pub drop_params: bool,
    /// The parameters that were left out so far.
    pub dropped_params: Vec<String>,
    /// How long the whole call may take; for a stream, how long the head of its answer may take.
    pub timeout: Option<Duration>,
}

impl Call {
    /// A call without a time limit of its own.
    pub fn new(endpoint: &'static dyn Endpoint, body: Document) -> Self {
        Self {
            endpoint,
            body,
            drop_params: false,
            dropped_params: Vec::new(),
            timeout: None,
        }
    }

    /// A call with a typed request.
    pub fn of<R: Request>(request: &R) -> Self {
        Self::new(R::ENDPOINT, Document::new(request))
    }

    /// Limits the time.
    #[must_use]
    pub fn with_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Sets whether what the provider does not support is left out.
    #[must_use]
    pub fn with_drop_params(mut self, drop_params: bool) -> Self {
        self.drop_params = drop_params;
        self
    }

    /// The model that is asked for; empty if the request names none.
    pub fn model(&self) -> String {
        let model = self.body.str("model");
        model.unwrap_or_default().into_owned()
    }

    /// Reads the request.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when it is not an `R`. The message does not quote it; line and
    /// column count in the body as the caller sent it, before any change.
    pub fn read<R: Request>(&self) -> Result<R> {
        self.body.read().map_err(|changed: ParseError| {
            let what = match parse::<R>(self.body.original()) {
                Err(error) => {
                    let (line, column) = (error.line(), error.column());
                    format!("{} at line {line} column {column}", without_place(&error))
                }
                // A change is wrong, such as a default: it has no place in the caller's body.
                Ok(_) => without_place(&changed),
            };
            let message = format!("the request cannot be read: {what}");
            Error::new(ErrorKind::InvalidRequest, message)
        })
    }

    /// Reads a parameter that is set and not null.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`], naming the parameter, when it is not a `T`.
    pub fn param<T: DeserializeOwned>(&self, key: &'static str) -> Result<Option<T>> {
        self.body.read_member(key).map_err(|error| {
            let message = format!("{key}: {}", without_place(&error));
            Error::new(ErrorKind::InvalidRequest, message)
                .with_param(key.to_owned())
                .with_source(error)
        })
    }

    /// Rejects a parameter that the provider does not support, if it is set and not null; with
    /// [`drop_params`](Self::drop_params) it is left out instead.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`], naming the parameter.
    pub fn refuse(&mut self, key: &str) -> Result<()> {
        if self.body.has_value(key) {
            if !self.drop_params {
                let key = excerpt(key).into_owned();
                let message =
                    format!("{key} is not supported by the provider (drop_params leaves it out)");
                return Err(Error::new(ErrorKind::Unsupported, message).with_param(key));
            }
            self.dropped_params.push(key.to_owned());
        }
        self.body.remove(key);
        Ok(())
    }
}

/// What is wrong in which member, whose name is the caller's.
fn without_place(error: &ParseError) -> String {
    let message = excerpt(error.message());
    match error.path() {
        "" => message.into_owned(),
        path => format!("{}: {message}", excerpt(path)),
    }
}

/// An answer and what is known about the call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply {
    /// The answer, in OpenAI's schema (rerank: Cohere's).
    pub body: Document,
    /// What is known about the call.
    pub metadata: Metadata,
}

impl Reply {
    /// An answer with its metadata.
    pub fn new(body: Document, metadata: Metadata) -> Self {
        Self { body, metadata }
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`], naming provider and model, when it is not a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        self.body.read().map_err(|error| {
            let message = format!("the answer cannot be read: {error}");
            Error::new(ErrorKind::UnexpectedBody, message)
                .with_provider(self.metadata.provider)
                .with_model(self.metadata.model.as_str())
                .with_source(error)
        })
    }
}

/// What a provider reports about a call beside the answer.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metadata {
    /// The provider's name.
    pub provider: &'static str,
    /// The model as the upstream knows it.
    pub model: String,
    /// The deployment that a router chose.
    pub deployment: Option<String>,
    /// How many deployments a router tried, this one included; 0 without a router.
    pub attempts: u32,
    /// The upstream's own id of the call, such as a request id or a prediction id.
    pub upstream_id: Option<String>,
    /// The request parameters that were left out because the provider does not support them.
    pub dropped_params: Vec<String>,
    /// What only this provider reports, such as the template family that formatted the prompt.
    pub extra: Map<String, Value>,
}

impl Metadata {
    /// Metadata of a call to `model` of `provider`.
    pub fn new(provider: &'static str, model: impl Into<String>) -> Self {
        Self {
            provider,
            model: model.into(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use llm_types::ChatRequest;

    use super::*;
    use crate::endpoint::Chat;

    fn call(body: &str) -> Call {
        Call::new(&Chat, Document::from_bytes(body.to_owned()))
    }

    fn message(call: &Call) -> String {
        let error = call.read::<ChatRequest>().unwrap_err();
        error.message().to_owned()
    }

    #[test]
    fn places_count_in_the_body_as_the_caller_sent_it() {
        for (body, end) in [
            (
                r#"{"model":"m","messages":[{"role":"user","content":{}}]}"#,
                "column 52",
            ),
            (
                "{\n \"model\": \"m\",\n \"messages\": 5\n}",
                " at line 3 column 14",
            ),
        ] {
            let mut call = call(body);
            let before = message(&call);
            call.body.set("model", "a-much-longer/name-of-the-upstream");
            call.body.set("top_k", 1);
            assert_eq!(message(&call), before);
            assert!(before.ends_with(end), "{before}");
        }
    }

    #[test]
    fn a_wrong_change_has_no_place() {
        let mut call = call(r#"{"model":"m","messages":[]}"#);
        call.body.set("messages", 5);
        let message = message(&call);
        assert!(
            message.contains("messages") && !message.contains("column"),
            "{message}"
        );
    }

    #[test]
    fn a_long_name_of_a_member_is_cut() {
        let name = "x".repeat(100_000);
        let body = format!(r#"{{"model":"m","messages":[],"{name}":1e999}}"#);
        let message = message(&call(&body));
        assert!(message.len() < 600, "{} bytes", message.len());
    }
}
