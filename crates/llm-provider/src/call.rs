use std::borrow::Cow;
use std::time::Duration;

use http::HeaderMap;
use llm_types::{ParseError, Usage, parse};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::endpoint::{Endpoint, Request};
use crate::text::excerpt;
use crate::{Document, Error, ErrorKind, Result, is_neutral};

/// A request to a provider, with its options.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// The endpoint.
    pub endpoint: &'static dyn Endpoint,
    /// The request, in OpenAI's schema (rerank: Cohere's).
    pub body: Document,
    /// Whether parameters that the provider does not support are left out; otherwise they are errors.
    pub drop_params: bool,
    /// Parameters that are left out in any case if the provider does not support them.
    pub optional_params: &'static [&'static str],
    /// The parameters that have been left out.
    pub dropped_params: Vec<String>,
    /// Whether the last message is the beginning of the reply, which the model continues: a prefill.
    pub is_prefill: bool,
    /// Headers of the client's request that the upstream gets, too: those that belong to the API
    /// ([`Endpoint::request_headers`]), and no keys. Boxed, since calls are moved and few have headers.
    pub headers: Option<Box<HeaderMap>>,
    /// The time limit of the call; of a streamed call, until the head of its response.
    pub timeout: Option<Duration>,
}

impl Call {
    /// Creates a call; the provider's time limit applies.
    pub fn new(endpoint: &'static dyn Endpoint, body: Document) -> Self {
        Self {
            endpoint,
            body,
            drop_params: false,
            optional_params: &[],
            dropped_params: Vec::new(),
            is_prefill: false,
            headers: None,
            timeout: None,
        }
    }

    /// Creates a call from a typed request.
    pub fn of<R: Request>(request: &R) -> Self {
        Self::new(R::ENDPOINT, Document::new(request))
    }

    /// Sets the time limit.
    #[must_use]
    pub fn with_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Sets whether the last message is the beginning of the reply.
    #[must_use]
    pub fn with_prefill(mut self, is_prefill: bool) -> Self {
        self.is_prefill = is_prefill;
        self
    }

    /// Sets the headers that the upstream gets.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = (!headers.is_empty()).then(|| Box::new(headers));
        self
    }

    /// Sets whether parameters that the provider does not support are left out.
    #[must_use]
    pub fn with_drop_params(mut self, drop_params: bool) -> Self {
        self.drop_params = drop_params;
        self
    }

    /// Sets the parameters that are left out in any case if the provider does not support them.
    #[must_use]
    pub fn with_optional_params(mut self, names: &'static [&'static str]) -> Self {
        self.optional_params = names;
        self
    }

    /// Whether a parameter may be left out if the provider does not support it.
    pub fn may_drop(&self, key: &str) -> bool {
        self.drop_params || self.optional_params.contains(&key)
    }

    /// The model of the request; empty if it names none.
    pub fn model(&self) -> Cow<'_, str> {
        self.body.str("model").unwrap_or_default()
    }

    /// Reads the request.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if it is not an `R`. The message does not quote it. Line and
    /// column refer to the body as the caller sent it, before any change.
    pub fn read<R: Request>(&self) -> Result<R> {
        self.body.read().map_err(|changed: ParseError| {
            let what = match parse::<R>(self.body.original()) {
                Err(error) => {
                    let (line, column) = (error.line(), error.column());
                    format!(
                        "{} at line {line} column {column}",
                        without_position(&error)
                    )
                }
                // A change is wrong, such as a default: it has no position in the caller's body.
                Ok(_) => without_position(&changed),
            };
            let message = format!("the request cannot be read: {what}");
            Error::new(ErrorKind::InvalidRequest, message)
        })
    }

    /// Reads a parameter; `None` if it is absent or null.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`], naming the parameter, if it is not a `T`.
    pub fn param<T: DeserializeOwned>(&self, key: &'static str) -> Result<Option<T>> {
        self.body.read_member(key).map_err(|error| {
            let message = format!("{key}: {}", without_position(&error));
            Error::new(ErrorKind::InvalidRequest, message)
                .with_param(key.to_owned())
                .with_source(error)
        })
    }

    /// Leaves out a parameter, which then counts as dropped.
    pub fn exclude(&mut self, key: &str) {
        if self.body.has(key) {
            self.body.remove(key);
            self.dropped_params.push(key.to_owned());
        }
    }

    /// Rejects a parameter that the provider does not support; with [`may_drop`](Self::may_drop) it is
    /// left out instead. One that is null or [neutral](is_neutral) is left out in any case.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`], naming the parameter.
    pub fn refuse(&mut self, key: &str) -> Result<()> {
        let value = self.body.read_member::<Value>(key).unwrap_or_default();
        if self.body.has_value(key) && !value.is_some_and(|value| is_neutral(key, &value)) {
            if !self.may_drop(key) {
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

/// The path and the message of an error. Both are shortened, since the path may be the caller's text.
fn without_position(error: &ParseError) -> String {
    let message = excerpt(error.message());
    match error.path() {
        "" => message.into_owned(),
        path => format!("{}: {message}", excerpt(path)),
    }
}

/// The result of a call in one piece, with metadata.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply {
    /// The body, in OpenAI's schema (rerank: Cohere's).
    pub body: Document,
    /// Facts about the call.
    pub metadata: Metadata,
}

impl Reply {
    /// Creates a reply.
    pub fn new(body: Document, metadata: Metadata) -> Self {
        Self { body, metadata }
    }

    /// The token usage, if the upstream reports it; some engines send a usage without counts.
    pub fn usage(&self) -> Option<Usage> {
        let usage: Option<Usage> = match &self.metadata.usage {
            Some(usage) => Some((**usage).clone()),
            None => self.body.read_member("usage").ok().flatten(),
        };
        usage.filter(Usage::has_counts)
    }

    /// Reads the body.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`], naming provider and model, if it is not a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        self.body.read().map_err(|error| {
            let message = format!("the reply cannot be read: {error}");
            Error::new(ErrorKind::UnexpectedBody, message)
                .with_provider(self.metadata.provider)
                .with_model(self.metadata.model.as_str())
                .with_source(error)
        })
    }
}

