mod scan;

use alloc::string::String;

use crate::carry::Carry;
use crate::event::{Event, Kind};
use crate::limits::{LimitExceeded, Limits};
use crate::line::split_plain;

/// Decodes a stream of Server-Sent Events that comes in reads of any size.
///
/// Use [`feed`](Self::feed) to push reads in, or [`next`](Self::next) to pull events out. Both lend
/// each event: one that lies whole in a read is borrowed from it.
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
    /// How many bytes of the byte-order mark were read; 3 behind the start of the stream.
    bom: usize,
    /// The last byte was CR, so that LF belongs to the same line end.
    skip_lf: bool,
    /// The rest of the block is skipped, a limit having been exceeded.
    discard: bool,
    /// While skipping: the line has begun in an earlier read.
    midline: bool,
    lent: Lent,
    carry: Carry,
    last_id: String,
    retry: Option<u64>,
}

impl Decoder {
    /// A decoder at the start of a stream, with the default [`Limits`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long lines and events may be.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Reports comments as items of [`Kind::Comment`]: servers send them to keep a connection
    /// alive, or to say why they close it.
    #[must_use]
    pub fn with_comments(mut self, comments: bool) -> Self {
        self.comments = comments;
        self
    }

    /// Reports blocks without a `data` line as items of [`Kind::Empty`], say a bare `event: done`.
    #[must_use]
    pub fn with_empty_events(mut self, empty_events: bool) -> Self {
        self.empty_events = empty_events;
        self
    }

    /// Decodes a whole read, handing each event to `on_event`.
    ///
    /// # Errors
    ///
    /// The first [`LimitExceeded`] of the read, all of which was decoded nevertheless.
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

    /// Decodes up to the end of the next event, leaving in `input` what is behind it; `None` when
    /// all of `input` is used up.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`] once for an event that is given up; decoding goes on behind it.
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

    /// Ends the stream, and returns the event it broke off in, if any, as [`Kind::Incomplete`].
    ///
    /// A browser drops that event; some servers leave out the last blank line, and only the
    /// caller can tell the two apart. Its id and retry time are in the event but are not taken
    /// over. The decoder is then ready for the next stream of the same source: it keeps the last
    /// event ID and the reconnection time.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`] if the last line takes the event over the limit.
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

    /// The id to reconnect with, as of the last complete block; empty if there is none.
    pub fn last_event_id(&self) -> &str {
        &self.last_id
    }

    /// The reconnection time in milliseconds that the server set last.
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }
}

/// Where the decoder stands before the next byte.
#[derive(Debug, Default, PartialEq)]
enum Position {
    /// Within a block.
    Block,
    /// At the start of a block, with nothing kept of another.
    BlockStart,
    /// Where something is to be done first: see [`Decoder::resume`].
    #[default]
    Due,
}

/// What the last event borrows from the carry, to be taken back before the next.
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
