//! [`RawIndex`]: where the members of an object are.

use super::object::RawObject;
use super::scan::Scanner;
use crate::parse::ParseError;

/// Where the top-level members of a JSON object are, found in one pass over its text.
///
/// It borrows nothing, so whoever owns the text can keep the index beside it, and nobody has to go
/// through the text again:
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
    /// Where the closing bracket is.
    pub(super) close: usize,
    /// How long the text is.
    pub(super) len: usize,
}

/// Where the text of a member is: from the quote of its key to the end of its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Member {
    pub(super) start: usize,
    /// The key, if its text has escapes.
    pub(super) unescaped_key: Option<Box<str>>,
    /// Where the closing quote of the key is.
    pub(super) key_end: usize,
    pub(super) value_start: usize,
    pub(super) end: usize,
}

impl RawIndex {
    /// Finds the members of an object, and what is wrong with its text, as [`RawObject`] tells.
    ///
    /// # Errors
    ///
    /// When the text is no JSON, or no object; the error tells line, column and what to mend.
    pub fn parse(json: &[u8]) -> Result<Self, ParseError> {
        Self::scan_all(Scanner::new(json)?)
    }

    /// The object, given the text that was parsed; `None` for a text of another length.
    ///
    /// (With another text of the same length the members are nonsense.)
    pub fn object<'a>(&'a self, json: &'a [u8]) -> Option<RawObject<'a>> {
        (json.len() == self.len).then(|| RawObject::borrowed(json, self))
    }

    /// Finds the members of an object that is all of a text.
    pub(super) fn scan_all(mut scanner: Scanner<'_>) -> Result<Self, ParseError> {
        scanner.open_object()?;
        let mut index = Self::scan(&mut scanner, 0, 16)?;
        scanner.end()?;
        index.len = scanner.position();
        Ok(index)
    }

    /// Finds the members of an object whose bracket has been passed; positions count from `base`.
    pub(super) fn scan(
        scanner: &mut Scanner<'_>,
        base: usize,
        capacity: usize,
    ) -> Result<Self, ParseError> {
        let mut members = Vec::with_capacity(capacity);
        let mut first = true;
        while scanner.next_item(&mut first, b'}')? {
            let start = scanner.position() - base;
            let key = scanner.key()?;
            let unescaped_key = scanner.decode_escaped(key)?.map(Into::into);
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
            close,
            len,
        })
    }
}