/// Facts about a call besides its body.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metadata {
    /// The provider's name.
    pub provider: &'static str,
    /// The model's name at the upstream.
    pub model: String,
    /// The deployment that a router chose.
    pub deployment: Option<String>,
    /// The number of attempts of a router, including the last one; 0 without a router.
    pub attempts: u32,
    /// The upstream's own id of the call, such as a request id or a prediction id.
    pub upstream_id: Option<String>,
    /// The request parameters that were left out because the provider does not support them.
    pub dropped_params: Vec<String>,
    /// Facts that only this provider reports, such as the template family that formatted the prompt.
    pub extra: Map<String, Value>,
    /// The token usage, if the body of the reply has it in another form than OpenAI's chats.
    pub usage: Option<Box<Usage>>,
}

impl Metadata {
    /// Creates the metadata of a call to `model` at `provider`.
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
    fn positions_refer_to_the_body_as_the_caller_sent_it() {
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
    fn an_error_in_a_change_has_no_position() {
        let mut call = call(r#"{"model":"m","messages":[]}"#);
        call.body.set("messages", 5);
        let message = message(&call);
        assert!(
            message.contains("messages") && !message.contains("column"),
            "{message}"
        );
    }

    #[test]
    fn a_neutral_parameter_is_not_refused() {
        for (key, neutral, other) in [
            ("functions", "[]", r#"[{"name":"f"}]"#),
            ("suffix", "\"\"", "\"x\""),
            ("best_of", "1", "2"),
            ("seed", "null", "1"),
        ] {
            let with = |value: &str| call(&format!(r#"{{"model":"m","{key}":{value}}}"#));
            let mut call = with(neutral);
            call.refuse(key).unwrap();
            assert!(!call.body.has(key) && call.dropped_params.is_empty());
            let error = with(other).refuse(key).unwrap_err();
            assert_eq!(error.param(), Some(key));
            let mut call = with(other).with_drop_params(true);
            call.refuse(key).unwrap();
            assert!(!call.body.has(key));
            assert_eq!(call.dropped_params, [key]);
        }
    }

    #[test]
    fn a_long_member_name_is_shortened() {
        let name = "x".repeat(100_000);
        let body = format!(r#"{{"model":"m","messages":[],"{name}":1e999}}"#);
        let message = message(&call(&body));
        assert!(message.len() < 600, "{} bytes", message.len());
    }
}
