//! [`StoredResponses`]: responses in memory, for `previous_response_id`, retrieval and `background`.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use llm_types::responses::{Item, ResponsesInput, ResponsesResponse, ResponsesStatus};
use llm_types::{Field, Value};
use serde_json::json;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::auth::Client;

/// Responses of the Responses API that the gateway keeps in its memory.
///
/// With it, a request may continue a response (`previous_response_id`), refer to its items, or run in
/// the `background`; responses can be retrieved, deleted and cancelled. Only the key that made a
/// response can use it. Responses are kept for a time to live and within a limit of memory, beyond
/// which the oldest ones are removed. They are lost when the process ends, and other processes do not
/// have them.
#[derive(Clone)]
pub struct StoredResponses {
    entries: Arc<Mutex<Entries>>,
    time_to_live: Duration,
    max_bytes: usize,
}

#[derive(Default)]
struct Entries {
    by_id: HashMap<String, Entry>,
    /// The ids, oldest first; those of deleted responses stay until they are the oldest.
    order: VecDeque<(Instant, String)>,
    bytes: usize,
}

struct Entry {
    owner: Owner,
    response: ResponsesResponse,
    input: Vec<Item>,
    bytes: usize,
    /// The task of a response in the background.
    task: Option<AbortHandle>,
}

/// The key that made a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Owner {
    /// The master key, or any client if there is none.
    Operator,
    /// A virtual key, by its id.
    Key(String),
}

impl StoredResponses {
    /// Keeps responses for `time_to_live`, in at most 64 MiB of memory.
    pub fn in_memory(time_to_live: Duration) -> Self {
        Self {
            entries: Arc::default(),
            time_to_live,
            max_bytes: 64 << 20,
        }
    }

    /// Sets the limit of memory for all responses together, in bytes.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Keeps a response with its input. A response in the background is replaced by its result,
    /// unless it was cancelled or deleted.
    pub(crate) fn insert(&self, owner: &Owner, response: ResponsesResponse, input: Vec<Item>) {
        let mut entries = self.lock();
        if let Some(entry) = entries.by_id.get_mut(&response.id) {
            entry.response = response;
            entry.task = None;
            let bytes = size(&entry.response, &entry.input);
            let before = std::mem::replace(&mut entry.bytes, bytes);
            entries.bytes = (entries.bytes + bytes).saturating_sub(before);
        } else {
            let id = response.id.clone();
            let bytes = size(&response, &input);
            let entry = Entry {
                owner: owner.clone(),
                response,
                input,
                bytes,
                task: None,
            };
            entries.bytes += bytes;
            entries.order.push_back((Instant::now(), id.clone()));
            entries.by_id.insert(id, entry);
        }
        while entries.bytes > self.max_bytes && entries.remove_oldest() {}
    }

    /// Keeps the result of a response in the background, if it is still wanted.
    pub(crate) fn finish(&self, owner: &Owner, response: ResponsesResponse) {
        let is_wanted = self.with(owner, &response.id, |entry| entry.is_running());
        if is_wanted == Some(true) {
            self.insert(owner, response, Vec::new());
        }
    }

    /// Sets the task of a response in the background, unless it has ended.
    pub(crate) fn set_task(&self, owner: &Owner, id: &str, task: AbortHandle) {
        self.with(owner, id, |entry| {
            if entry.is_running() {
                entry.task = Some(task);
            }
        });
    }

    /// How many responses run in the background.
    pub(crate) fn running(&self) -> usize {
        let entries = self.lock();
        let running = entries.by_id.values().filter(|entry| entry.is_running());
        running.count()
    }

    /// The response.
    pub(crate) fn get(&self, owner: &Owner, id: &str) -> Option<ResponsesResponse> {
        self.with(owner, id, |entry| entry.response.clone())
    }

    /// The items of the input, with ids.
    pub(crate) fn input(&self, owner: &Owner, id: &str) -> Option<Vec<Value>> {
        let items = self.with(owner, id, |entry| entry.input.clone())?;
        let items = items.iter().enumerate().map(|(at, item)| {
            let mut item = json!(item);
            if let Some(members) = item.as_object_mut() {
                members.entry("type").or_insert_with(|| json!("message"));
                let generated = || json!(format!("in_{}_{at}", base(id)));
                members.entry("id").or_insert_with(generated);
            }
            item
        });
        Some(items.collect())
    }

