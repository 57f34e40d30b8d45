use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::Capability;

/// The result of everything that a provider does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong between a caller and an upstream.
///
/// Match on [`kind`](Self::kind); the rest is there to be shown. Neither `Display` nor `Debug`
/// ever holds an API key or a prompt.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    provider: Option<Cow<'static, str>>,
    model: Option<String>,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
    code: Option<String>,
    param: Option<String>,
    body: Option<Bytes>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The sorts of failure that callers treat differently.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The upstream refused the key, or there is none.
    Auth,
    /// The work was stopped before it ended, by the upstream or by a deadline there.
    Cancelled,
    /// A filter refused the prompt or the answer.
    ContentFilter,
    /// The prompt, or the prompt plus the answer asked for, is too long for the model.
    ContextWindow,
    /// The account behind the key has no credit left.
    InsufficientCredit,
    /// The request is wrong; sending it again cannot help.
    InvalidRequest,
    /// The upstream does not know the model, version or deployment.
    NotFound,
    /// The upstream has no capacity just now.
    Overloaded,
    /// The key is good but may not do this.
    Permission,
    /// Too many requests or tokens.
    RateLimited,
    /// Nothing came in time.
    Timeout,
    /// The connection failed, or broke in the middle of an answer.
    Transport,
    /// The upstream answered with something that cannot be understood.
    UnexpectedBody,
    /// This provider cannot do what was asked.
    Unsupported,
    /// The upstream tried and failed.
    UpstreamFailed,
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
            code: None,
            param: None,
            body: None,
            source: None,
        }))
    }

    /// The error of a `provider` that is asked for what it has not.
    pub fn unsupported(provider: &'static str, capability: Capability) -> Self {
        let message = format!("{provider} has no {capability}");
        Self::new(ErrorKind::Unsupported, message).with_provider(provider)
    }

    /// Puts it in other words.
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

    /// Keeps how long the upstream asked to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: impl Into<Option<Duration>>) -> Self {
        self.0.retry_after = retry_after.into();
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
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The sort of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The sentence for a person, without provider and model.
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

    /// Whether the same request may succeed when it is sent to the same upstream again.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::Overloaded
                | ErrorKind::RateLimited
                | ErrorKind::Timeout
                | ErrorKind::Transport
                | ErrorKind::UnexpectedBody
                | ErrorKind::UpstreamFailed
        )
    }

    /// Whether another deployment, with its own key, account and model, may succeed.
    ///
    /// Wider than [`is_retryable`](Self::is_retryable): a refused key says nothing of other keys.
    pub fn is_retryable_elsewhere(&self) -> bool {
        self.is_retryable()
            || matches!(
                self.0.kind,
                ErrorKind::Auth
                    | ErrorKind::Cancelled
                    | ErrorKind::InsufficientCredit
                    | ErrorKind::NotFound
                    | ErrorKind::Permission
            )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(provider) = &self.0.provider {
            write!(f, "{provider}: ")?;
        }
        f.write_str(&self.0.message)?;
        if let Some(status) = self.0.status {
            write!(f, " (HTTP {})", status.as_u16())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("message", &inner.message)
            .field("provider", &inner.provider)
            .field("model", &inner.model)
            .field("status", &inner.status)
            .field("retry_after", &inner.retry_after)
            .field("code", &inner.code)
            .field("param", &inner.param)
            .field("body_bytes", &inner.body.as_ref().map(Bytes::len))
            .field("source", &inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

impl ErrorKind {
    /// The kind that an HTTP status stands for when the body does not say more.
    pub fn from_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Auth,
            402 => Self::InsufficientCredit,
            403 => Self::Permission,
            404 | 410 => Self::NotFound,
            408 | 504 | 522 | 524 => Self::Timeout,
            429 => Self::RateLimited,
            503 | 529 => Self::Overloaded,
            400..=499 => Self::InvalidRequest,
            500..=599 => Self::UpstreamFailed,
            _ => Self::UnexpectedBody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_display_nor_debug_shows_the_body() {
        let error = Error::new(ErrorKind::InvalidRequest, "prompt is required")
            .with_provider("replicate")
            .with_status(StatusCode::UNPROCESSABLE_ENTITY)
            .with_body(Bytes::from_static(b"a secret prompt"));
        assert_eq!(
            error.to_string(),
            "replicate: prompt is required (HTTP 422)"
        );
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn a_refused_key_is_only_retried_elsewhere() {
        let error = Error::new(ErrorKind::Auth, "refused");
        assert!(!error.is_retryable());
        assert!(error.is_retryable_elsewhere());
        assert!(!Error::new(ErrorKind::InvalidRequest, "wrong").is_retryable_elsewhere());
    }
}
