use alloc::vec::Vec;
use core::fmt;

use memchr::memchr;

use crate::limits::LimitExceeded;

/// Decodes newline-delimited text, such as NDJSON, from reads of any size.
///
/// A line ends with LF or CRLF. Empty lines are skipped. A line that lies completely in one read is
/// borrowed from it; a line that straddles reads is copied.
///
/// ```
/// use sse_codec::LineDecoder;
///
/// let mut decoder = LineDecoder::new();
/// let mut lines = Vec::new();
/// for read in ["{\"a\":1}\r\n\n{\"b\"", ":2}\n{\"c\":3}"] {
///     decoder.feed(read.as_bytes(), |line| lines.push(line.to_vec()))?;
/// }
/// assert_eq!(lines, [b"{\"a\":1}", b"{\"b\":2}"]);
///
/// let tail = decoder.finish().unwrap(); // the server left out the last line end
/// assert_eq!(tail, b"{\"c\":3}");
/// # Ok::<(), sse_codec::LimitExceeded>(())
/// ```
pub struct LineDecoder {
    limit: usize,
    /// The start of the current line, from earlier reads.
    carry: Vec<u8>,
    /// The last returned line borrows the carry, which must be cleared.
    lent: bool,
    /// The line exceeded the limit: the rest of it is skipped.
    discard: bool,
}

impl LineDecoder {
    /// Creates a decoder at the start of a stream, with a limit of 16 MiB for each line.
    pub const fn new() -> Self {
        Self {
            limit: LIMIT,
            carry: Vec::new(),
            lent: false,
            discard: false,
        }
    }

    /// Sets the maximum length of a line in bytes, without its line end.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Decodes a whole read and passes each line to `on_line`.
    ///
    /// # Errors
    ///
    /// The first [`LimitExceeded`] of the read; the whole read is decoded nevertheless.
    pub fn feed(
        &mut self,
        mut read: &[u8],
        mut on_line: impl FnMut(&[u8]),
    ) -> Result<(), LimitExceeded> {
        let mut result = Ok(());
        while let Some(item) = self.next(&mut read) {
            match item {
                Ok(line) => on_line(line),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    /// Decodes up to the end of the next line and leaves the rest in `input`; `None` when all of
    /// `input` is consumed.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`] once for each line that is discarded; decoding continues after it.
    pub fn next<'a, 'c: 'a>(
        &'a mut self,
        input: &mut &'c [u8],
    ) -> Option<Result<&'a [u8], LimitExceeded>> {
        self.take_back();
        while !input.is_empty() {
            let Some(end) = memchr(b'\n', input) else {
                let rest = core::mem::take(input);
                return self.keep(rest).err().map(Err);
            };
            let line = &input[..end];
            *input = &input[end + 1..];
            if core::mem::take(&mut self.discard) {
                continue;
            }
            if self.carry.is_empty() {
                match without_cr(line) {
                    [] => continue,
                    line if line.len() > self.limit => return Some(Err(self.exceeded())),
                    line => return Some(Ok(line)),
                }
            }
            if let Err(error) = self.keep(line) {
                self.discard = false;
                return Some(Err(error));
            }
            if without_cr(&self.carry).len() > self.limit {
                self.clear();
                return Some(Err(self.exceeded()));
            }
            self.lent = true;
            if !without_cr(&self.carry).is_empty() {
                return Some(Ok(without_cr(&self.carry)));
            }
            self.take_back();
        }
        None
    }

    /// Ends the stream, and returns the last line if it has no line end. The decoder is then at the
    /// start of a stream again.
    ///
    /// Only the caller can tell whether the server left out the last line end, or the connection
    /// broke.
    pub fn finish(&mut self) -> Option<&[u8]> {
        self.take_back();
        self.discard = false;
        self.lent = true;
        Some(without_cr(&self.carry)).filter(|line| !line.is_empty())
    }

    /// Appends to the current line, or discards it if it is too long. Its last byte may be the CR
    /// of its line end, and does not count then.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), LimitExceeded> {
        if self.discard {
            return Ok(());
        }
        let last_is_cr = bytes.last().or_else(|| self.carry.last()) == Some(&b'\r');
        let len = self.carry.len() + bytes.len() - usize::from(last_is_cr);
        if len > self.limit {
            self.clear();
            self.discard = true;
            return Err(self.exceeded());
        }
        self.carry.extend_from_slice(bytes);
        Ok(())
    }

    fn take_back(&mut self) {
        if core::mem::take(&mut self.lent) {
            self.clear();
        }
    }

    /// Clears the carry and releases the memory of an unusually long line.
    fn clear(&mut self) {
        self.carry.clear();
        if self.carry.capacity() > RETAINED {
            self.carry = Vec::new();
        }
    }

    fn exceeded(&self) -> LimitExceeded {
        LimitExceeded::Line { limit: self.limit }
    }
}

impl Default for LineDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LineDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineDecoder")
            .field("limit", &self.limit)
            .field("carry", &self.carry.len())
            .finish_non_exhaustive()
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The default limit: that of an event, see [`Limits`](crate::Limits).
const LIMIT: usize = 16 << 20;
/// The maximum memory kept for the next line.
const RETAINED: usize = 64 << 10;
