//! [`RawIndex`]: the positions of an object's members.

use super::object::RawObject;
use super::scan::Scanner;
use crate::parse::ParseError;

/// The positions of the top-level members of a JSON object, found in one pass over its text.
///
/// The index borrows nothing. It can be stored beside the text, so that the text is not scanned
/// again:
///
/// ```
/// # use llm_types::{RawIndex, Value};
/// let body = br#"{"model": "llama", "messages": [], "stream": true}"#;
/// let index = RawIndex::parse(body)?;
/// let object = index.object(body).ok_or("not the text of the index")?;
/// assert_eq!(object.str("model").as_deref(), Some("llama"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RawIndex {
    pub(super) members: Vec<Member>,
    /// A bit for each length of a key, modulo 64. Most keys that are absent are found so without a
    /// look at the members.
    pub(super) key_lengths: u64,
    /// The offset of the closing bracket.
    pub(super) close: usize,
    /// The length of the text.
    pub(super) len: usize,
}

/// The range of the member's text: from the quote of its key to the end of its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Member {
    pub(super) start: usize,
    /// The key, if its text has escapes.
    pub(super) unescaped_key: Option<Box<str>>,
    /// The offset of the closing quote of the key.
    pub(super) key_end: usize,
    pub(super) value_start: usize,
    pub(super) end: usize,
}

impl RawIndex {
    /// Finds the members of an object, and errors in its text, as [`RawObject`] does.
    ///
    /// # Errors
    ///
    /// If the text is not JSON, or not an object; the error has line, column and what was expected.
    pub fn parse(json: &[u8]) -> Result<Self, ParseError> {
        Self::scan_all(Scanner::new(json)?)
    }

    /// The object, given the text that was parsed; `None` if the text has another length.
    ///
    /// For another text of the same length, the members are meaningless.
    pub fn object<'a>(&'a self, json: &'a [u8]) -> Option<RawObject<'a>> {
        (json.len() == self.len).then(|| RawObject::borrowed(json, self))
    }

    /// Finds the members of an object that is the whole text.
    pub(super) fn scan_all(mut scanner: Scanner<'_>) -> Result<Self, ParseError> {
        scanner.open_object()?;
        let mut index = Self::scan(&mut scanner, 0, 16)?;
        scanner.end()?;
        index.len = scanner.position();
        Ok(index)
    }

    /// Finds the members of an object after its opening bracket; positions are relative to `base`.
    pub(super) fn scan(
        scanner: &mut Scanner<'_>,
        base: usize,
        capacity: usize,
    ) -> Result<Self, ParseError> {
        let mut members = Vec::with_capacity(capacity);
        let mut key_lengths = 0;
        let mut first = true;
        while scanner.next_item(&mut first, b'}')? {
            let start = scanner.position() - base;
            let key = scanner.key()?;
            let unescaped_key: Option<Box<str>> = scanner.decode_escaped(key)?.map(Into::into);
            key_lengths |= length_bit(unescaped_key.as_ref().map_or(key.len(), |key| key.len()));
            let key_end = start + 1 + key.len();
            let len = scanner.value()?.len();
            let end = scanner.position() - base;
            members.push(Member {
                start,
                unescaped_key,
                key_end,
                value_start: end - len,
                end,
            });
        }
        let len = scanner.position() - base;
        let close = len - 1;
        Ok(Self {
            members,
            key_lengths,
            close,
            len,
        })
    }

    /// Whether a member may have a key of this length.
    pub(super) fn has_key_of(&self, length: usize) -> bool {
        self.key_lengths & length_bit(length) != 0
    }
}

fn length_bit(length: usize) -> u64 {
    1 << (length % 64)
}
