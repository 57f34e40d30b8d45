//! [`Edit`]: a changed copy of an object, byte for byte but for the change.

use serde_json::Value;

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
            changes: vec![Change::Keep; object.members.len()],
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

    /// Writes the copy.
    pub fn finish(self) -> Vec<u8> {
        let RawObject {
            text,
            members,
            close,
        } = self.object;
        let json = text.as_bytes();
        let added: usize = self
            .added
            .iter()
            .map(|(key, value)| key.len() + value.len() + 8)
            .sum();
        let mut out = Vec::with_capacity(json.len() + added);
        let mut written = 0;
        let first = members.first().map_or(*close, |member| member.start);
        out.extend_from_slice(&json[..first]);
        let mut previous_end = first;
        for (member, change) in members.iter().zip(&self.changes) {
            let separator = &json[previous_end..member.start];
            previous_end = member.end;
            let value = match change {
                Change::Keep => &json[member.value_start..member.end],
                Change::Remove => continue,
                Change::Replace(value) => value.as_bytes(),
            };
            if written > 0 {
                out.extend_from_slice(separator);
            }
            out.extend_from_slice(&json[member.start..member.value_start]);
            out.extend_from_slice(value);
            written += 1;
        }
        for (key, value) in &self.added {
            if written > 0 {
                out.push(b',');
            }
            out.extend_from_slice(Value::from(key.as_str()).to_string().as_bytes());
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
            written += 1;
        }
        out.extend_from_slice(&json[previous_end..]);
        out
    }

    /// Applies a change to each member of the key that is not removed; false if there is none.
    fn change(&mut self, key: &str, change: &Change) -> bool {
        let mut found = false;
        for (member, slot) in self.object.members.iter().zip(&mut self.changes) {
            if member.key == key && !matches!(slot, Change::Remove) {
                *slot = change.clone();
                found = true;
            }
        }
        found
    }

    fn has(&self, key: &str) -> bool {
        let kept = |change: &Change| !matches!(change, Change::Remove);
        let mut members = self.object.members.iter().zip(&self.changes);
        members.any(|(member, change)| member.key == key && kept(change))
            || self.added.iter().any(|(added, _)| added == key)
    }
}
