use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_types::completions::CompletionRequest;
use llm_types::embeddings::EmbeddingRequest;
use llm_types::rerank::RerankRequest;
use llm_types::{ChatRequest, ErrorResponse, ParseError, parse};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Call, Error, ErrorKind, Json, Operation, Result};

/// What an upstream does differently from OpenAI. Every hook's default is OpenAI's own way.
///
/// The request hooks rewrite a request where the upstream's schema differs, most easily by a
/// [`Translation`]. Their error is [`ErrorKind::Unsupported`], naming the parameter, for what the
/// upstream cannot honour, unless the call allows to drop it.
pub trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// The provider's name.
    fn provider(&self) -> &'static str;

    /// Rewrites a chat request.
    ///
    /// # Errors
    /// As [above](Self).
    fn chat_request(&self, call: &Call<ChatRequest>) -> Result<Translated<ChatRequest>> {
        Ok(Translated::new(call.body.clone()))
    }

    /// Rewrites a request for a text completion.
    ///
    /// # Errors
    /// As [above](Self).
    fn completion_request(
        &self,
        call: &Call<CompletionRequest>,
    ) -> Result<Translated<CompletionRequest>> {
        Ok(Translated::new(call.body.clone()))
    }

    /// Rewrites a request for embeddings.
    ///
    /// # Errors
    /// As [above](Self).
    fn embedding_request(
        &self,
        call: &Call<EmbeddingRequest>,
    ) -> Result<Translated<EmbeddingRequest>> {
        Ok(Translated::new(call.body.clone()))
    }

    /// Rewrites a rerank request.
    ///
    /// # Errors
    /// As [above](Self).
    fn rerank_request(&self, call: &Call<RerankRequest>) -> Result<Translated<RerankRequest>> {
        Ok(Translated::new(call.body.clone()))
    }

    /// Reads an answer whose status is not a success.
    ///
    /// The default reads OpenAI's envelope; status and code decide, never the message's words.
    fn error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
        read_error(status, headers, body)
    }
}

/// A request in the upstream's dialect.
#[derive(Debug)]
#[non_exhaustive]
pub struct Translated<T> {
    /// The body to send.
    pub body: Json<T>,
    /// The parameters that were left out.
    pub dropped_params: Vec<String>,
}

impl<T> Translated<T> {
    /// A body from which nothing was left out.
    pub fn new(body: Json<T>) -> Self {
        Self {
            body,
            dropped_params: Vec::new(),
        }
    }
}

/// A request that is being put into an upstream's dialect: looked through once, changed once.
///
/// A request that needs no change leaves as the bytes that came.
///
/// ```
/// use llm_provider::openai::Translation;
/// use llm_provider::{Call, ErrorKind, Json};
/// use llm_types::ChatRequest;
///
/// let body = br#"{"model":"m","messages":[],"max_completion_tokens":5,"audio":{}}"#;
/// let call = Call::<ChatRequest>::new(Json::from_bytes(body.as_slice()));
///
/// let mut request = Translation::new(&call)?;
/// request.rename("max_completion_tokens", "max_tokens");
/// let error = request.refuse("audio").unwrap_err();
/// assert_eq!((error.kind(), error.param()), (ErrorKind::Unsupported, Some("audio")));
///
/// let call = call.with_drop_params(true);
/// let mut request = Translation::new(&call)?;
/// request.refuse("audio")?;
/// let translated = request.finish()?;
/// assert_eq!(translated.dropped_params, ["audio"]);
/// # Ok::<(), llm_provider::Error>(())
/// ```
#[derive(Debug)]
pub struct Translation<'c, T> {
    call: &'c Call<T>,
    /// What to set, or to remove.
    changes: Vec<(String, Option<Value>)>,
    dropped_params: Vec<String>,
}

impl<'c, T: Operation> Translation<'c, T> {
    /// Looks through the body of `call`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when it is not a JSON object.
    pub fn new(call: &'c Call<T>) -> Result<Self> {
        call.body.require_object()?;
        Ok(Self {
            call,
            changes: Vec::new(),
            dropped_params: Vec::new(),
        })
    }

