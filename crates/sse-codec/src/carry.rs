use alloc::string::String;
use alloc::vec::Vec;
use core::{fmt, mem};

use crate::event::lossy;
use crate::line::{Field, parse};

/// The complete lines of the current block in the read being decoded.
#[derive(Clone, Copy, Default)]
pub(crate) struct Block<'c> {
    pub(crate) data: Option<&'c [u8]>,
    pub(crate) id: Option<&'c [u8]>,
    pub(crate) name: Option<&'c [u8]>,
}

/// The parts of the current block from earlier reads: the only place to which bytes are copied.
///
/// `bytes` holds the joined data, followed by the line in which a read ended. Flags beside the
/// strings replace `Option`s so that their memory is reused.
#[derive(Default)]
pub(crate) struct Carry {
    bytes: Vec<u8>,
    data_start: usize,
    data_end: usize,
    has_data: bool,
    id: String,
    has_id: bool,
    name: String,
    has_name: bool,
    retry: Option<u64>,
}

impl Carry {
    /// Takes over the lines of an incomplete block.
    pub(crate) fn keep(&mut self, block: Block<'_>) {
        if let Some(data) = block.data {
            self.push_data(data);
        }
        if let Some(id) = block.id {
            self.set_id(id);
        }
        if let Some(name) = block.name {
            self.set_name(name);
        }
    }

    /// Adds a data line; there must be no partial line.
    pub(crate) fn push_data(&mut self, value: &[u8]) {
        debug_assert!(!self.has_partial());
        if self.has_data {
            self.bytes.push(b'\n');
        }
        self.bytes.extend_from_slice(value);
        self.data_end = self.bytes.len();
        self.has_data = true;
    }

    /// Appends to the partial line.
    #[inline]
    pub(crate) fn push_partial(&mut self, bytes: &[u8]) {
        match bytes {
            // In reads of one byte, the call to `memcpy` would dominate.
            [byte] => self.bytes.push(*byte),
            _ => self.bytes.extend_from_slice(bytes),
        }
    }

    /// Makes the partial line, now complete, the next data line; its value is its last `len` bytes.
    /// Only a second data line is moved, by the length of its field name.
    pub(crate) fn partial_to_data(&mut self, len: usize) {
        let value = self.bytes.len() - len;
        if self.has_data {
            self.bytes[self.data_end] = b'\n';
            self.bytes.copy_within(value.., self.data_end + 1);
            self.bytes.truncate(self.data_end + 1 + len);
        } else {
            self.data_start = value;
        }
        self.data_end = self.bytes.len();
        self.has_data = true;
    }

    /// Makes the last `len` bytes of the partial line the id.
    pub(crate) fn partial_to_id(&mut self, len: usize) {
        set(&mut self.id, &self.bytes[self.bytes.len() - len..]);
        self.has_id = true;
        self.drop_partial();
    }

    /// Makes the last `len` bytes of the partial line the name.
    pub(crate) fn partial_to_name(&mut self, len: usize) {
        set(&mut self.name, &self.bytes[self.bytes.len() - len..]);
        self.has_name = true;
        self.drop_partial();
    }

    pub(crate) fn drop_partial(&mut self) {
        self.bytes.truncate(self.data_end);
        self.shrink();
    }

    pub(crate) fn set_id(&mut self, value: &[u8]) {
        set(&mut self.id, value);
        self.has_id = true;
    }

    pub(crate) fn set_name(&mut self, value: &[u8]) {
        set(&mut self.name, value);
        self.has_name = true;
    }

    pub(crate) fn set_retry(&mut self, millis: u64) {
        self.retry = Some(millis);
    }

    /// Swaps the id with `last`, if there is one.
    pub(crate) fn commit_id(&mut self, last: &mut String) {
        if mem::take(&mut self.has_id) {
            mem::swap(&mut self.id, last);
        }
    }

    /// Clears the block and releases the memory of an unusually large one.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        (self.data_start, self.data_end, self.has_data) = (0, 0, false);
        self.has_id = false;
        self.has_name = false;
        self.retry = None;
        self.shrink();
    }

    /// Releases the memory of an unusually large line, if it is not in use.
    fn shrink(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > RETAINED {
            self.bytes = Vec::new();
        }
        for (text, used) in [(&mut self.id, self.has_id), (&mut self.name, self.has_name)] {
            if !used && text.capacity() > RETAINED {
                *text = String::new();
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.has_data && !self.has_fields() && !self.has_partial()
    }

    pub(crate) fn has_data(&self) -> bool {
        self.has_data
    }

    /// Whether there is a name, an id or a retry time.
    pub(crate) fn has_fields(&self) -> bool {
        self.has_name || self.has_id || self.retry.is_some()
    }

    pub(crate) fn has_partial(&self) -> bool {
        self.bytes.len() > self.data_end
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[self.data_start..self.data_end]
    }

    pub(crate) fn id(&self) -> Option<&str> {
        self.has_id.then_some(&self.id)
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.has_name.then_some(&self.name)
    }

    pub(crate) fn retry(&self) -> Option<u64> {
        self.retry
    }

    pub(crate) fn partial_len(&self) -> usize {
        self.bytes.len() - self.data_end
    }

    /// The partial line as a field and its value.
    pub(crate) fn partial(&self) -> (Field, &[u8]) {
        parse(&self.bytes[self.data_end..])
    }
}

impl fmt::Debug for Carry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carry")
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

pub(crate) fn set(text: &mut String, value: &[u8]) {
    text.clear();
    text.push_str(&lossy(value));
}

/// The maximum memory kept for the next event.
const RETAINED: usize = 64 << 10;
