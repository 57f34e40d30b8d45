//! One error for the whole crate.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::string::String;
use core::error::Error as StdError;
use core::fmt;

/// Why a prompt could not be rendered, or a template not be read.
///
/// It never holds text of a message.
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

/// What kind of failure it was.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// The roles do not take turns as the format demands, or the assistant speaks first.
    Alternation,
    /// A configuration of a tokenizer is malformed, or lacks what is asked of it.
    Config,
    /// The last message cannot be continued, as it is not the assistant's.
    Continuation,
    /// Content holds a control token, and the policy is to reject.
    ControlToken,
    /// There is no message.
    Empty,
    /// A picture or another part that is no text.
    Image,
    /// The template used up what it may: instructions, nested calls or output.
    Limit,
    /// A message without content.
    NoContent,
    /// The template itself raised an exception.
    Raised,
    /// Something went wrong in the template.
    Render,
    /// The format does not know the role.
    Role,
    /// The template's source is not Jinja.
    Syntax,
    /// The format has no place for a system message here.
    System,
    /// The format has no place for tools, tool calls or a tool's answer, or they are not JSON.
    Tools,
    /// The writer that was given failed.
    Write,
}

impl Error {
    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The name of the family or template.
    pub fn template(&self) -> Option<&str> {
        self.0.template.as_deref()
    }

    /// The index of the message at fault, from 0.
    pub fn message(&self) -> Option<usize> {
        self.0.message
    }

    /// The line of the template at fault, from 1.
    pub fn line(&self) -> Option<usize> {
        self.0.line
    }

    /// The control token that was found in content.
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

    /// The error as seen from the messages that were folded to those at fault.
    pub(crate) fn moved(mut self, places: &[usize]) -> Self {
        self.0.message = self.0.message.and_then(|index| places.get(index).copied());
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
