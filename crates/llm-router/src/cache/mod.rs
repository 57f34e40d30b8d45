//! A cache of replies: a call with the same parameters gets the same reply.

mod batch;
mod key;
mod options;
mod record;
mod wire;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::stream;
use llm_provider::{Chunk, Document, Metadata, Reply, ReplyEvent, ReplyStream};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::time::Instant;

pub(crate) use self::batch::{Batch, batch};
pub(crate) use self::key::Scope;
use self::key::{Key, Keys};
pub use self::options::{CacheControl, CacheOptions};
pub(crate) use self::record::Recorder;
use crate::clock::{Nanos, nanos};
use crate::shared::SharedState;

/// The replies.
#[derive(Debug)]
pub(crate) struct ReplyCache {
    pub(crate) options: CacheOptions,
    entries: Cache<Key, Arc<Entry>, Weigh>,
    keys: Keys,
    /// Where replies are kept for other routers, too.
    shared: Option<SharedState>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    metadata: Metadata,
    body: Body,
    stored: Nanos,
    expires: Nanos,
}

#[derive(Debug)]
enum Body {
    Whole(Document),
    Stream(Vec<Chunk>),
}

#[derive(Clone, Debug)]
pub(crate) struct Weigh;

impl Weighter<Key, Arc<Entry>> for Weigh {
    fn weight(&self, _: &Key, entry: &Arc<Entry>) -> u64 {
        entry.weight()
    }
}

/// The place of a call's reply in the cache.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    cache: Arc<ReplyCache>,
    key: Key,
    reads: bool,
    writes: bool,
    time_to_live: Nanos,
    max_age: Option<Nanos>,
}

impl ReplyCache {
    pub(crate) fn new(options: CacheOptions, shared: Option<SharedState>) -> Self {
        let shared = shared.filter(|_| options.is_shared);
        // Half of the replies are shorter than this.
        let items = usize::try_from(options.capacity / 4096).unwrap_or(usize::MAX);
        Self {
            entries: Cache::with_weighter(items.clamp(16, MAX_ITEMS), options.capacity, Weigh),
            options,
            keys: Keys::new(shared.is_some()),
            shared,
        }
    }

    fn insert(&self, key: Key, entry: Entry) {
        let entry = Arc::new(entry);
        if Weigh.weight(&key, &entry) <= self.largest() {
            self.entries.insert(key, entry);
        }
    }

    /// The maximum weight of an entry.
    fn largest(&self) -> u64 {
        self.options.capacity / 16
    }
}

impl Slot {
    /// Whether calls that are the same wait for each other.
    pub(crate) fn is_shared(&self) -> bool {
        self.reads && self.writes
    }

    /// The cached reply. If another call for it is running, waits for that one, up to `deadline`.
    pub(crate) async fn reply(&self, now: Nanos, deadline: Option<Instant>) -> Flight<'_> {
        if !self.reads {
            return Flight::Alone;
        }
        if !self.is_shared() {
            let entry = self.fresh(now);
            return entry
                .and_then(|entry| entry.reply())
                .map_or(Flight::Alone, Flight::Cached);
        }
        if self.fresh(now).is_none() {
            self.cache.entries.remove_if(&self.key, |entry| {
                entry.expires <= now || !self.is_young(entry, now)
            });
        }
        let mut lookup = pin!(self.cache.entries.get_value_or_guard_async(&self.key));
        // The first call finds a free place at once.
        let first = poll_fn(|cx| Poll::Ready(lookup.as_mut().poll(cx))).await;
        let (found, has_waited) = match first {
            Poll::Ready(found) => (found, false),
            Poll::Pending => match deadline {
                None => (lookup.await, true),
                Some(deadline) => match tokio::time::timeout_at(deadline, lookup).await {
                    Ok(found) => (found, true),
                    Err(_) => return Flight::Alone,
                },
            },
        };
        match found {
            Ok(entry) => entry.reply().map_or(Flight::Alone, Flight::Cached),
            // The call that it waited for has failed. The waiting calls are sent together, so that
            // they do not fail one after another.
            Err(_) if has_waited => Flight::Alone,
            Err(guard) => Flight::First(guard),
        }
    }

    /// The cached stream.
    pub(crate) fn stream(&self, now: Nanos) -> Option<ReplyStream> {
        self.fresh(now).filter(|_| self.reads)?.stream()
    }

    /// Keeps a reply.
    pub(crate) fn store(&self, flight: Flight<'_>, reply: &Reply, now: Nanos) {
        if !self.writes {
            return;
        }
        let body = Body::Whole(reply.body.clone());
        let entry = self.entry(&reply.metadata, body, now);
        self.share(&entry);
        self.keep(flight, entry);
    }

    fn store_stream(&self, metadata: &Metadata, chunks: Vec<Chunk>, now: Nanos) {
        let entry = self.entry(metadata, Body::Stream(chunks), now);
        self.share(&entry);
        self.cache.insert(self.key, entry);
    }

    /// Keeps an entry in this process.
    pub(crate) fn keep(&self, flight: Flight<'_>, entry: Entry) {
        match flight {
            Flight::First(guard) if entry.weight() <= self.cache.largest() => {
                // Fails only if the entry was removed in the meantime.
                let _ = guard.insert(Arc::new(entry));
            }
            _ => self.cache.insert(self.key, entry),
        }
    }

    /// Keeps an entry for other routers.
    fn share(&self, entry: &Entry) {
        if let Some(shared) = &self.cache.shared
            && entry.weight() <= self.cache.largest()
            && let Some(value) = wire::write(entry)
        {
            let time = Duration::from_nanos(self.time_to_live);
            shared.keep(key::shared(self.key), value, time);
        }
    }

    /// The key of the reply in the shared state, if it is looked up there.
    pub(crate) fn shared_key(&self) -> Option<String> {
        let is_read = self.reads && self.cache.shared.is_some();
        is_read.then(|| key::shared(self.key))
    }

    /// The entry of a shared value, unless it is older than this call accepts. `provider` finds the
    /// provider of a name.
    pub(crate) fn entry_of(
        &self,
        value: &[u8],
        now: Nanos,
        provider: impl FnMut(&str) -> Option<&'static str>,
    ) -> Option<Entry> {
        let entry = wire::read(value, now, provider)?;
        (entry.expires > now && self.is_young(&entry, now)).then_some(entry)
    }

    fn entry(&self, metadata: &Metadata, body: Body, now: Nanos) -> Entry {
        Entry {
            metadata: metadata.clone(),
            body,
            stored: now,
            expires: now.saturating_add(self.time_to_live),
        }
    }

    fn fresh(&self, now: Nanos) -> Option<Arc<Entry>> {
        let entry = self.cache.entries.get(&self.key)?;
        (entry.expires > now && self.is_young(&entry, now)).then_some(entry)
    }

    fn is_young(&self, entry: &Entry, now: Nanos) -> bool {
        self.max_age
            .is_none_or(|age| now.saturating_sub(entry.stored) <= age)
    }
}

