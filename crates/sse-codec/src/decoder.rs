use alloc::string::String;
use core::mem;

use crate::carry::{Block, Carry, set};
use crate::event::{Event, Kind};
use crate::limits::{LimitExceeded, Limits};
use crate::line::{Field, find_end, parse, parse_retry, split_plain};

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
            let id = &self.last_id;
            return Some(Ok(Event {
                kind: Kind::Message,
                name: MESSAGE,
                data,
                id,
                retry: None,
            }));
        }
        self.next_block(input)
    }

    /// Ends the stream, and returns the event it broke off in, if any, as [`Kind::Incomplete`].
    ///
    /// A browser drops that event; some servers leave out the last blank line, and only the
    /// caller can tell the two apart. Its id is in [`Event::id`] but does not become the
    /// [`last_event_id`](Self::last_event_id). The decoder is then ready for the next stream of
    /// the same source: it keeps the last event ID and the reconnection time.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`] if the last line takes the event over the limit.
    pub fn finish(&mut self) -> Option<Result<Event<'_>, LimitExceeded>> {
        self.take_back();
        self.position = Position::Due;
        (self.bom, self.skip_lf) = (0, false);
        (self.discard, self.midline) = (false, false);
        if self.carry.has_partial()
            && let Err(error) = self.end_partial()
        {
            (self.discard, self.midline) = (false, false);
            return Some(Err(error));
        }
        self.carry.drop_partial();
        self.lent = Lent::Block;
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

    /// Forgets what the last event borrowed.
    #[inline]
    fn take_back(&mut self) {
        match mem::take(&mut self.lent) {
            Lent::Nothing => {}
            Lent::Block => self.carry.clear(),
            Lent::Comment => self.carry.drop_partial(),
        }
    }

    /// Does what is due before the next byte: strips the byte-order mark, and the second half of a
    /// CRLF that a read ended in.
    fn resume(&mut self, input: &mut &[u8]) {
        self.take_back();
        while self.bom < BOM.len()
            && let Some((byte, rest)) = input.split_first()
        {
            if *byte == BOM[self.bom] {
                self.bom += 1;
                *input = rest;
            } else {
                self.carry.push_partial(&BOM[..self.bom]);
                self.bom = BOM.len();
            }
        }
        if self.skip_lf && !input.is_empty() {
            self.skip_lf = false;
            *input = input.strip_prefix(b"\n").unwrap_or(input);
        }
        self.position = if self.skip_lf || self.bom < BOM.len() {
            Position::Due
        } else if self.discard || !self.carry.is_empty() {
            Position::Block
        } else {
            Position::BlockStart
        };
    }

    /// Decodes line by line where [`split_plain`] does not apply.
    fn next_block<'a, 'c: 'a>(
        &'a mut self,
        input: &mut &'c [u8],
    ) -> Option<Result<Event<'a>, LimitExceeded>> {
        let found = self.scan(input);
        self.position = if self.skip_lf {
            Position::Due
        } else {
            Position::Block
        };
        Some(match found.transpose()? {
            Ok(Found::Block(kind, block)) => Ok(self.lend(kind, block)),
            Ok(Found::Comment(text)) => Ok(self.lend_comment(text)),
            Err(error) => Err(error),
        })
    }

    fn scan<'c>(&mut self, input: &mut &'c [u8]) -> Result<Option<Found<'c>>, LimitExceeded> {
        if self.discard {
            self.skip_block(input);
        }
        if self.carry.has_partial() {
            let Some(end) = find_end(input) else {
                self.extend_partial(mem::take(input), true)?;
                return Ok(None);
            };
            let line = self.take_line(input, end);
            self.extend_partial(line, false)?;
            if self.end_partial()? {
                return Ok(Some(Found::Comment(None)));
            }
        }
        let mut block = Block::default();
        while let Some(end) = find_end(input) {
            let line = self.take_line(input, end);
            if line.is_empty() {
                if let Some(kind) = self.end_block(block) {
                    return Ok(Some(Found::Block(kind, block)));
                }
                block = Block::default();
                continue;
            }
            if line.len() > self.limits.line {
                return Err(self.give_up_line(false));
            }
            match parse(line) {
                (Field::Comment, text) if self.comments => {
                    self.carry.keep(block);
                    return Ok(Some(Found::Comment(Some(text))));
                }
                (Field::Data, value) => self.add_data(&mut block, value)?,
                (Field::Event, value) => block.name = Some(value),
                (Field::Id, value) if !value.contains(&0) => block.id = Some(value),
                (Field::Retry, value) => self.set_retry(parse_retry(value)),
                (Field::Comment | Field::Id | Field::Other, _) => {}
            }
        }
        self.carry.keep(block);
        self.extend_partial(mem::take(input), true)?;
        Ok(None)
    }

    /// Takes off the line that ends at `end`, and its line end.
    fn take_line<'c>(&mut self, input: &mut &'c [u8], end: usize) -> &'c [u8] {
        let (line, rest) = input.split_at(end);
        *input = match rest {
            [b'\r', b'\n', rest @ ..] => rest,
            [b'\r'] => {
                self.skip_lf = true;
                &[]
            }
            [_, rest @ ..] => rest,
            [] => &[],
        };
        line
    }

    /// Adds to the broken-off line, which goes on in the next read if it is `midline`.
    #[inline]
    fn extend_partial(&mut self, bytes: &[u8], midline: bool) -> Result<(), LimitExceeded> {
        if self.carry.partial_len() + bytes.len() > self.limits.line {
            return Err(self.give_up_line(midline));
        }
        self.carry.push_partial(bytes);
        Ok(())
    }

    /// Adds a data line: the first one stays where it lies, a second one has them joined.
    fn add_data<'c>(
        &mut self,
        block: &mut Block<'c>,
        value: &'c [u8],
    ) -> Result<(), LimitExceeded> {
        let first = block.data.take();
        let len = match first {
            Some(first) => first.len() + 1,
            None if self.carry.has_data() => self.carry.data().len() + 1,
            None => 0,
        };
        if len + value.len() > self.limits.event {
            return Err(self.give_up_event());
        }
        if len == 0 {
            block.data = Some(value);
            return Ok(());
        }
        if let Some(first) = first {
            self.carry.push_data(first);
        }
        self.carry.push_data(value);
        Ok(())
    }

    /// Takes the broken-off line, now complete, for the field it is; true for a comment to report.
    fn end_partial(&mut self) -> Result<bool, LimitExceeded> {
        let (field, value) = self.carry.partial();
        let len = value.len();
        match field {
            Field::Comment if self.comments => return Ok(true),
            Field::Data => {
                let before = if self.carry.has_data() {
                    self.carry.data().len() + 1
                } else {
                    0
                };
                if before + len > self.limits.event {
                    return Err(self.give_up_event());
                }
                self.carry.partial_to_data(len);
            }
            Field::Event => self.carry.partial_to_name(len),
            Field::Id if !value.contains(&0) => self.carry.partial_to_id(len),
            Field::Retry => {
                let millis = parse_retry(value);
                self.set_retry(millis);
                self.carry.drop_partial();
            }
            Field::Comment | Field::Id | Field::Other => self.carry.drop_partial(),
        }
        Ok(false)
    }

    /// Completes a block: its id becomes the last one, and its kind is told if it is an event.
    fn end_block(&mut self, block: Block<'_>) -> Option<Kind> {
        let fields = block.id.is_some() || block.name.is_some() || self.carry.has_fields();
        match block.id {
            Some(id) => set(&mut self.last_id, id),
            None => self.carry.commit_id(&mut self.last_id),
        }
        if block.data.is_some() || self.carry.has_data() {
            Some(Kind::Message)
        } else if self.empty_events && fields {
            Some(Kind::Empty)
        } else {
            self.carry.clear();
            None
        }
    }

    fn lend<'a>(&'a mut self, kind: Kind, block: Block<'a>) -> Event<'a> {
        let name = block.name.map(core::str::from_utf8);
        if let (Some(bytes), Some(Err(_))) = (block.name, name) {
            self.carry.set_name(bytes);
        }
        if !self.carry.is_empty() {
            self.lent = Lent::Block;
            self.position = Position::Due;
        } else if !self.skip_lf {
            self.position = Position::BlockStart;
        }
        Event {
            kind,
            name: match name {
                Some(Ok(name)) => or_message(Some(name)),
                _ => or_message(self.carry.name()),
            },
            data: block.data.unwrap_or_else(|| self.carry.data()),
            id: &self.last_id,
            retry: self.carry.retry(),
        }
    }

    fn lend_comment<'a>(&'a mut self, text: Option<&'a [u8]>) -> Event<'a> {
        if text.is_none() {
            self.lent = Lent::Comment;
            self.position = Position::Due;
        }
        Event {
            kind: Kind::Comment,
            name: "",
            data: text.unwrap_or_else(|| self.carry.partial().1),
            id: &self.last_id,
            retry: None,
        }
    }

    fn give_up_event(&mut self) -> LimitExceeded {
        self.give_up(false);
        LimitExceeded::Event {
            limit: self.limits.event,
        }
    }

    fn give_up_line(&mut self, midline: bool) -> LimitExceeded {
        self.give_up(midline);
        LimitExceeded::Line {
            limit: self.limits.line,
        }
    }

    /// Drops the current block, the rest of which is skipped.
    fn give_up(&mut self, midline: bool) {
        self.carry.clear();
        (self.discard, self.midline) = (true, midline);
    }

    /// Moves behind the next blank line.
    fn skip_block(&mut self, input: &mut &[u8]) {
        while let Some(end) = find_end(input) {
            let midline = mem::take(&mut self.midline);
            let line = self.take_line(input, end);
            if line.is_empty() && !midline {
                self.discard = false;
                return;
            }
        }
        self.midline |= !input.is_empty();
        *input = &[];
    }

    fn set_retry(&mut self, millis: Option<u64>) {
        if let Some(millis) = millis {
            self.carry.set_retry(millis);
            self.retry = Some(millis);
        }
    }
}

/// A block that ended, or a comment; `None` where the text lies in the carry.
enum Found<'c> {
    Block(Kind, Block<'c>),
    Comment(Option<&'c [u8]>),
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

const BOM: &[u8] = b"\xEF\xBB\xBF";
const MESSAGE: &str = "message";
