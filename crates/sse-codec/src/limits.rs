use core::error::Error as StdError;
use core::fmt;

/// The maximum size of one line and of one event; a decoder discards larger events.
///
/// The default is 16 MiB for each. This leaves room for an image in a data URI, and bounds the
/// memory that a hostile server can make a client use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum length of a line in bytes, without its terminator.
    pub line: usize,
    /// The maximum length of the joined `data` of an event, in bytes.
    pub event: usize,
}

impl Limits {
    /// Creates limits for a line and for the data of an event, in bytes.
    pub const fn new(line: usize, event: usize) -> Self {
        Self { line, event }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(16 << 20, 16 << 20)
    }
}

/// An event or a line was discarded because it exceeded its limit.
///
/// A [`Decoder`](crate::Decoder) continues with the event after the next blank line, a
/// [`LineDecoder`](crate::LineDecoder) with the next line.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum LimitExceeded {
    /// The joined data of an event.
    Event {
        /// The limit in bytes.
        limit: usize,
    },
    /// One line.
    Line {
        /// The limit in bytes.
        limit: usize,
    },
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { limit } => write!(f, "event data longer than {limit} bytes"),
            Self::Line { limit } => write!(f, "line longer than {limit} bytes"),
        }
    }
}

impl StdError for LimitExceeded {}
