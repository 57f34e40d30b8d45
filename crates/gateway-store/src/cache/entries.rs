use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::feed::{Change, Changes};
use crate::{Access, KeyHash, Timestamp};

/// How long the absence of a key is remembered.
const ABSENCE: Duration = Duration::from_secs(5);

type Map = HashMap<KeyHash, Entry>;

/// Cached keys, as of a version of the store.
///
/// New and used entries are in `young`. When that reaches half of the capacity, it becomes `old`,
/// and the previous `old` is dropped.
#[derive(Debug)]
pub(super) struct Entries {
    half: usize,
    version: i64,
    young: Map,
    old: Map,
}

#[derive(Clone, Debug)]
enum Entry {
    Present(Arc<Access>),
    /// There is no such key. Valid until this moment.
    Absent(Timestamp),
}

impl Entries {
    pub(super) fn new(capacity: usize, version: i64) -> Self {
        Self {
            half: capacity.div_ceil(2).max(1),
            version,
            young: Map::new(),
            old: Map::new(),
        }
    }

    pub(super) fn version(&self) -> i64 {
        self.version
    }

    /// `None` if nothing is known, `Some(None)` if there is no such key.
    pub(super) fn get(&mut self, hash: &KeyHash, now: Timestamp) -> Option<Option<Arc<Access>>> {
        let entry = match self.young.get(hash) {
            Some(entry) => entry.clone(),
            None => {
                let entry = self.old.remove(hash)?;
                self.keep(*hash, entry.clone());
                entry
            }
        };
        match entry {
            Entry::Present(access) => Some(Some(access)),
            Entry::Absent(until) if now < until => Some(None),
            Entry::Absent(_) => None,
        }
    }

    pub(super) fn insert(&mut self, hash: KeyHash, access: Option<Arc<Access>>, now: Timestamp) {
        let entry = access.map_or_else(|| Entry::Absent(now.after(ABSENCE)), Entry::Present);
        self.keep(hash, entry);
    }

    fn keep(&mut self, hash: KeyHash, entry: Entry) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, entry);
    }

    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    /// Brings the entries to the version of the changes, unless another refresh was faster. Changed
    /// keys are replaced by the `fresh` ones, and dropped if there is none.
    pub(super) fn apply(&mut self, changes: Changes, fresh: Vec<(KeyHash, Arc<Access>)>) {
        let Some(list) = changes.list else {
            self.version = changes.version;
            self.clear();
            return;
        };
        if changes.version <= self.version {
            return;
        }
        self.version = changes.version;
        self.young.retain(|_, entry| !is_stale(entry, &list));
        self.old.retain(|_, entry| !is_stale(entry, &list));
        for (hash, access) in fresh {
            self.keep(hash, Entry::Present(access));
        }
    }

    /// The keys that the changes concern, as far as they are here.
    pub(super) fn stale(&self, changes: &Changes) -> Vec<KeyHash> {
        let list = changes.list.as_deref().unwrap_or_default();
        let entries = self.young.iter().chain(&self.old);
        entries
            .filter(|(_, entry)| matches!(entry, Entry::Present(_)) && is_stale(entry, list))
            .map(|(hash, _)| *hash)
            .collect()
    }
}

/// Whether an entry has to be read again. An absent key may have been added.
fn is_stale(entry: &Entry, changes: &[Change]) -> bool {
    match entry {
        Entry::Absent(_) => true,
        Entry::Present(access) => changes.iter().any(|change| concerns(change, access)),
    }
}

fn concerns(change: &Change, access: &Access) -> bool {
    let settings = &access.key.settings;
    match change {
        Change::Key(id) => *id == access.key.id,
        Change::User(id) => settings.user_id.as_ref() == Some(id),
        Change::Team(id) => settings.team_id.as_ref() == Some(id),
    }
}
