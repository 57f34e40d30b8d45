//! [`Edit`]: a changed copy of an object, in which all other bytes stay the same.

use std::borrow::Cow;
use std::ops::Range;

use serde::Serialize;
use serde_json::Value;

use super::index::RawIndex;
use super::object::RawObject;

/// Builds a changed copy of a [`RawObject`].
///
/// White space, order and number formats of unchanged members stay the same. If a key occurs twice,
/// a change applies to both members.
#[derive(Clone, Debug)]
pub struct Edit<'a> {
    object: &'a RawObject<'a>,
    /// One for each member of the object.
    changes: Vec<Change<'a>>,
    added: Vec<(String, Cow<'a, str>)>,
}

#[derive(Clone, Debug)]
enum Change<'a> {
    Keep,
    Remove,
    Replace(Cow<'a, str>),
}

impl<'a> Edit<'a> {
    pub(super) fn new(object: &'a RawObject<'a>) -> Self {
        Self {
            object,
            changes: vec![Change::Keep; object.index.members.len()],
            added: Vec::new(),
        }
    }

    /// Replaces a member's value, or adds the member at the end.
    #[must_use]
    pub fn set(self, key: &str, value: &Value) -> Self {
        self.set_raw(key, text(value))
    }

    /// Like [`set`](Self::set), with a value that already is JSON text. The text is not checked.
    #[must_use]
    pub fn set_raw(mut self, key: &str, value: impl Into<Cow<'a, str>>) -> Self {
        let value = value.into();
        if self.change(key, || Change::Replace(value.clone())) {
            return self;
        }
        match self.added.iter_mut().find(|(added, _)| added == key) {
            Some((_, slot)) => *slot = value,
            None => self.added.push((key.to_owned(), value)),
        }
        self
    }

    /// Adds a member unless it exists, with any value.
    #[must_use]
    pub fn set_default(self, key: &str, value: &Value) -> Self {
        if self.has(key) {
            self
        } else {
            self.set(key, value)
        }
    }

    /// Removes a member, if it exists.
    #[must_use]
    pub fn remove(mut self, key: &str) -> Self {
        self.change(key, || Change::Remove);
        self.added.retain(|(added, _)| added != key);
        self
    }

    /// The changed copy.
    pub fn finish(self) -> Vec<u8> {
        let json = self.object.json;
        let text = Vec::with_capacity(json.len() + self.new_len());
        let mut copy = Copy { json, text };
        self.write_to(&mut copy);
        copy.text
    }

    /// The copy as pieces: ranges of the original text, and new text. A sender that writes several
    /// pieces does not copy a long text for a short change.
    ///
    /// ```
    /// # use llm_types::{Piece, RawObject};
    /// let body = br#"{"model": "llama", "messages": []}"#;
    /// let object = RawObject::parse(body)?;
    /// let pieces = object.edit().set("model", &"meta/llama-3".into()).into_pieces();
    /// assert_eq!(pieces[1], Piece::New("\"meta/llama-3\"".to_owned()));
    /// assert_eq!(pieces[2], Piece::Kept(17..body.len()));
    /// # Ok::<(), llm_types::ParseError>(())
    /// ```
    pub fn into_pieces(self) -> Vec<Piece> {
        let members = self.object.index.members.len();
        let mut pieces = Pieces(Vec::with_capacity(2 * members.min(8)));
        self.write_to(&mut pieces);
        pieces.0
    }

    fn write_to(self, copy: &mut impl Target) {
        let RawIndex {
            members,
            close,
            len,
            ..
        } = &*self.object.index;
        let mut end = members.first().map_or(*close, |first| first.start);
        copy.keep(0..end);
        let mut is_first = true;
        for (member, change) in members.iter().zip(self.changes) {
            let separator = end..member.start;
            end = member.end;
            if matches!(change, Change::Remove) {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                copy.keep(separator);
            }
            copy.keep(member.start..member.value_start);
            match change {
                Change::Replace(value) => copy.put(&value),
                _ => copy.keep(member.value_start..member.end),
            }
        }
        for (key, value) in self.added {
            if !std::mem::take(&mut is_first) {
                copy.put(",");
            }
            copy.put(&text(&key));
            copy.put(":");
            copy.put(&value);
        }
        copy.keep(end..*len);
    }

    /// About the length of all new text.
    fn new_len(&self) -> usize {
        let replaced = self.changes.iter().map(|change| match change {
            Change::Replace(value) => value.len(),
            _ => 0,
        });
        let added = self.added.iter();
        let added = added.map(|(key, value)| key.len() + value.len() + r#","":"#.len());
        replaced.chain(added).sum()
    }

    /// Applies a change to each member with this key that is not removed; false if there is none.
    fn change(&mut self, key: &str, change: impl Fn() -> Change<'a>) -> bool {
        let mut found = false;
        let members = self.object.index.members.iter();
        for (member, slot) in members.zip(&mut self.changes) {
            if self.object.has_key(member, key) && !matches!(slot, Change::Remove) {
                *slot = change();
                found = true;
            }
        }
        found
    }

    fn has(&self, key: &str) -> bool {
        let kept = |change: &Change<'_>| !matches!(change, Change::Remove);
        let mut members = self.object.index.members.iter().zip(&self.changes);
        members.any(|(member, change)| self.object.has_key(member, key) && kept(change))
            || self.added.iter().any(|(added, _)| added == key)
    }
}

fn text<T: Serialize + ?Sized>(value: &T) -> String {
    // Writing fails only for maps whose keys are not strings, and a `Value` contains none.
    serde_json::to_string(value).unwrap_or_default()
}

/// A piece of a changed copy; see [`Edit::into_pieces`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a copy consists of these two kinds of pieces only"
)]
pub enum Piece {
    /// A range of the original text.
    Kept(Range<usize>),
    /// New text.
    New(String),
}

/// Where a changed copy is written.
trait Target {
    /// Adds a range of the original text.
    fn keep(&mut self, range: Range<usize>);

    /// Adds new text.
    fn put(&mut self, text: &str);
}

/// The copy so far, in one piece.
struct Copy<'a> {
    json: &'a [u8],
    text: Vec<u8>,
}

impl Target for Copy<'_> {
    fn keep(&mut self, range: Range<usize>) {
        self.text.extend_from_slice(&self.json[range]);
    }

    fn put(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }
}

/// The pieces so far; adjacent pieces are merged if possible.
struct Pieces(Vec<Piece>);

impl Target for Pieces {
    fn keep(&mut self, range: Range<usize>) {
        match self.0.last_mut() {
            Some(Piece::Kept(last)) if last.end == range.start => last.end = range.end,
            _ if range.is_empty() => {}
            _ => self.0.push(Piece::Kept(range)),
        }
    }

    fn put(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Piece::New(last)) => last.push_str(text),
            _ => self.0.push(Piece::New(text.to_owned())),
        }
    }
}
