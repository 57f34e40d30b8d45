use std::fmt;

use http::StatusCode;

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
    pub(super) fn may_pass(self) -> bool {
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
