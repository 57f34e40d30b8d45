//! [`Edit`]: a changed copy of an object, in which all other bytes stay the same.

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
    changes: Vec<Change>,
    added: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
enum Change {
    Keep,
    Remove,
    Replace(String),
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
        self.set_raw(key, &text(value))
    }

    /// Like [`set`](Self::set), with a value that already is JSON text. The text is not checked.
    #[must_use]
    pub fn set_raw(mut self, key: &str, value: &str) -> Self {
        if self.change(key, || Change::Replace(value.to_owned())) {
            return self;
        }
        match self.added.iter_mut().find(|(added, _)| added == key) {
            Some((_, slot)) => value.clone_into(slot),
            None => self.added.push((key.to_owned(), value.to_owned())),
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
        let pieces = self.into_pieces();
        let texts = pieces.iter().map(|piece| match piece {
            Piece::Kept(range) => &json[range.clone()],
            Piece::New(text) => text.as_bytes(),
        });
        let mut copy = Vec::with_capacity(texts.clone().map(<[u8]>::len).sum());
        for text in texts {
            copy.extend_from_slice(text);
        }
        copy
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
        let RawIndex {
            members,
            close,
            len,
            ..
        } = &*self.object.index;
        let mut pieces = Pieces(Vec::with_capacity(2 * members.len().min(8)));
        let mut end = members.first().map_or(*close, |first| first.start);
        pieces.keep(0..end);
        let mut is_first = true;
        for (member, change) in members.iter().zip(self.changes) {
            let separator = end..member.start;
            end = member.end;
            if matches!(change, Change::Remove) {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                pieces.keep(separator);
            }
            pieces.keep(member.start..member.value_start);
            match change {
                Change::Replace(value) => pieces.put(value),
                _ => pieces.keep(member.value_start..member.end),
            }
        }
        for (key, value) in self.added {
            let separator = if std::mem::take(&mut is_first) {
                ""
            } else {
                ","
            };
            pieces.put(format!("{separator}{}:{value}", text(&key)));
        }
        pieces.keep(end..*len);
        pieces.0
    }

    /// Applies a change to each member with this key that is not removed; false if there is none.
    fn change(&mut self, key: &str, change: impl Fn() -> Change) -> bool {
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
        let kept = |change: &Change| !matches!(change, Change::Remove);
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

/// The pieces so far; adjacent pieces are merged if possible.
struct Pieces(Vec<Piece>);

impl Pieces {
    fn keep(&mut self, range: Range<usize>) {
        match self.0.last_mut() {
            Some(Piece::Kept(last)) if last.end == range.start => last.end = range.end,
            _ if range.is_empty() => {}
            _ => self.0.push(Piece::Kept(range)),
        }
    }

    fn put(&mut self, text: String) {
        match self.0.last_mut() {
            Some(Piece::New(last)) => last.push_str(&text),
            _ => self.0.push(Piece::New(text)),
        }
    }
}
