//! Keys in memory.

mod entries;
mod feed;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use self::entries::Entries;
use crate::keys::{KEY_COLUMNS, OwnerRow, is_plausible, read_key};
use crate::sql::{Database, Row, Statement};
use crate::{Access, Clock, KeyHash, OwnerKind, Result, Store};

/// How a [`KeyCache`] behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CacheOptions {
    /// The maximum number of keys that are kept; 10,000 by default. Keys that have not been used
    /// recently are dropped first.
    pub capacity: usize,
    /// How often the database is asked for changes; 1 s by default. PostgreSQL announces changes,
    /// so that most are seen sooner.
    pub poll_interval: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            poll_interval: Duration::from_secs(1),
        }
    }
}

impl CacheOptions {
    /// Sets the most keys that are kept.
    #[must_use]
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Sets how often the database is asked for changes.
    #[must_use]
    pub fn with_poll_interval(mut self, poll_interval: Duration) -> Self {
        self.poll_interval = poll_interval;
        self
    }
}

/// The keys of a [`Store`] in memory: a known key costs no query.
///
/// Changes of keys, users and teams, also those of other processes, are seen within the poll
/// interval and the time of one query. While the database is unavailable, known keys keep working,
/// changes are not seen, and [`find`](Self::find) fails for other keys. Clones are the same cache;
/// its task ends with the last one.
#[derive(Clone, Debug)]
pub struct KeyCache {
    shared: Arc<Shared>,
    _task: Arc<Task>,
}

#[derive(Debug)]
struct Shared {
    database: Database,
    clock: Clock,
    entries: Mutex<Entries>,
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl KeyCache {
    /// An empty cache over a store.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn new(store: &Store, options: CacheOptions) -> Result<Self> {
        let database = store.database.clone();
        let version = feed::version(&database).await?;
        let shared = Arc::new(Shared {
            database,
            clock: store.clock.clone(),
            entries: Mutex::new(Entries::new(options.capacity, version)),
        });
        let task = tokio::spawn(watch(Arc::clone(&shared), options.poll_interval));
        Ok(Self {
            shared,
            _task: Arc::new(Task(task)),
        })
    }

    /// What a client with this secret may do; `None` if there is no such key. The caller has to
    /// call [`Access::check`].
    ///
    /// # Errors
    /// Those of the database, for a key that is not known yet.
    pub async fn find(&self, secret: &[u8]) -> Result<Option<Arc<Access>>> {
        if !is_plausible(secret) {
            return Ok(None);
        }
        let hash = KeyHash::of(secret);
        let (known, version) = {
            let mut entries = self.shared.entries();
            (
                entries.get(&hash, self.shared.clock.now()),
                entries.version(),
            )
        };
        match known {
            Some(known) => Ok(known),
            None => self.shared.load(&hash, version).await,
        }
    }

    /// Reads changes now. They are in effect when it returns.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn refresh(&self) -> Result<()> {
        self.shared.refresh().await
    }
}

impl Shared {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a key and keeps it. If changes come in meanwhile, what was read may be older than
    /// they are, so it is read again.
    async fn load(&self, hash: &KeyHash, mut version: i64) -> Result<Option<Arc<Access>>> {
        for _ in 0..MOST_ATTEMPTS {
            let access = self.read(hash).await?;
            let mut entries = self.entries();
            if entries.version() == version {
                entries.insert(*hash, access.clone(), self.clock.now());
                return Ok(access);
            }
            version = entries.version();
        }
        self.read(hash).await
    }

    async fn read(&self, hash: &KeyHash) -> Result<Option<Arc<Access>>> {
        let select = format!(
            "SELECT {KEY_COLUMNS}, u.deleted, u.data, t.deleted, t.data FROM gateway_keys k \
             LEFT JOIN gateway_owners u ON u.kind = 'user' AND u.id = k.user_id \
             LEFT JOIN gateway_owners t ON t.kind = 'team' AND t.id = k.team_id \
             WHERE k.hash = ?1 AND k.deleted = 0"
        );
        let select = Statement::new(select).with(hash.to_string());
        let rows = self.database.rows(select).await?;
        Ok(rows.first().map(access).transpose()?.map(Arc::new))
    }

    /// Keys that changed are read here, so that they are still known if the database goes down.
    async fn refresh(&self) -> Result<()> {
        let version = self.entries().version();
        let Some(changes) = feed::changes(&self.database, version).await? else {
            return Ok(());
        };
        let stale = self.entries().stale(&changes);
        let mut fresh = Vec::new();
        for hash in stale.into_iter().take(MOST_READ) {
            if let Some(access) = self.read(&hash).await? {
                fresh.push((hash, access));
            }
        }
        self.entries().apply(changes, fresh);
        Ok(())
    }
}

/// If the store changes during this many attempts to read a key, the key is not kept.
const MOST_ATTEMPTS: usize = 3;

/// The maximum number of changed keys that are read at once; others are read when they are used.
const MOST_READ: usize = 200;

fn access(row: &Row) -> Result<Access> {
    let key = read_key(row)?;
    let owner = |kind, id: &Option<String>, column| match id {
        Some(id) => OwnerRow::read(kind, id, row, column),
        None => Ok(OwnerRow(None)),
    };
    Ok(Access {
        user: owner(OwnerKind::User, &key.settings.user_id, 4)?,
        team: owner(OwnerKind::Team, &key.settings.team_id, 6)?,
        key,
    })
}

async fn watch(shared: Arc<Shared>, poll_interval: Duration) {
    let mut ticks = interval(poll_interval.max(SHORTEST_POLL));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => {}
            () = shared.database.changed() => {}
        }
        match shared.refresh().await {
            Ok(()) => {}
            // The database reports its outages.
            Err(error) if error.is_outage() => {}
            Err(error) => {
                let error = error.to_string();
                let error = &*llm_provider::text::excerpt(&error);
                tracing::warn!(
                    error,
                    "changes of keys cannot be read; the cache is emptied"
                );
                shared.entries().clear();
            }
        }
    }
}

const SHORTEST_POLL: Duration = Duration::from_millis(10);
