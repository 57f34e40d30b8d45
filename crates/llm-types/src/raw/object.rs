//! [`RawObject`]: an object's members, found in one pass and left as text.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::DeserializeOwned;

use super::edit::Edit;
use super::index::{Member, RawIndex};
use super::items::{RawItems, RawObjects};
use super::scan::Scanner;
use crate::parse::{ParseError, parse};

/// A JSON object whose members stay as text until asked for.
///
/// One pass finds the top-level members, and every mistake in the text but those inside of strings:
/// a string has to be UTF-8 and to end, and its escapes and control characters are looked at when
/// it is read, here or by whoever gets the text. So the members are those that any parser finds
/// that takes the text at all. When a key occurs twice the last one counts, as in JavaScript and
/// Python.
///
/// What was found can be kept without the text: see [`RawIndex`].
#[derive(Clone, Debug)]
pub struct RawObject<'a> {
    pub(super) json: &'a [u8],
    pub(super) index: Cow<'a, RawIndex>,
}

impl<'a> RawObject<'a> {
    /// Finds the members of an object.
    ///
    /// # Errors
    ///
    /// When the text is no JSON, or no object; the error tells line, column and what to mend.
    pub fn parse(json: &'a [u8]) -> Result<Self, ParseError> {
        RawIndex::parse(json).map(|index| Self::owned(json, index))
    }

    /// Finds the members of an object whose text is known to be UTF-8, such as that of a member.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_str(json: &'a str) -> Result<Self, ParseError> {
        RawIndex::scan_all(Scanner::of(json)).map(|index| Self::owned(json.as_bytes(), index))
    }

    /// The JSON text of a member's value.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        // It is UTF-8, unless this is another text than that of the index.
        simdutf8::basic::from_utf8(self.bytes(key)?).ok()
    }

    /// Where the JSON text of a member's value is in the whole text, in bytes.
    pub fn span(&self, key: &str) -> Option<Range<usize>> {
        let member = self.member(key)?;
        Some(member.value_start..member.end)
    }

    /// The JSON text of a member's value as bytes, for who needs no `str`: a long one is not gone
    /// through again.
    pub fn bytes(&self, key: &str) -> Option<&'a [u8]> {
        Some(&self.json[self.span(key)?])
    }

    /// The string that a member holds; `None` too for one with a wrong escape or a control
    /// character, of which [`read`](Self::read) tells the place.
    pub fn str(&self, key: &str) -> Option<Cow<'a, str>> {
        let value = self.get(key).filter(|value| value.starts_with('"'))?;
        let mut scanner = Scanner::of(value);
        let string = scanner.string().ok()?;
        scanner.decode(string).ok()
    }

    /// The boolean that a member holds.
    pub fn bool(&self, key: &str) -> Option<bool> {
        match self.get(key)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// The items of the array that a member holds, as JSON texts.
    ///
    /// ```
    /// # use llm_types::RawObject;
    /// let body = br#"{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant"}]}"#;
    /// let body = RawObject::parse(body)?;
    /// for message in body.items("messages").into_iter().flatten() {
    ///     let message = RawObject::parse_str(message)?;
    ///     assert!(message.str("role").is_some());
    /// }
    /// # Ok::<(), llm_types::ParseError>(())
    /// ```
    pub fn items(&self, key: &str) -> Option<RawItems<'a>> {
        self.get(key).and_then(RawItems::of)
    }

    /// The objects in the array that a member holds, and the texts of items that are none.
    ///
    /// Faster than [`items`](Self::items) and [`parse_str`](Self::parse_str), since the text is
    /// passed once.
    ///
    /// ```
    /// # use llm_types::RawObject;
    /// let body = RawObject::parse(br#"{"messages": [{"role": "user"}, 7]}"#)?;
    /// let mut messages = body.objects("messages").into_iter().flatten();
    /// assert!(matches!(messages.next(), Some(Ok(message)) if message.str("role").is_some()));
    /// assert_eq!(messages.next().and_then(Result::err), Some("7"));
    /// # Ok::<(), llm_types::ParseError>(())
    /// ```
    pub fn objects(&self, key: &str) -> Option<RawObjects<'a>> {
        self.get(key).and_then(RawObjects::of)
    }

    /// Reads a member that is there and not null.
    ///
    /// # Errors
    ///
    /// When the value is not of this shape; the error's place counts from the value's beginning.
    pub fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ParseError> {
        match self.get(key) {
            None | Some("null") => Ok(None),
            Some(value) => parse(value.as_bytes()).map(Some),
        }
    }

    /// Whether the key is there, with whatever value.
    pub fn contains_key(&self, key: &str) -> bool {
        self.member(key).is_some()
    }

    /// The keys in their order, each as often as it occurs.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.members().map(|(key, _)| key)
    }

    /// The keys and the JSON texts of their values, as [`bytes`](Self::bytes) gives them, in their
    /// order.
    pub fn members(&self) -> impl Iterator<Item = (&str, &'a [u8])> {
        self.index.members.iter().map(|member| {
            let key = std::str::from_utf8(self.key(member)).unwrap_or_default();
            (key, &self.json[member.value_start..member.end])
        })
    }

    /// The text that was parsed.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.json
    }

    /// Where the members are, to be kept.
    pub fn into_index(self) -> RawIndex {
        self.index.into_owned()
    }

    /// Begins a changed copy.
    pub fn edit(&self) -> Edit<'_> {
        Edit::new(self)
    }

    /// The object at which the scanner is, which passes it.
    pub(super) fn scan(scanner: &mut Scanner<'a>) -> Result<Self, ParseError> {
        let text = scanner.text.as_bytes();
        let start = scanner.position();
        scanner.open_object()?;
        let index = RawIndex::scan(scanner, start, 4)?;
        Ok(Self::owned(&text[start..start + index.len], index))
    }

    pub(super) fn borrowed(json: &'a [u8], index: &'a RawIndex) -> Self {
        let index = Cow::Borrowed(index);
        Self { json, index }
    }

    pub(super) fn key<'m>(&'m self, member: &'m Member) -> &'m [u8] {
        match &member.unescaped_key {
            Some(key) => key.as_bytes(),
            None => &self.json[member.start + 1..member.key_end],
        }
    }

    fn owned(json: &'a [u8], index: RawIndex) -> Self {
        let index = Cow::Owned(index);
        Self { json, index }
    }

    fn member(&self, key: &str) -> Option<&Member> {
        let mut members = self.index.members.iter().rev();
        members.find(|member| self.key(member) == key.as_bytes())
    }
}
