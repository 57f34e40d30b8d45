//! Line-by-line decoding, for input to which [`split_plain`](crate::line::split_plain) does not
//! apply.

use core::mem;

use super::{Decoder, Lent, Position, or_message};
use crate::carry::{Block, set};
use crate::event::{Event, Kind};
use crate::limits::LimitExceeded;
use crate::line::{Field, find_end, parse, parse_retry};

impl Decoder {
    /// Clears what the last event borrowed.
    #[inline]
    pub(super) fn take_back(&mut self) {
        match mem::take(&mut self.lent) {
            Lent::Nothing => {}
            Lent::Block => self.carry.clear(),
            Lent::Comment => self.carry.drop_partial(),
        }
    }

    /// Does what is due before the next byte: skips the byte-order mark, and the second half of a
    /// CRLF that was split between reads.
    pub(super) fn resume(&mut self, input: &mut &[u8]) {
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

    /// Like [`Decoder::next`], for `input` that is not empty.
    pub(super) fn next_block<'a, 'c: 'a>(
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

    /// Splits off the line that ends at `end`, with its line end.
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

    /// Appends to the partial line, which continues in the next read if it is `midline`.
    #[inline]
    fn extend_partial(&mut self, bytes: &[u8], midline: bool) -> Result<(), LimitExceeded> {
        if self.carry.partial_len() + bytes.len() > self.limits.line {
            return Err(self.give_up_line(midline));
        }
        self.carry.push_partial(bytes);
        Ok(())
    }

    /// Adds a data line: the first one stays in place, a second one causes both to be joined.
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

    /// Processes the partial line, now complete, as a field; true for a comment to report.
    pub(super) fn end_partial(&mut self) -> Result<bool, LimitExceeded> {
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

    /// Completes a block: adopts its id, and returns its kind if it is an event.
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

    /// Drops the current block; the rest of it is skipped.
    fn give_up(&mut self, midline: bool) {
        self.carry.clear();
        (self.discard, self.midline) = (true, midline);
    }

    /// Skips to the end of the next blank line.
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

/// A complete block or a comment; `None` where the text is in the carry.
enum Found<'c> {
    Block(Kind, Block<'c>),
    Comment(Option<&'c [u8]>),
}

const BOM: &[u8] = b"\xEF\xBB\xBF";
