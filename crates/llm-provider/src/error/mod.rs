mod kind;
mod response;
mod show;
mod source;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{Capability, Secrets, retry};

pub use self::kind::ErrorKind;
pub use self::response::upstream_id;

/// The result of everything that a provider does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of a call, from the provider or from its upstream.
///
/// Match on [`kind`](Self::kind); the rest is for display. `Display` and `Debug` of this error and of
/// its sources contain no API key, no URL and no body. They escape control characters and shorten
/// long texts. The [`message`](Self::message) of an upstream's error is the upstream's text,
/// unchanged.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    provider: Option<Cow<'static, str>>,
    model: Option<String>,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
    should_retry: Option<bool>,
    unsent: bool,
    upstream_id: Option<String>,
    host: Option<String>,
    code: Option<String>,
    param: Option<String>,
    body: Option<Bytes>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Creates an error with a message for people.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            provider: None,
            model: None,
            status: None,
            retry_after: None,
            should_retry: None,
            unsent: false,
            upstream_id: None,
            host: None,
            code: None,
            param: None,
            body: None,
            source: None,
        }))
    }

    /// Creates the error for a capability that `provider` does not have.
    pub fn unsupported(provider: &'static str, capability: Capability) -> Self {
        let message = format!("{capability} not supported");
        Self::new(ErrorKind::Unsupported, message).with_provider(provider)
    }

    /// Replaces the message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Replaces the kind, for an upstream whose bodies are more specific than their status.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Sets the provider.
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<Cow<'static, str>>) -> Self {
        self.0.provider = Some(provider.into());
        self
    }

    /// Sets the model's name at the upstream.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.0.model = Some(model.into());
        self
    }

    /// Sets the host of the upstream, so that it can be hidden where it is internal.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.0.host = Some(host.into());
        self
    }

    /// Sets the HTTP status of the upstream's response.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Sets what every error response contains: the status, the retry advice ([`retry::advice`],
    /// [`retry::should_retry`]), the upstream's id of the request, and the unchanged body.
    #[must_use]
    pub fn with_response(mut self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        self.0.retry_after = retry::advice(headers, &body);
        self.0.should_retry = retry::should_retry(headers);
        self.0.upstream_id = upstream_id(headers);
        self.with_status(status).with_body(body)
    }

    /// Marks the request as not sent, so that it is safe to send it again.
    #[must_use]
    pub fn with_unsent(mut self) -> Self {
        self.0.unsent = true;
        self
    }

    /// Sets the wait that the upstream requests before a retry.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: impl Into<Option<Duration>>) -> Self {
        self.0.retry_after = retry_after.into();
        self
    }

    /// Sets whether the upstream recommends a retry, for an upstream that has its own way to say so.
    #[must_use]
    pub fn with_should_retry(mut self, should_retry: impl Into<Option<bool>>) -> Self {
        self.0.should_retry = should_retry.into();
        self
    }

    /// Sets the upstream's machine-readable code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Option<String>>) -> Self {
        self.0.code = code.into();
        self
    }

    /// Sets the request parameter that caused the error.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<Option<String>>) -> Self {
        self.0.param = param.into();
        self
    }

    /// Sets the upstream's body, unchanged. It is never printed, since it may quote the prompt.
    #[must_use]
    pub fn with_body(mut self, body: Bytes) -> Self {
        self.0.body = Some(body);
        self
    }

    /// Sets the error that caused this one.
    ///
    /// Only the position of a `serde_json` error is kept, since its message may quote the document.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source::without_document(source.into()));
        self
    }

    /// Redacts a deployment's secrets, which an upstream may have repeated in any text.
    ///
    /// Providers call it for every error that they return, through `Connection::redact` of
    /// `llm-http`.
    #[must_use]
    pub fn redacted(mut self, secrets: &Secrets) -> Self {
        let inner = &mut *self.0;
        if let Cow::Owned(message) = secrets.redact(&inner.message) {
            inner.message = message.into();
        }
        let texts = [
            &mut inner.model,
            &mut inner.upstream_id,
            &mut inner.code,
            &mut inner.param,
        ];
        for text in texts.into_iter().flatten() {
            secrets.redact_in(text);
        }
        inner.body = inner.body.take().map(|body| secrets.redact_body(body));
        let source = inner.source.take();
        inner.source = source.map(|source| source::redacted(source, secrets));
        self
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message for people, without provider and model.
    ///
    /// It may be an upstream's text, with line ends and control characters: pass it through
    /// [`text::printable`](crate::text::printable) before printing it, or print the error itself.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The provider that failed, such as `together_ai`.
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// The model's name at the upstream.
    pub fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// The HTTP status of the upstream's response.
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The wait that the upstream requests before a retry.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the upstream recommends a retry, such as in `x-should-retry`.
    pub fn should_retry(&self) -> Option<bool> {
        self.0.should_retry
    }

    /// The upstream's id of the failed request.
    pub fn upstream_id(&self) -> Option<&str> {
        self.0.upstream_id.as_deref()
    }

    /// The host of the upstream, with its port if the address has one. The message may name it.
    pub fn host(&self) -> Option<&str> {
        self.0.host.as_deref()
    }

    /// Whether the request was not sent, for example because connecting failed.
    pub fn is_unsent(&self) -> bool {
        self.0.unsent
    }

    /// Whether the upstream cannot have billed the call: it was not sent, or the upstream rejected it
    /// before processing (408, 409, 429, 503, 529).
    ///
    /// After a timeout, a broken connection or another 5xx, this is unknown, and the result is `false`.
    pub fn is_unbilled(&self) -> bool {
        let status = self.0.status.map(|status| status.as_u16());
        self.0.unsent || matches!(status, Some(408 | 409 | 429 | 503 | 529))
    }

    /// The upstream's machine-readable code, such as `invalid_api_key`.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The request parameter that caused the error.
    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// The upstream's body, unchanged.
    pub fn body(&self) -> Option<&Bytes> {
        self.0.body.as_ref()
    }

    /// Whether a retry at the same upstream may succeed: as the upstream recommends
    /// ([`should_retry`](Self::should_retry)), else according to the kind. A 409 may also be retried, as
    /// the clients of OpenAI and Together do.
    pub fn is_retryable(&self) -> bool {
        self.0.should_retry.unwrap_or_else(|| {
            self.0.kind.is_temporary() || self.0.status == Some(StatusCode::CONFLICT)
        })
    }

    /// Whether another deployment, with its own key, account and model, may succeed.
    ///
    /// This includes everything that is [retryable](Self::is_retryable). It also includes errors that
    /// concern only one key, account or upstream, such as a rejected key.
    pub fn is_retryable_elsewhere(&self) -> bool {
        self.is_retryable()
            || self.0.kind.is_temporary()
            || matches!(
                self.0.kind,
                ErrorKind::Auth
                    | ErrorKind::Cancelled
                    | ErrorKind::InsufficientCredit
                    | ErrorKind::ModelFailed
                    | ErrorKind::NotFound
                    | ErrorKind::Permission
            )
    }
}
