//! The error type of the crate.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::string::String;
use core::error::Error as StdError;
use core::fmt;

/// The error of rendering a prompt or reading a template.
///
/// It contains no text of a message, except what a chat template puts into its own exceptions; of
/// these, 200 characters are kept.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    detail: Cow<'static, str>,
    template: Option<String>,
    message: Option<usize>,
    line: Option<usize>,
    token: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kind of an [`Error`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// The roles do not alternate as the format requires, or the assistant speaks first.
    Alternation,
    /// A tokenizer configuration is malformed, or lacks a required value.
    Config,
    /// The last message cannot be continued, because it is not the assistant's.
    Continuation,
    /// Content contains a control token, and the policy is to reject it.
    ControlToken,
    /// There are no messages.
    Empty,
    /// A message has a part that is not text, such as an image.
    Image,
    /// The template exceeded a limit: instructions, nested calls, output or memory.
    Limit,
    /// A message has no content.
    NoContent,
    /// The template raised an exception.
    Raised,
    /// The template failed while rendering.
    Render,
    /// The format does not support the role.
    Role,
    /// The template's source is not valid Jinja.
    Syntax,
    /// The format does not support a system message at this position.
    System,
    /// The format does not support tools, tool calls or tool results, or they are not JSON.
    Tools,
    /// Writing to the output failed.
    Write,
}

/// A short description, such as `control token in content`.
impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alternation => "roles out of order",
            Self::Config => "invalid configuration",
            Self::Continuation => "nothing to continue",
            Self::ControlToken => "control token in content",
            Self::Empty => "no messages",
            Self::Image => "unsupported part",
            Self::Limit => "limit exceeded",
            Self::NoContent => "no content",
            Self::Raised => "exception raised",
            Self::Render => "rendering failed",
            Self::Role => "unsupported role",
            Self::Syntax => "invalid syntax",
            Self::System => "misplaced system message",
            Self::Tools => "unsupported tools",
            Self::Write => "writing failed",
        })
    }
}

impl Error {
    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The name of the family or template.
    pub fn template(&self) -> Option<&str> {
        self.0.template.as_deref()
    }

    /// The index of the message that caused the error, from 0.
    pub fn message(&self) -> Option<usize> {
        self.0.message
    }

    /// The line of the template that caused the error, from 1.
    pub fn line(&self) -> Option<usize> {
        self.0.line
    }

    /// The control token found in content.
    pub fn token(&self) -> Option<&str> {
        self.0.token.as_deref()
    }

    pub(crate) fn new(kind: ErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            detail: detail.into(),
            template: None,
            message: None,
            line: None,
            token: None,
            source: None,
        }))
    }

    pub(crate) fn at_message(mut self, index: usize) -> Self {
        self.0.message = Some(index);
        self
    }

    /// Translates the index of a folded message to that of the original message.
    pub(crate) fn with_original_index(mut self, origins: &[usize]) -> Self {
        self.0.message = self.0.message.and_then(|index| origins.get(index).copied());
        self
    }

    pub(crate) fn in_template(mut self, name: &str) -> Self {
        self.0.template = Some(name.to_owned());
        self
    }

    #[cfg(feature = "jinja")]
    pub(crate) fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    #[cfg(feature = "jinja")]
    pub(crate) fn at_line(mut self, line: Option<usize>) -> Self {
        self.0.line = line;
        self
    }

    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.0.token = Some(token.to_owned());
        self
    }
}

impl From<fmt::Error> for Error {
    fn from(error: fmt::Error) -> Self {
        let mut this = Self::new(ErrorKind::Write, "the writer failed");
        this.0.source = Some(Box::new(error));
        this
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            detail,
            template,
            message,
            line,
            token,
            ..
        } = &*self.0;
        if let Some(template) = template {
            write!(f, "{template}: ")?;
        }
        if let Some(line) = line {
            write!(f, "line {line}: ")?;
        }
        if let Some(message) = message {
            write!(f, "message {message}: ")?;
        }
        f.write_str(detail)?;
        match token {
            Some(token) => write!(f, " {token:?}"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
