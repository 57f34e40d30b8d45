use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

/// One item of an event stream, lent until the decoder is called again.
///
/// By default every item is a [`Kind::Message`]; the other kinds appear only where they were asked
/// for, or at the end of a stream.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Event<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a str,
    pub(crate) data: &'a [u8],
    pub(crate) id: &'a str,
    pub(crate) retry: Option<u64>,
}

impl<'a> Event<'a> {
    /// What this item is.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The event type: the last non-empty `event` field, else `message`; empty for a comment.
    #[inline]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The `data` lines joined with LF as the server sent them, not checked to be UTF-8.
    ///
    /// For a comment, the text behind the colon.
    #[inline]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The data as text, invalid UTF-8 replaced by U+FFFD (WHATWG HTML, 9.2.5: the stream is
    /// decoded with the *UTF-8 decode* algorithm, which never fails).
    #[inline]
    pub fn text(&self) -> Cow<'a, str> {
        lossy(self.data)
    }

    /// The last event ID, which persists from event to event; empty until a server sets one.
    #[inline]
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// The reconnection time in milliseconds, if this very event set one.
    ///
    /// A number too large for `u64` is reported as [`u64::MAX`].
    #[inline]
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("data", &self.text())
            .field("id", &self.id)
            .field("retry", &self.retry)
            .finish()
    }
}

/// What an [`Event`] stands for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// A comment line, asked for with [`Decoder::with_comments`](crate::Decoder::with_comments).
    Comment,
    /// A block that set a name, an id or a retry time but has no `data` line, which a browser
    /// drops; asked for with
    /// [`Decoder::with_empty_events`](crate::Decoder::with_empty_events).
    Empty,
    /// What the stream ended in, without the blank line that completes an event; see
    /// [`Decoder::finish`](crate::Decoder::finish).
    Incomplete,
    /// A complete event with data.
    Message,
}

/// As `String::from_utf8_lossy`, which alone walks byte by byte.
#[inline]
pub(crate) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}
