//! [`RawObject`]: an object's members, found in one pass and left as text.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::edit::Edit;
use super::scan::Scanner;
use crate::parse::{ParseError, parse};

/// A JSON object whose members stay as text until asked for.
///
/// One pass finds the top-level members, and every mistake in the text but those inside of strings:
/// a string has to be UTF-8 and to end, and its escapes and control characters are looked at when
/// it is read, here or by whoever gets the text. So the members are those that any parser finds
/// that takes the text at all. When a key occurs twice the last one counts, as in JavaScript and
/// Python.
#[derive(Clone, Debug)]
pub struct RawObject<'a> {
    pub(super) text: &'a str,
    pub(super) members: Vec<Member<'a>>,
    /// Where the closing bracket is.
    pub(super) close: usize,
}

/// A member, and where its text begins and ends.
#[derive(Clone, Debug)]
pub(super) struct Member<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) value: &'a str,
    pub(super) start: usize,
    pub(super) value_start: usize,
    pub(super) end: usize,
}

impl<'a> RawObject<'a> {
    /// Finds the members of an object.
    ///
    /// # Errors
    ///
    /// When the text is no JSON, or no object; the error tells line, column and what to mend.
    pub fn parse(json: &'a [u8]) -> Result<Self, ParseError> {
        let mut scanner = Scanner::new(json)?;
        scanner.open_object()?;
        let mut members = Vec::with_capacity(16);
        let mut first = true;
        while scanner.next_item(&mut first, b'}')? {
            let start = scanner.position();
            let key = scanner.key()?;
            let key = scanner.decode(key)?;
            let value = scanner.value()?;
            let end = scanner.position();
            members.push(Member {
                key,
                value,
                start,
                value_start: end - value.len(),
                end,
            });
        }
        let close = scanner.position() - 1;
        scanner.end()?;
        Ok(Self {
            text: scanner.text,
            members,
            close,
        })
    }

    /// The JSON text of a member's value.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.member(key).map(|member| member.value)
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
        self.members.iter().map(|member| &*member.key)
    }

    /// The text that was parsed.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// Begins a changed copy.
    pub fn edit(&self) -> Edit<'_> {
        Edit::new(self)
    }

    fn member(&self, key: &str) -> Option<&Member<'a>> {
        self.members.iter().rev().find(|member| member.key == key)
    }
}