    /// Removes a response, and cancels it if it runs. `false` if there is none.
    pub(crate) fn remove(&self, owner: &Owner, id: &str) -> bool {
        let is_there = self.with(owner, id, |_| ()).is_some();
        if is_there {
            self.lock().remove(id);
        }
        is_there
    }

    /// Cancels a response in the background and returns it; one that has ended stays as it is.
    pub(crate) fn cancel(&self, owner: &Owner, id: &str) -> Option<ResponsesResponse> {
        self.with(owner, id, |entry| {
            if entry.is_running() {
                entry.abort();
                entry.response.status = Field::Value(ResponsesStatus::Cancelled);
            }
            entry.response.clone()
        })
    }

    /// The items of a response and of those that it continues, oldest first: each one's input and
    /// output. `None` if one of them is not kept.
    pub(crate) fn history(&self, owner: &Owner, id: &str) -> Option<Vec<Item>> {
        let mut turns = Vec::new();
        let mut next = Some(id.to_owned());
        while let Some(id) = next {
            next = self.with(owner, &id, |entry| {
                let output = entry.response.output.iter().cloned();
                turns.push(
                    entry
                        .input
                        .iter()
                        .cloned()
                        .chain(output)
                        .collect::<Vec<_>>(),
                );
                previous(&entry.response)
            })?;
        }
        Some(turns.into_iter().rev().flatten().collect())
    }

    /// Replaces references to items of kept responses by the items.
    pub(crate) fn resolve(&self, owner: &Owner, input: &mut ResponsesInput) {
        let ResponsesInput::Items(items) = input else {
            return;
        };
        for item in items {
            let Item::Other(members) = item else { continue };
            if members.get("type").and_then(Value::as_str) != Some("item_reference") {
                continue;
            }
            let id = members.get("id").and_then(Value::as_str);
            if let Some(found) = id.and_then(|id| self.item(owner, id)) {
                *item = found;
            }
        }
    }

    /// An item of an output; its id has that of its response.
    fn item(&self, owner: &Owner, id: &str) -> Option<Item> {
        let (_, rest) = id.split_once('_')?;
        let (base, _) = rest.rsplit_once('_')?;
        self.with(owner, &format!("resp_{base}"), |entry| {
            let mut output = entry.response.output.iter();
            output.find(|item| json!(item)["id"] == id).cloned()
        })?
    }

    fn with<T>(&self, owner: &Owner, id: &str, apply: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut entries = self.lock();
        let entry = entries.by_id.get_mut(id)?;
        (entry.owner == *owner).then(|| apply(entry))
    }

    /// The entries, without those whose time is over.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while let Some((created, _)) = entries.order.front()
            && now.duration_since(*created) >= self.time_to_live
        {
            entries.remove_oldest();
        }
        entries
    }
}

impl Entries {
    fn remove_oldest(&mut self) -> bool {
        let Some((_, id)) = self.order.pop_front() else {
            return false;
        };
        self.remove(&id);
        true
    }

    fn remove(&mut self, id: &str) {
        if let Some(mut entry) = self.by_id.remove(id) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
            entry.abort();
        }
    }
}

impl Entry {
    fn is_running(&self) -> bool {
        matches!(
            self.response.status.value(),
            Some(ResponsesStatus::InProgress | ResponsesStatus::Queued)
        )
    }

    fn abort(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Owner {
    pub(crate) fn of(client: &Client) -> Self {
        match client.access() {
            Some(access) => Self::Key(access.key.id.clone()),
            None => Self::Operator,
        }
    }
}

impl fmt::Debug for StoredResponses {
    /// Without texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredResponses")
            .field("time_to_live", &self.time_to_live)
            .field("max_bytes", &self.max_bytes)
            .field("responses", &self.lock().by_id.len())
            .finish()
    }
}

/// The part of a response's id that the ids of its items repeat.
fn base(id: &str) -> &str {
    id.strip_prefix("resp_").unwrap_or(id)
}

fn previous(response: &ResponsesResponse) -> Option<String> {
    let id = response.extra.get("previous_response_id")?.as_str()?;
    Some(id.to_owned())
}

/// The approximate memory of an entry, in bytes: that of its JSON, and of the structures around it.
fn size(response: &ResponsesResponse, input: &[Item]) -> usize {
    let json = |value: Result<Vec<u8>, serde_json::Error>| value.map_or(0, |json| json.len());
    1024 + 2 * (json(serde_json::to_vec(response)) + json(serde_json::to_vec(input)))
}