type Guard<'a> = quick_cache::sync::PlaceholderGuard<
    'a,
    Key,
    Arc<Entry>,
    Weigh,
    quick_cache::DefaultHashBuilder,
    quick_cache::sync::DefaultLifecycle<Key, Arc<Entry>>,
>;

/// What a call finds in the cache.
pub(crate) enum Flight<'a> {
    /// A reply.
    Cached(Box<Reply>),
    /// Nothing; others wait for its reply.
    First(Guard<'a>),
    /// Nothing.
    Alone,
}

impl Entry {
    fn weight(&self) -> u64 {
        let bytes = match &self.body {
            Body::Whole(body) => body.bytes().len(),
            Body::Stream(chunks) => chunks.iter().map(weight_of).sum(),
        };
        u64::try_from(bytes + OVERHEAD).unwrap_or(u64::MAX)
    }

    pub(crate) fn reply(&self) -> Option<Box<Reply>> {
        match &self.body {
            Body::Whole(body) => {
                let reply = Reply::new(body.clone(), self.metadata());
                Some(Box::new(reply))
            }
            Body::Stream(_) => None,
        }
    }

    pub(crate) fn stream(&self) -> Option<ReplyStream> {
        let Body::Stream(chunks) = &self.body else {
            return None;
        };
        let events = chunks.clone().into_iter().map(ReplyEvent::Chunk).map(Ok);
        Some(ReplyStream::new(self.metadata(), stream::iter(events)))
    }

    fn metadata(&self) -> Metadata {
        let mut metadata = self.metadata.clone();
        metadata.attempts = 0;
        metadata.extra.insert(CACHE.to_owned(), "hit".into());
        metadata
    }
}

/// The member of the metadata's extra facts that marks a cached reply.
const CACHE: &str = "cache";

fn weight_of(chunk: &Chunk) -> usize {
    chunk.bytes().len() + OVERHEAD
}

/// The bytes of an entry besides its body, roughly.
const OVERHEAD: usize = 200;
const MAX_ITEMS: usize = 1 << 20;

/// The place of a call in the cache; `None` if the call does not use it.
pub(crate) fn slot(
    cache: &Arc<ReplyCache>,
    control: &CacheControl,
    scope: &Scope<'_>,
) -> Option<Slot> {
    let options = &cache.options;
    let is_used = control.is_used.unwrap_or(options.is_default)
        && options.endpoints.has(scope.call.endpoint.capability());
    if !is_used || (control.no_cache && control.no_store) {
        return None;
    }
    let namespace = control.namespace.as_ref().or(options.namespace.as_ref());
    Some(Slot {
        cache: Arc::clone(cache),
        key: cache.keys.key(scope, namespace.map(String::as_str))?,
        reads: !control.no_cache,
        writes: !control.no_store,
        time_to_live: nanos(control.time_to_live.unwrap_or(options.time_to_live)),
        max_age: control.max_age.map(nanos),
    })
}