    /// The request in the upstream's dialect.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the body is not a JSON object.
    pub fn finish(self) -> Result<Translated<T>> {
        let body = match self.changes.is_empty() {
            true => self.call.body.clone(),
            false => self.call.body.change(self.changes)?,
        };
        Ok(Translated {
            body,
            dropped_params: self.dropped_params,
        })
    }

    /// The names of all parameters.
    pub fn keys(&self) -> Vec<String> {
        self.call.body.fields()
    }

    /// The value of a parameter as JSON text; null is the same as none.
    pub fn get(&self, key: &str) -> Option<Cow<'c, str>> {
        self.call.body.field(key).filter(|value| value != "null")
    }

    /// Whether a parameter is there and not null.
    pub fn has(&self, key: &str) -> bool {
        self.call.body.has_field(key) && !self.call.body.is_null(key)
    }

    /// Reads a parameter that is there and not null.
    ///
    /// # Errors
    /// When the value is not of this shape; the error's place counts from the value's beginning.
    pub fn read<V: DeserializeOwned>(&self, key: &str) -> Result<Option<V>, ParseError> {
        let value = self.get(key);
        value.map(|value| parse(value.as_bytes())).transpose()
    }

    /// Sets a parameter.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.changes.push((key.to_owned(), Some(value.into())));
    }

    /// Takes a parameter out that the upstream need not hear of.
    pub fn remove(&mut self, key: &str) {
        if self.call.body.has_field(key) {
            self.changes.push((key.to_owned(), None));
        }
    }

    /// Gives a parameter that is there the upstream's name for it.
    pub fn rename(&mut self, key: &str, name: &str) {
        if let Some(value) = self.get(key) {
            // The whole body was found to be JSON.
            let value = serde_json::from_str(&value).unwrap_or_default();
            self.changes.push((name.to_owned(), Some(value)));
        }
        self.remove(key);
    }

    /// Says that the upstream cannot honour a parameter, if it is there and not null.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`], naming the parameter, unless the call allows to drop it.
    pub fn refuse(&mut self, key: &str) -> Result<()> {
        if self.has(key) {
            if !self.call.drop_params {
                let message = format!(
                    "{key} cannot be honoured: the upstream has nothing like it (drop_params \
                     leaves it out)"
                );
                return Err(Error::new(ErrorKind::Unsupported, message).with_param(key.to_owned()));
            }
            self.dropped_params.push(key.to_owned());
        }
        self.remove(key);
        Ok(())
    }

    /// Takes parameters that are null out: they say nothing, and many upstreams refuse them
    /// (TGI#3155, kalosm#354).
    pub fn remove_nulls(&mut self) {
        let nulls = self.call.body.nulls().into_iter();
        self.changes.extend(nulls.map(|key| (key, None)));
    }
}

/// Reads an error answer in OpenAI's envelope: kind from status and code, advice from headers.
pub fn read_error(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let kind = ErrorKind::from_status(status);
    match ErrorResponse::parse(&body) {
        Some(envelope) => error_from_envelope(kind, envelope),
        // A page of a proxy in between, most often: of no use to a person.
        None => Error::new(kind, "the upstream answered with an error that is not JSON"),
    }
    .with_answer(status, headers, body)
}

/// The error in OpenAI's envelope; its code may tell more than `kind`, its words never do.
pub(super) fn error_from_envelope(kind: ErrorKind, envelope: ErrorResponse) -> Error {
    let code = envelope.error.code().map(Cow::into_owned);
    let kind = match code.as_deref() {
        Some("context_length_exceeded") => ErrorKind::ContextWindow,
        Some("content_filter" | "content_policy_violation") => ErrorKind::ContentFilter,
        _ => kind,
    };
    let param = envelope.error.param().map(Cow::into_owned);
    Error::new(kind, envelope.error.message)
        .with_code(code)
        .with_param(param)
}
