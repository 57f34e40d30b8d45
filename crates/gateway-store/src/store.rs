use std::time::Duration;

use tokio::sync::watch;

use crate::keys::{Keys, Owners};
use crate::ledger::Reports;
use crate::sql::{Database, migrate};
use crate::{Clock, Result};

/// How a [`Store`] behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreOptions {
    /// How long the database may take for one piece of work, and how long to wait for its lock;
    /// 2 s by default.
    pub timeout: Duration,
    /// The source of the present time; the system's clock by default.
    pub clock: Clock,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(2),
            clock: Clock::default(),
        }
    }
}

impl StoreOptions {
    /// Sets how long the database may take for one piece of work.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the source of the present time.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

/// Whether the database answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Health {
    /// The last piece of work was done.
    Available,
    /// The last piece of work failed because the database does not answer, is locked, full or
    /// read-only.
    Unavailable,
}

/// The database of a gateway, or of several gateways that share it. Clones are the same store.
///
/// Its work runs on tasks of the tokio runtime in which it was opened.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) database: Database,
    pub(crate) clock: Clock,
}

impl Store {
    /// Opens a database and migrates it to the newest schema.
    ///
    /// | URL | database |
    /// |---|---|
    /// | `sqlite::memory:` | SQLite in memory, lost at the end |
    /// | `sqlite:PATH` or `sqlite://PATH` | a SQLite file, created if it does not exist |
    /// | `postgres://…` or `postgresql://…` | PostgreSQL, with the feature `postgres` |
    ///
    /// Several gateways may open one SQLite file on a local disk, or one PostgreSQL database.
    ///
    /// # Errors
    /// One of a wrong URL, a database that cannot be reached, locked, read-only or full, that a
    /// newer program migrated, whose schema is incomplete, or that is not a database; see
    /// [`ErrorKind`](crate::ErrorKind).
    pub async fn open(url: &str, options: StoreOptions) -> Result<Self> {
        let database = Database::open(url, &options)?;
        migrate::migrate(&database, options.clock.now()).await?;
        Ok(Self {
            database,
            clock: options.clock,
        })
    }

    /// The keys.
    pub fn keys(&self) -> Keys {
        Keys::new(self)
    }

    /// The users and teams.
    pub fn owners(&self) -> Owners {
        Owners::new(self)
    }

    /// Reports on the usage that a [`Ledger`](crate::Ledger) recorded.
    pub fn reports(&self) -> Reports {
        Reports::new(self)
    }

    /// Whether the database answers, as of its last piece of work. Each change is also logged
    /// once.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.database.health()
    }
}
