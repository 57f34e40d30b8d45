use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_types::{ChatRequest, ErrorResponse};

use crate::{Call, Error, ErrorKind, Json, Result, retry};

/// What an upstream does differently from OpenAI. Every hook's default is OpenAI's own way.
pub trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// The provider's name.
    fn provider(&self) -> &'static str;

    /// Rewrites a chat request where the upstream's schema differs.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`], naming the parameter, for what the upstream cannot honour,
    /// unless the call allows to drop it.
    fn chat_request(&self, call: &Call<ChatRequest>) -> Result<Translated<ChatRequest>> {
        Ok(Translated {
            body: call.body.clone(),
            dropped_params: Vec::new(),
        })
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

/// Reads an error answer in OpenAI's envelope: kind from status and code, advice from headers.
pub fn read_error(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let kind = ErrorKind::from_status(status);
    match ErrorResponse::parse(&body) {
        Some(envelope) => error_from_envelope(kind, envelope),
        // A page of a proxy in between, most often: of no use to a person.
        None => Error::new(kind, "the upstream answered with an error that is not JSON"),
    }
    .with_status(status)
    .with_retry_after(retry::retry_after(headers))
    .with_body(body)
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
