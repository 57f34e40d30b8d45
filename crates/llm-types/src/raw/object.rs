//! [`RawObject`]: the members of an object, found in one pass and kept as text.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::DeserializeOwned;

use super::edit::Edit;
use super::index::{Member, RawIndex};
use super::items::{RawItems, RawObjects};
use super::scan::Scanner;
use crate::parse::{ParseError, parse};

/// A JSON object whose members stay text until they are read.
///
/// One pass finds the top-level members and every error in the text, except inside strings. A
/// string must be UTF-8 and must end; its escapes and control characters are checked when it is
/// read, here or by the recipient of the text. So every parser that accepts the text finds the same
/// members. If a key occurs twice, the last one counts, as in JavaScript
/// and Python.
///
/// The positions can be kept without the text; see [`RawIndex`].
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
    /// If the text is not JSON, or not an object; the error has line, column and what was expected.
    pub fn parse(json: &'a [u8]) -> Result<Self, ParseError> {
        RawIndex::parse(json).map(|index| Self::owned(json, index))
    }

    /// Finds the members of an object whose text is known to be UTF-8, such as the value of a
    /// member.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_str(json: &'a str) -> Result<Self, ParseError> {
        RawIndex::scan_all(Scanner::of(json)).map(|index| Self::owned(json.as_bytes(), index))
    }

    /// The JSON text of a member's value.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        // The text is UTF-8, unless it is not the text of the index.
        simdutf8::basic::from_utf8(self.bytes(key)?).ok()
    }

    /// The byte range of a member's value in the whole text.
    pub fn span(&self, key: &str) -> Option<Range<usize>> {
        let member = self.member(key)?;
        Some(member.value_start..member.end)
    }

    /// The JSON text of a member's value as bytes. This skips the UTF-8 check of
    /// [`get`](Self::get).
    pub fn bytes(&self, key: &str) -> Option<&'a [u8]> {
        Some(&self.json[self.span(key)?])
    }

    /// A member that is a string. Also `None` if the string has an invalid escape or a control
    /// character; [`read`](Self::read) reports its position.
    pub fn str(&self, key: &str) -> Option<Cow<'a, str>> {
        let plain = self.bytes(key).and_then(plain_string);
        if plain.is_some() {
            return plain.map(Cow::Borrowed);
        }
        let value = self.get(key).filter(|value| value.starts_with('"'))?;
        let mut scanner = Scanner::of(value);
        let string = scanner.string().ok()?;
        scanner.decode(string).ok()
    }

    /// A member that is a boolean.
    pub fn bool(&self, key: &str) -> Option<bool> {
        match self.get(key)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// The items of a member that is an array, as JSON texts.
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
        self.get(key).and_then(RawItems::of_valid)
    }

    /// The members of a member that is an object.
    ///
    /// Faster than [`parse_str`](Self::parse_str), since the text is not validated again.
    ///
    /// ```
    /// # use llm_types::RawObject;
    /// let choice = RawObject::parse(br#"{"message": {"role": "assistant"}, "index": 0}"#)?;
    /// let message = choice.object("message").ok_or("no message")?;
    /// assert_eq!(message.str("role").as_deref(), Some("assistant"));
    /// assert!(choice.object("index").is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn object(&self, key: &str) -> Option<Self> {
        Self::scan(&mut Scanner::of_valid(self.get(key)?)).ok()
    }

    /// The objects in a member that is an array; other items as their text.
    ///
    /// Faster than [`items`](Self::items) and [`parse_str`](Self::parse_str), since it scans the
    /// text once.
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
        self.get(key).and_then(RawObjects::of_valid)
    }

    /// Reads a member that exists and is not null.
    ///
    /// # Errors
    ///
    /// If the value does not have this shape; positions are relative to the start of the value.
    pub fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ParseError> {
        match self.get(key) {
            None | Some("null") => Ok(None),
            Some(value) => parse(value.as_bytes()).map(Some),
        }
    }

    /// Whether the key exists, with any value.
    pub fn contains_key(&self, key: &str) -> bool {
        self.member(key).is_some()
    }

    /// The keys in order, each as often as it occurs.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.members().map(|(key, _)| key)
    }

    /// The keys and the JSON texts of their values, as returned by [`bytes`](Self::bytes), in
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

    /// The positions of the members.
    pub fn into_index(self) -> RawIndex {
        self.index.into_owned()
    }

    /// Starts a changed copy.
    pub fn edit(&self) -> Edit<'_> {
        Edit::new(self)
    }

    /// Reads the object at the scanner's position.
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

    /// Whether the member has this key. Most keys differ in their length, which is compared first.
    pub(super) fn has_key(&self, member: &Member, key: &str) -> bool {
        match &member.unescaped_key {
            Some(unescaped) => **unescaped == *key,
            None => {
                let start = member.start + 1;
                member.key_end - start == key.len()
                    && self.json[start..member.key_end] == *key.as_bytes()
            }
        }
    }

    fn owned(json: &'a [u8], index: RawIndex) -> Self {
        let index = Cow::Owned(index);
        Self { json, index }
    }

    fn member(&self, key: &str) -> Option<&Member> {
        if !self.index.has_key_of(key.len()) {
            return None;
        }
        let mut members = self.index.members.iter().rev();
        members.find(|member| self.has_key(member, key))
    }
}

/// The content of a string that is printable ASCII without escapes, as nearly all names are.
fn plain_string(json: &[u8]) -> Option<&str> {
    let inner = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') & (*byte != b'\\');
    // `all` would stop early, which prevents vectorization.
    let is_plain = inner
        .iter()
        .fold(true, |plain, byte| plain & is_plain(byte));
    std::str::from_utf8(inner).ok().filter(|_| is_plain)
}
