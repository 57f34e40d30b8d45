mod answer;
mod kind;
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

pub use self::answer::upstream_id;
pub use self::kind::ErrorKind;

/// The result of everything that a provider does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong between a caller and an upstream.
///
/// Match on [`kind`](Self::kind); the rest is there to be shown. Neither `Display` nor `Debug`,
/// of this error and of its sources, holds an API key, a URL or a body, and both escape control
/// characters and cut long texts. The [`message`](Self::message) of an error that an upstream
/// answered with is that upstream's own sentence, as it came.
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
    code: Option<String>,
    param: Option<String>,
    body: Option<Bytes>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind`, with a sentence for a person.
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
            code: None,
            param: None,
            body: None,
            source: None,
        }))
    }

    /// The error of a `provider` that is asked for what it has not.
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

    /// Corrects the kind, for an upstream whose bodies say more than their status.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Names the provider.
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<Cow<'static, str>>) -> Self {
        self.0.provider = Some(provider.into());
        self
    }

    /// Names the model, as the upstream knows it.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.0.model = Some(model.into());
        self
    }

    /// Keeps the HTTP status that the upstream answered with.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Keeps what every error answer tells: its status, when and whether to try again
    /// ([`retry::advice`], [`retry::should_retry`]), the upstream's id of the request, and the
    /// body as it came.
    #[must_use]
    pub fn with_answer(mut self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        self.0.retry_after = retry::advice(headers, &body);
        self.0.should_retry = retry::should_retry(headers);
        self.0.upstream_id = upstream_id(headers);
        self.with_status(status).with_body(body)
    }

    /// Tells that nothing of the request has left, so that it may be sent again.
    #[must_use]
    pub fn with_unsent(mut self) -> Self {
        self.0.unsent = true;
        self
    }

    /// Keeps how long the upstream asked to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: impl Into<Option<Duration>>) -> Self {
        self.0.retry_after = retry_after.into();
        self
    }

    /// Keeps what the upstream says about trying again, for one that says it in its own way.
    #[must_use]
    pub fn with_should_retry(mut self, should_retry: impl Into<Option<bool>>) -> Self {
        self.0.should_retry = should_retry.into();
        self
    }

    /// Keeps the upstream's machine-readable code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Option<String>>) -> Self {
        self.0.code = code.into();
        self
    }

    /// Names the request parameter that is to blame.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<Option<String>>) -> Self {
        self.0.param = param.into();
        self
    }

    /// Keeps the upstream's body as it came. It is never printed, since it may quote the prompt.
    #[must_use]
    pub fn with_body(mut self, body: Bytes) -> Self {
        self.0.body = Some(body);
        self
    }

    /// Keeps the error that caused this one.
    ///
    /// Of an error of `serde_json` only the place is kept: its words may quote the document.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source::without_document(source.into()));
        self
    }

    /// Redacts a deployment's secrets, which an upstream may have repeated in any text.
    ///
    /// Providers call it, by `Connection::redact` of `llm-http`, for every error
    /// that they return.
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

    /// The sort of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The sentence for a person, without provider and model.
    ///
    /// It may be an upstream's, with line ends and control characters: pass it through
    /// [`text::printable`](crate::text::printable) before it is printed, or print the error itself.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The provider that failed, such as `together_ai`.
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// The model that was asked for, as the upstream knows it.
    pub fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// The HTTP status that the upstream answered with.
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// How long the upstream asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What the upstream says about trying again, such as in `x-should-retry`.
    pub fn should_retry(&self) -> Option<bool> {
        self.0.should_retry
    }

    /// The upstream's own id of the failed request.
    pub fn upstream_id(&self) -> Option<&str> {
        self.0.upstream_id.as_deref()
    }

    /// Whether nothing of the request has left, as when there was no connection.
    pub fn is_unsent(&self) -> bool {
        self.0.unsent
    }

    /// Whether the upstream cannot have done the work, and so cannot bill it: nothing was sent,
    /// or it was turned away at the door (408, 409, 429, 503, 529).
    ///
    /// After a timeout, a broken connection or another 5xx nobody knows.
    pub fn is_unbilled(&self) -> bool {
        let status = self.0.status.map(|status| status.as_u16());
        self.0.unsent || matches!(status, Some(408 | 409 | 429 | 503 | 529))
    }

    /// The upstream's machine-readable code, such as `invalid_api_key`.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The request parameter that is to blame.
    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// The upstream's body as it came.
    pub fn body(&self) -> Option<&Bytes> {
        self.0.body.as_ref()
    }

    /// Whether the same request may succeed when it is sent to the same upstream again: what the
    /// upstream itself says ([`should_retry`](Self::should_retry)), else what the kind tells.
    pub fn is_retryable(&self) -> bool {
        self.0
            .should_retry
            .unwrap_or_else(|| self.0.kind.may_pass())
    }

    /// Whether another deployment, with its own key, account and model, may succeed.
    ///
    /// Wider than [`is_retryable`](Self::is_retryable): a refused key says nothing of other keys,
    /// and an upstream that does not want to be asked again says nothing of other upstreams.
    pub fn is_retryable_elsewhere(&self) -> bool {
        self.is_retryable()
            || self.0.kind.may_pass()
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
