mod scan;

use alloc::string::String;

use crate::carry::Carry;
use crate::event::{Event, Kind};
use crate::limits::{LimitExceeded, Limits};
use crate::line::split_plain;

/// Decodes a stream of Server-Sent Events from reads of any size.
///
/// Use [`feed`](Self::feed) to push reads, or [`next`](Self::next) to pull events. Both lend each
/// event: an event that lies completely in one read is borrowed from it.
///
/// ```
/// let mut decoder = sse_codec::Decoder::new();
/// let mut read: &[u8] = b"event: greeting\ndata: hello\n\ndata: wor";
///
/// let event = decoder.next(&mut read).unwrap()?;
/// assert_eq!((event.name(), event.data()), ("greeting", &b"hello"[..]));
/// assert!(decoder.next(&mut read).is_none());
/// # Ok::<(), sse_codec::LimitExceeded>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    comments: bool,
    empty_events: bool,
    position: Position,
    /// The number of bytes of the byte-order mark read so far; 3 after the start of the stream.
    bom: usize,
    /// The last byte was CR: an LF that follows belongs to the same line end.
    skip_lf: bool,
    /// A limit was exceeded: the rest of the block is skipped.
    discard: bool,
    /// While skipping: the line started in an earlier read.
    midline: bool,
    lent: Lent,
    carry: Carry,
    last_id: String,
    retry: Option<u64>,
}

impl Decoder {
    /// Creates a decoder at the start of a stream, with the default [`Limits`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the maximum length of lines and events.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Reports comments as items of [`Kind::Comment`]. Servers send them to keep a connection
    /// alive, or to explain why they close it.
    #[must_use]
    pub fn with_comments(mut self, comments: bool) -> Self {
        self.comments = comments;
        self
    }

    /// Reports blocks without a `data` line, such as a bare `event: done`, as items of
    /// [`Kind::Empty`].
    #[must_use]
    pub fn with_empty_events(mut self, empty_events: bool) -> Self {
        self.empty_events = empty_events;
        self
    }

    /// Decodes a whole read and passes each event to `on_event`.
    ///
    /// # Errors
    ///
    /// The first [`LimitExceeded`] of the read; the whole read is decoded nevertheless.
    #[inline]
    pub fn feed(
        &mut self,
        mut read: &[u8],
        mut on_event: impl FnMut(Event<'_>),
    ) -> Result<(), LimitExceeded> {
        let mut result = Ok(());
        while let Some(item) = self.next(&mut read) {
            match item {
                Ok(event) => on_event(event),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    /// Decodes up to the end of the next event and leaves the rest in `input`; `None` when all of
    /// `input` is consumed.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`] once for each event that is discarded; decoding continues after it.
    #[inline]
    pub fn next<'a, 'c: 'a>(
        &'a mut self,
        input: &mut &'c [u8],
    ) -> Option<Result<Event<'a>, LimitExceeded>> {
        if input.is_empty() {
            self.take_back();
            return None;
        }
        if self.position == Position::Due {
            self.resume(input);
            if input.is_empty() {
                return None;
            }
        }
        if self.position == Position::BlockStart
            && let Some((data, rest)) = split_plain(input, self.limits)
        {
            *input = rest;
            return Some(Ok(Event {
                kind: Kind::Message,
                name: MESSAGE,
                data,
                id: &self.last_id,
                retry: None,
            }));
        }
        self.next_block(input)
    }

    /// Ends the stream, and returns an incomplete last event, if any, as [`Kind::Incomplete`].
    ///
    /// A browser drops that event. Some servers leave out the last blank line, and only the caller
    /// can distinguish the two cases. The event has its id and retry time, but the decoder does not
    /// adopt them. The decoder is then ready for the next stream of the same source: it keeps the
    /// last event ID and the reconnection time.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`] if the last line makes the event exceed the limit.
    pub fn finish(&mut self) -> Option<Result<Event<'_>, LimitExceeded>> {
        self.take_back();
        let retry = self.retry;
        let ended = if self.carry.has_partial() {
            self.end_partial()
        } else {
            Ok(false)
        };
        self.retry = retry;
        self.carry.drop_partial();
        self.lent = Lent::Block;
        self.position = Position::Due;
        (self.bom, self.skip_lf) = (0, false);
        (self.discard, self.midline) = (false, false);
        if let Err(error) = ended {
            return Some(Err(error));
        }
        let reported = self.carry.has_data() || (self.empty_events && self.carry.has_fields());
        reported.then(|| {
            Ok(Event {
                kind: Kind::Incomplete,
                name: or_message(self.carry.name()),
                data: self.carry.data(),
                id: self.carry.id().unwrap_or(&self.last_id),
                retry: self.carry.retry(),
            })
        })
    }

    /// The last event ID of the last complete block, for reconnecting; empty if there is none.
    pub fn last_event_id(&self) -> &str {
        &self.last_id
    }

    /// The reconnection time in milliseconds that the server set most recently.
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }
}

/// The state of the decoder before the next byte.
#[derive(Debug, Default, PartialEq)]
enum Position {
    /// Inside a block.
    Block,
    /// At the start of a block; nothing is kept of an earlier one.
    BlockStart,
    /// Some work is due first: see [`Decoder::resume`].
    #[default]
    Due,
}

/// The parts of the carry that the last event borrows, to be reclaimed before the next one.
#[derive(Debug, Default)]
enum Lent {
    Block,
    Comment,
    #[default]
    Nothing,
}

/// An empty `event` field means the default (WHATWG HTML, 9.2.6, dispatch step 5).
fn or_message(name: Option<&str>) -> &str {
    name.filter(|name| !name.is_empty()).unwrap_or(MESSAGE)
}

const MESSAGE: &str = "message";
