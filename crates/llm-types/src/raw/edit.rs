//! [`Edit`]: a changed copy of an object, byte for byte but for the change.

use serde_json::Value;

use super::index::{Member, RawIndex};
use super::object::RawObject;

/// A changed copy of a [`RawObject`] in the making.
///
/// White space, order and number formats of everything untouched stay as they were. When a key
/// occurs twice, a change acts on each.
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
    pub fn set(mut self, key: &str, value: &Value) -> Self {
        let value = value.to_string();
        if self.change(key, &Change::Replace(value.clone())) {
            return self;
        }
        match self.added.iter_mut().find(|(added, _)| added == key) {
            Some((_, slot)) => *slot = value,
            None => self.added.push((key.to_owned(), value)),
        }
        self
    }

    /// Adds a member unless it is there, with whatever value.
    pub fn set_default(self, key: &str, value: &Value) -> Self {
        if self.has(key) {
            self
        } else {
            self.set(key, value)
        }
    }

    /// Removes a member, if it is there.
    pub fn remove(mut self, key: &str) -> Self {
        self.change(key, &Change::Remove);
        self.added.retain(|(added, _)| added != key);
        self
    }

    /// The copy.
    pub fn finish(self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Appends the copy to a buffer, and tells where its members are, counted from its beginning.
    pub fn write(self, out: &mut Vec<u8>) -> RawIndex {
        let object = self.object;
        let (json, members) = (object.json, &object.index.members);
        let changed = self.changes.iter().map(|change| match change {
            Change::Replace(value) => value.len(),
            Change::Keep | Change::Remove => 0,
        });
        let added = self
            .added
            .iter()
            .map(|(key, value)| 2 * key.len() + value.len() + 8);
        out.reserve(json.len() + changed.sum::<usize>() + added.sum::<usize>());

        let mut copy = Copy::new(out, members.len() + self.added.len());
        let mut previous_end = members
            .first()
            .map_or(object.index.close, |first| first.start);
        copy.out.extend_from_slice(&json[..previous_end]);
        for (member, change) in members.iter().zip(&self.changes) {
            let separator = &json[previous_end..member.start];
            previous_end = member.end;
            let value = match change {
                Change::Keep => &json[member.value_start..member.end],
                Change::Remove => continue,
                Change::Replace(value) => value.as_bytes(),
            };
            let key = &json[member.start..member.value_start];
            let key_len = member.key_end - member.start - 1;
            copy.member(separator, key, key_len, member.unescaped_key.clone(), value);
        }
        for (key, value) in &self.added {
            let text = Value::from(key.as_str()).to_string();
            let key_len = text.len() - 2;
            let unescaped = (key_len != key.len()).then(|| key.as_str().into());
            copy.member(
                b",",
                format!("{text}:").as_bytes(),
                key_len,
                unescaped,
                value.as_bytes(),
            );
        }
        copy.end(&json[previous_end..], object.index.close - previous_end)
    }

    /// Applies a change to each member of the key that is not removed; false if there is none.
    fn change(&mut self, key: &str, change: &Change) -> bool {
        let mut found = false;
        let members = self.object.index.members.iter();
        for (member, slot) in members.zip(&mut self.changes) {
            if self.object.key(member) == key.as_bytes() && !matches!(slot, Change::Remove) {
                *slot = change.clone();
                found = true;
            }
        }
        found
    }

    fn has(&self, key: &str) -> bool {
        let kept = |change: &Change| !matches!(change, Change::Remove);
        let mut members = self.object.index.members.iter().zip(&self.changes);
        members.any(|(member, change)| self.object.key(member) == key.as_bytes() && kept(change))
            || self.added.iter().any(|(added, _)| added == key)
    }
}

/// The copy while it is written.
struct Copy<'o> {
    out: &'o mut Vec<u8>,
    /// Where it begins in the buffer.
    base: usize,
    members: Vec<Member>,
}

impl<'o> Copy<'o> {
    fn new(out: &'o mut Vec<u8>, capacity: usize) -> Self {
        let base = out.len();
        let members = Vec::with_capacity(capacity);
        Self { out, base, members }
    }

    /// Writes a member; `key` is its text up to the value, and the first has no separator.
    fn member(
        &mut self,
        separator: &[u8],
        key: &[u8],
        key_len: usize,
        unescaped_key: Option<Box<str>>,
        value: &[u8],
    ) {
        if !self.members.is_empty() {
            self.out.extend_from_slice(separator);
        }
        let start = self.position();
        self.out.extend_from_slice(key);
        let value_start = self.position();
        self.out.extend_from_slice(value);
        self.members.push(Member {
            start,
            unescaped_key,
            key_end: start + 1 + key_len,
            value_start,
            end: self.position(),
        });
    }

    /// Writes what comes after the last member, with the closing bracket in it.
    fn end(self, rest: &[u8], close: usize) -> RawIndex {
        let close = self.position() + close;
        self.out.extend_from_slice(rest);
        RawIndex {
            len: self.position(),
            members: self.members,
            close,
        }
    }

    fn position(&self) -> usize {
        self.out.len() - self.base
    }
}
