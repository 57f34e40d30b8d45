use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

/// An item of an event stream, borrowed until the next call of the decoder.
///
/// By default, every item is a [`Kind::Message`]. The other kinds appear only if they were enabled,
/// or at the end of a stream.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Event<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a str,
    pub(crate) data: &'a [u8],
    pub(crate) id: &'a str,
    pub(crate) retry: Option<u64>,
}

impl<'a> Event<'a> {
    /// The kind of the item.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The event type: the last non-empty `event` field, or `message`; empty for a comment.
    #[inline]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The `data` lines joined with LF, as the server sent them; not checked for valid UTF-8.
    ///
    /// For a comment, the text after the colon.
    #[inline]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The data as text; invalid UTF-8 is replaced by U+FFFD (WHATWG HTML, 9.2.5: the stream is
    /// decoded with the *UTF-8 decode* algorithm, which never fails).
    #[inline]
    pub fn text(&self) -> Cow<'a, str> {
        lossy(self.data)
    }

    /// The last event ID, which persists across events; empty until a server sets one.
    #[inline]
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// The reconnection time in milliseconds, if this event sets one.
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

/// The kind of an [`Event`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// A comment line; enabled by [`Decoder::with_comments`](crate::Decoder::with_comments).
    Comment,
    /// A block with a name, an id or a retry time but no `data` line, which a browser drops;
    /// enabled by [`Decoder::with_empty_events`](crate::Decoder::with_empty_events).
    Empty,
    /// The incomplete end of the stream, without the blank line that completes an event; see
    /// [`Decoder::finish`](crate::Decoder::finish).
    Incomplete,
    /// A complete event with data.
    Message,
}

/// Like `String::from_utf8_lossy`, but faster for valid text: that function walks byte by byte.
#[inline]
pub(crate) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}
