//! Prints errors on one line of limited length, with control characters escaped.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use bytes::Bytes;

use super::Error;
use crate::text;

/// The provider, the message and the HTTP status, on one line.
///
/// The message may be an upstream's: control characters are escaped, and texts longer than
/// 1,000 bytes are shortened. [`Error::message`] returns the text unchanged.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(provider) = &self.0.provider {
            write!(f, "{}: ", text::printable(provider))?;
        }
        let message = text::excerpt_within(&self.0.message, MAX_PRINTED);
        f.write_str(&message)?;
        if let Some(status) = self.0.status {
            let status = format!("HTTP {}", status.as_u16());
            // Some messages contain the status.
            if !message.contains(&status) {
                write!(f, " ({status})")?;
            }
        }
        Ok(())
    }
}

/// Everything but the body, of which only the length is shown. Texts are escaped and shortened as in
/// `Display`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("message", &QuotedExcerpt::of(&inner.message))
            .field("provider", &inner.provider)
            .field("model", &QuotedExcerpt::if_any(&inner.model))
            .field("status", &inner.status)
            .field("retry_after", &inner.retry_after)
            .field("unsent", &inner.unsent)
            .field("upstream_id", &QuotedExcerpt::if_any(&inner.upstream_id))
            .field("code", &QuotedExcerpt::if_any(&inner.code))
            .field("param", &QuotedExcerpt::if_any(&inner.param))
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

/// A text in quotes, escaped and shortened.
struct QuotedExcerpt<'t>(Cow<'t, str>);

impl<'t> QuotedExcerpt<'t> {
    fn of(text: &'t str) -> Self {
        Self(text::excerpt_within(text, MAX_PRINTED))
    }

    fn if_any(text: &'t Option<String>) -> Option<Self> {
        text.as_deref().map(Self::of)
    }
}

impl fmt::Debug for QuotedExcerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The escapes of `Debug` would escape those of the excerpt again.
        write!(f, "\"{}\"", self.0)
    }
}

/// The maximum length of a printed text, in bytes.
const MAX_PRINTED: usize = 1000;
