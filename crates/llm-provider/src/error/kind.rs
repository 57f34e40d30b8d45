use std::fmt;

use http::StatusCode;

/// The kind of an [`Error`](crate::Error).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The upstream rejected the key, or there is none.
    Auth,
    /// The upstream cancelled the work, or its deadline for the work passed.
    Cancelled,
    /// A filter rejected the prompt or the output.
    ContentFilter,
    /// The prompt, or the prompt plus the requested output, is too long for the model.
    ContextWindow,
    /// The account behind the key has no credit left.
    InsufficientCredit,
    /// The request is invalid; a retry cannot succeed.
    InvalidRequest,
    /// The upstream ran the model, and the model failed. A retry would fail again, but another
    /// deployment may succeed.
    ModelFailed,
    /// The upstream does not know the model, version or deployment.
    NotFound,
    /// The upstream has no capacity at present.
    Overloaded,
    /// The key is valid but lacks the permission.
    Permission,
    /// Too many requests or tokens.
    RateLimited,
    /// A time limit passed.
    Timeout,
    /// The connection failed, or broke in the middle of a response.
    Transport,
    /// The upstream sent a body that cannot be read.
    UnexpectedBody,
    /// The provider does not support the endpoint or a parameter.
    Unsupported,
    /// The upstream failed, for example with a 5xx.
    UpstreamFailed,
}

impl ErrorKind {
    /// The kind for an HTTP status, if the body has no better information.
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

    /// Whether a failure of this kind is temporary, so that a retry may succeed.
    pub(super) fn is_temporary(self) -> bool {
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

/// In words, such as `rate limited`.
impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auth => "authentication failed",
            Self::Cancelled => "cancelled",
            Self::ContentFilter => "content filtered",
            Self::ContextWindow => "context window exceeded",
            Self::InsufficientCredit => "insufficient credit",
            Self::InvalidRequest => "invalid request",
            Self::ModelFailed => "model failed",
            Self::NotFound => "not found",
            Self::Overloaded => "overloaded",
            Self::Permission => "permission denied",
            Self::RateLimited => "rate limited",
            Self::Timeout => "timed out",
            Self::Transport => "connection failed",
            Self::UnexpectedBody => "unexpected body",
            Self::Unsupported => "unsupported",
            Self::UpstreamFailed => "upstream failed",
        })
    }
}
