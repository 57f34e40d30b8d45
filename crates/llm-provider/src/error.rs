use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{ApiKey, Capability, retry};

/// The result of everything that a provider does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong between a caller and an upstream.
///
/// Match on [`kind`](Self::kind); the rest is there to be shown. Neither `Display` nor `Debug`,
/// of this error and of its sources, holds an API key, a URL or a body. The
/// [`message`](Self::message) of an error that an upstream answered with is that upstream's own
/// sentence.
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
    /// The upstream ran the model, and the model failed: with this input it would fail again, but
    /// another model, or the same on another machine, need not.
    ModelFailed,
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
        let message = format!("it has no {capability}");
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
        let source = source.into();
        self.0.source = Some(match source.downcast::<serde_json::Error>() {
            Ok(error) => Box::new(BadJson {
                is_json: error.is_data(),
                line: error.line(),
                column: error.column(),
            }),
            Err(source) => source,
        });
        self
    }

    /// Blots a key out that an upstream repeats in its answer.
    #[must_use]
    pub fn without_key(mut self, key: &ApiKey) -> Self {
        let key = key.expose();
        if key.is_empty() {
            return self;
        }
        let inner = &mut *self.0;
        if inner.message.contains(key) {
            inner.message = inner.message.replace(key, "***").into();
        }
        let texts = [&mut inner.code, &mut inner.param, &mut inner.upstream_id];
        for text in texts.into_iter().flatten() {
            if text.contains(key) {
                *text = text.replace(key, "***");
            }
        }
        if let Some(body) = &mut inner.body
            && let Ok(text) = std::str::from_utf8(body)
            && text.contains(key)
        {
            *body = text.replace(key, "***").into();
        }
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
            .field("unsent", &inner.unsent)
            .field("upstream_id", &inner.upstream_id)
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

/// Where a document could not be read.
#[derive(Debug)]
struct BadJson {
    is_json: bool,
    line: usize,
    column: usize,
}

impl fmt::Display for BadJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_json {
            "the JSON has another shape"
        } else {
            "this is no JSON"
        };
        write!(f, "{what}, at line {} column {}", self.line, self.column)
    }
}

impl StdError for BadJson {}

/// The upstream's own id of a request: `x-request-id`, or else Cloudflare's `cf-ray`.
pub(crate) fn upstream_id(headers: &HeaderMap) -> Option<String> {
    let mut ids = ["x-request-id", "cf-ray"]
        .into_iter()
        .filter_map(|name| headers.get(name)?.to_str().ok());
    ids.next().map(str::to_owned)
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

    /// Whether a failure of this kind may be over when the same is asked again.
    fn may_pass(self) -> bool {
        matches!(
            self,
            Self::Overloaded
                | Self::RateLimited
                | Self::Timeout
                | Self::Transport
                | Self::UnexpectedBody
                | Self::UpstreamFailed
        )
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_status_has_its_kind() {
        for (status, kind) in [
            (400, ErrorKind::InvalidRequest),
            (401, ErrorKind::Auth),
            (402, ErrorKind::InsufficientCredit),
            (403, ErrorKind::Permission),
            (404, ErrorKind::NotFound),
            (408, ErrorKind::Timeout),
            (409, ErrorKind::InvalidRequest),
            (410, ErrorKind::NotFound),
            (413, ErrorKind::InvalidRequest),
            (422, ErrorKind::InvalidRequest),
            (429, ErrorKind::RateLimited),
            (500, ErrorKind::UpstreamFailed),
            (502, ErrorKind::UpstreamFailed),
            (503, ErrorKind::Overloaded),
            (504, ErrorKind::Timeout),
            (520, ErrorKind::UpstreamFailed),
            (524, ErrorKind::Timeout),
            (529, ErrorKind::Overloaded),
            (302, ErrorKind::UnexpectedBody),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(ErrorKind::from_status(status), kind, "{status}");
        }
    }

    #[test]
    fn what_an_answer_tells_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("7"));
        headers.insert("x-should-retry", HeaderValue::from_static("false"));
        headers.insert("cf-ray", HeaderValue::from_static("ray"));
        headers.insert("x-request-id", HeaderValue::from_static("req-1"));
        let body = Bytes::from_static(b"a secret prompt");
        let error = Error::new(ErrorKind::RateLimited, "slow down")
            .with_provider("replicate")
            .with_answer(StatusCode::TOO_MANY_REQUESTS, &headers, body.clone());
        assert_eq!(error.status(), Some(StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(error.should_retry(), Some(false));
        assert_eq!(error.upstream_id(), Some("req-1"));
        assert_eq!(error.body(), Some(&body));
        assert_eq!(error.to_string(), "replicate: slow down (HTTP 429)");
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn a_source_quotes_no_document() {
        let quoting = serde_json::from_str::<u64>("\n\"a secret prompt\"").unwrap_err();
        assert!(quoting.to_string().contains("secret"));
        let error = Error::new(ErrorKind::UnexpectedBody, "unreadable").with_source(quoting);
        let source = error.source().unwrap().to_string();
        assert_eq!(source, "the JSON has another shape, at line 2 column 17");
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn a_key_that_the_upstream_repeats_is_blotted_out_everywhere() {
        let error = Error::new(ErrorKind::Auth, "wrong key: sk-secret!")
            .with_code("sk-secret".to_owned())
            .with_param("sk-secret".to_owned())
            .with_body(Bytes::from_static(b"{\"key\":\"sk-secret\"}"))
            .without_key(&ApiKey::new("sk-secret"));
        assert_eq!(error.message(), "wrong key: ***!");
        assert_eq!((error.code(), error.param()), (Some("***"), Some("***")));
        assert_eq!(error.body().unwrap(), "{\"key\":\"***\"}");
    }

    #[test]
    fn only_what_was_turned_away_is_sure_to_be_unbilled() {
        let status = |status: u16| {
            Error::new(ErrorKind::UpstreamFailed, "")
                .with_status(StatusCode::from_u16(status).unwrap())
        };
        for code in [408, 409, 429, 503, 529] {
            assert!(status(code).is_unbilled(), "{code}");
        }
        for code in [400, 500, 502, 504, 524] {
            assert!(!status(code).is_unbilled(), "{code}");
        }
        let broken = Error::new(ErrorKind::Transport, "");
        assert!(!broken.is_unbilled());
        assert!(broken.with_unsent().is_unbilled());
    }

    #[test]
    fn a_refused_key_is_only_retried_elsewhere() {
        let error = Error::new(ErrorKind::Auth, "refused");
        assert!(!error.is_retryable());
        assert!(error.is_retryable_elsewhere());
        assert!(!Error::new(ErrorKind::InvalidRequest, "wrong").is_retryable_elsewhere());
    }

    #[test]
    fn what_the_upstream_says_of_trying_again_counts_there_only() {
        let said = |kind, again: bool| {
            let error = Error::new(kind, "").with_should_retry(again);
            (error.is_retryable(), error.is_retryable_elsewhere())
        };
        assert_eq!(said(ErrorKind::UpstreamFailed, false), (false, true));
        assert_eq!(said(ErrorKind::Timeout, true), (true, true));
        assert_eq!(said(ErrorKind::InvalidRequest, true), (true, true));
        assert_eq!(said(ErrorKind::InvalidRequest, false), (false, false));
        let failed = Error::new(ErrorKind::ModelFailed, "");
        assert!(!failed.is_retryable() && failed.is_retryable_elsewhere());
    }
}
