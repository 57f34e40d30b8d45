use core::error::Error as StdError;
use core::fmt;

/// How much of one line and of one event a decoder takes before it gives the event up.
///
/// The default is 16 MiB for each: room for an image in a data URI, and a bound on what a hostile
/// server can make a client hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// The most bytes of a line, its terminator not counted.
    pub line: usize,
    /// The most bytes of the joined `data` of an event.
    pub event: usize,
}

impl Limits {
    /// Limits for a line and for the data of an event, in bytes.
    pub const fn new(line: usize, event: usize) -> Self {
        Self { line, event }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(16 << 20, 16 << 20)
    }
}

/// An event was given up because it, or a line in it, was longer than the [`Limits`].
///
/// The decoder goes on with the event behind the next blank line.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum LimitExceeded {
    /// The joined data of an event.
    Event {
        /// The limit that was set.
        limit: usize,
    },
    /// One line.
    Line {
        /// The limit that was set.
        limit: usize,
    },
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { limit } => write!(f, "event data longer than {limit} bytes"),
            Self::Line { limit } => write!(f, "event stream line longer than {limit} bytes"),
        }
    }
}

impl StdError for LimitExceeded {}
