//! Sources of errors, without documents and secrets that they may quote.

use std::error::Error as StdError;
use std::fmt;

use llm_types::ParseError;
use llm_types::embeddings::VectorError;

use super::{Error, ErrorKind};
use crate::Secrets;
#[cfg(feature = "prompt-templates")]
use crate::text::excerpt;

type Source = Box<dyn StdError + Send + Sync>;

/// Removes quoted text of a document: only the position of a `serde_json` error is kept.
pub(super) fn without_document(source: Source) -> Source {
    match source.downcast::<serde_json::Error>() {
        Ok(error) => Box::new(BadJson {
            is_json: error.is_data(),
            line: error.line(),
            column: error.column(),
        }),
        Err(source) => source,
    }
}

/// Redacts secrets: a source that shows one is replaced by its redacted text.
pub(super) fn redacted(source: Source, secrets: &Secrets) -> Source {
    let first: &(dyn StdError + 'static) = &*source;
    let chain = || std::iter::successors(Some(first), |&error| error.source());
    let shows_secret = |text: String| secrets.redact(&text) != text.as_str();
    if !chain().any(|error| shows_secret(error.to_string()) || shows_secret(format!("{error:?}"))) {
        return source;
    }
    let texts: Vec<String> = chain().map(ToString::to_string).collect();
    Box::new(Redacted(secrets.redact(&texts.join(": ")).into_owned()))
}

/// The position at which a document could not be read.
#[derive(Debug)]
struct BadJson {
    is_json: bool,
    line: usize,
    column: usize,
}

impl fmt::Display for BadJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_json {
            "the JSON has an unexpected shape"
        } else {
            "the text is not JSON"
        };
        write!(f, "{what}, at line {} column {}", self.line, self.column)
    }
}

impl StdError for BadJson {}

/// The redacted text of a chain of errors that showed a secret.
#[derive(Debug)]
struct Redacted(String);

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Redacted {}

/// An error of kind [`ErrorKind::InvalidRequest`]: for the parameter `messages` if a message
/// caused it.
#[cfg(feature = "prompt-templates")]
impl From<prompt_templates::Error> for Error {
    fn from(error: prompt_templates::Error) -> Self {
        let text = error.to_string();
        let message = format!("the prompt cannot be rendered: {}", excerpt(&text));
        let param = error.message().map(|_| "messages".to_owned());
        Self::new(ErrorKind::InvalidRequest, message)
            .with_param(param)
            .with_source(error)
    }
}

/// An error of kind [`ErrorKind::UnexpectedBody`].
impl From<VectorError> for Error {
    fn from(error: VectorError) -> Self {
        Self::new(ErrorKind::UnexpectedBody, error.to_string()).with_source(error)
    }
}

impl From<ParseError> for Error {
    /// An error of kind [`ErrorKind::InvalidRequest`].
    fn from(error: ParseError) -> Self {
        Self::new(ErrorKind::InvalidRequest, error.to_string()).with_source(error)
    }
}
