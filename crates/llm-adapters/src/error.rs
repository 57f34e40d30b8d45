//! [`Error`]: why a request or a reply cannot be converted.

/// Why a request or a reply cannot be converted.
///
/// The message names the member and states how to fix it. It never contains a text of a prompt.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
}

/// The kind of an [`Error`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// The chat reply has no choice, or reports a failure.
    InvalidReply,
    /// A member of the request is missing or has an invalid value.
    InvalidRequest,
    /// The request needs something that chat completions do not have.
    Unsupported,
}

impl Error {
    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The path of the member, such as `messages[2].content[0].source`.
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    /// The machine-readable code that the client's SDK looks for, such as
    /// `previous_response_not_found`.
    pub fn code(&self) -> Option<&'static str> {
        self.code
    }

    /// The HTTP status: 400 for the client's mistakes, 502 for the upstream's.
    pub fn status(&self) -> u16 {
        match self.kind {
            ErrorKind::InvalidRequest | ErrorKind::Unsupported => 400,
            ErrorKind::InvalidReply => 502,
        }
    }

    pub(crate) fn invalid(param: impl Into<String>, problem: &str) -> Self {
        Self::of_member(ErrorKind::InvalidRequest, param.into(), problem)
    }

    pub(crate) fn unsupported(param: impl Into<String>, problem: &str) -> Self {
        Self::of_member(ErrorKind::Unsupported, param.into(), problem)
    }

    pub(crate) fn reply(message: &str) -> Self {
        Self {
            kind: ErrorKind::InvalidReply,
            message: message.to_owned(),
            param: None,
            code: None,
        }
    }

    pub(crate) fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    fn of_member(kind: ErrorKind, param: String, problem: &str) -> Self {
        Self {
            kind,
            message: format!("{param}: {problem}"),
            param: Some(param),
            code: None,
        }
    }
}

/// A name of the client for an error message: at most 64 printable ASCII characters.
pub(crate) fn excerpt(name: &str) -> String {
    let printable = |c: char| {
        if c.is_ascii_graphic() || c == ' ' {
            c
        } else {
            '?'
        }
    };
    name.chars().take(64).map(printable).collect()
}
