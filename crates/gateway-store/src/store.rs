use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::keys::{Keys, Owners, check_amount};
use crate::ledger::Reports;
use crate::responses::{ResponseOptions, Responses};
use crate::sql::{Batch, Database, Fault, Faults, Outcome, Statement, migrate};
use crate::{BudgetId, Clock, DatabaseUrl, Error, ErrorKind, Money, Result, Timestamp};

/// How a [`Store`] behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreOptions {
    /// How long one operation of the database may take, and how long to wait for its lock;
    /// 2 s by default.
    pub timeout: Duration,
    /// The source of the current time; the system's clock by default.
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
    /// Sets how long one operation of the database may take.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the source of the current time.
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
    /// The last operations succeeded.
    Available,
    /// The last read or the last write failed because the database does not answer, is locked, full or
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
    /// If the URL is wrong; if the database cannot be reached, is locked, read-only or full; if a newer
    /// program migrated it; if its schema is incomplete; or if it is not a database. See
    /// [`ErrorKind`](crate::ErrorKind).
    pub async fn open(url: &str, options: StoreOptions) -> Result<Self> {
        let database = Database::open(url, &options)?;
        migrate::migrate(&database, options.clock.now()).await?;
        Ok(Self {
            database,
            clock: options.clock,
        })
    }

    /// Opens the database of a URL that was read before; see [`open`](Self::open).
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub async fn open_url(url: &DatabaseUrl, options: StoreOptions) -> Result<Self> {
        Self::open(url.as_str(), options).await
    }

    /// The same database as another process sees it, with faults: for tests and simulations.
    ///
    /// `faults` is asked before each operation on the database. Announcements of changes are lost,
    /// as they may be between processes.
    #[must_use]
    pub fn with_faults(&self, faults: impl Fn() -> Option<Fault> + Send + Sync + 'static) -> Self {
        let faults: Faults = Arc::new(faults);
        Self {
            database: self.database.with_faults(&faults),
            clock: self.clock.clone(),
        }
    }

    /// Closes the database after the work that waits. All later work fails, also that of clones.
    ///
    /// Without it, the connections are closed when all clones are dropped, and SQLite may leave its log
    /// (`PATH-wal`) beside the file, which the next start reads.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// The keys.
    pub fn keys(&self) -> Keys {
        Keys::new(self)
    }

    /// The users and teams.
    pub fn owners(&self) -> Owners {
        Owners::new(self)
    }

    /// Sets what was spent of a budget in the current period, such as zero for a new start. Usage
    /// records stay; calls that run or wait to be written are added when they are written.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the amount is negative or too large; [`ErrorKind::NotFound`] if
    /// nobody has the budget.
    pub async fn set_spend(&self, budget: &BudgetId, spend: Money) -> Result<()> {
        check_amount("spend", Some(spend))?;
        let update = "UPDATE gateway_budgets SET spent = ?2 WHERE id = ?1";
        let update = Statement::new(update)
            .with(budget.as_str())
            .with(spend.nanos());
        match self
            .database
            .run(Batch::write().and(update.required()))
            .await?
        {
            Outcome::Done(_) => Ok(()),
            Outcome::Refused(_) => {
                let message = format!("there is no such budget of a {}", budget.kind());
                Err(Error::new(ErrorKind::NotFound, message))
            }
        }
    }

    /// Reports on the usage that a [`Ledger`](crate::Ledger) recorded.
    pub fn reports(&self) -> Reports {
        Reports::new(self)
    }

    /// The responses that are kept for later requests. It starts a task that deletes expired ones.
    pub fn responses(&self, options: ResponseOptions) -> Responses {
        Responses::new(self, options)
    }

    /// The current time of the store's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether the database answers, as of its last read and its last write. Each change is also logged
    /// once.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.database.health()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Batch, Statement};
    use crate::{
        CacheOptions, Charge, ErrorKind, GeneratedKey, KeyCache, KeySettings, Ledger,
        LedgerOptions, Money, SpendBy, UsageFilter, UsageRecord,
    };

    async fn open() -> Store {
        let options = StoreOptions::default().with_timeout(Duration::from_secs(20));
        Store::open("sqlite::memory:", options).await.unwrap()
    }

    /// Sets a pragma of the connection.
    async fn set(store: &Store, pragma: &'static str) {
        let batch = Batch::read(Statement::new(pragma));
        store.database.run(batch).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_closed_database_is_one_file_that_nobody_writes() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", folder.path().join("keys.db").display());
            let options = StoreOptions::default().with_timeout(Duration::from_secs(20));
            let store = Store::open(&url, options).await.unwrap();
            let keys = store.keys();
            let generated = keys.generate(KeySettings::default()).await.unwrap();
            assert!(keys.get_by_id(&generated.key.id).await.unwrap().is_some());
            store.close().await;
            assert_eq!(folder.path().read_dir().unwrap().count(), 1);
            let error = keys.generate(KeySettings::default()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
    }

    #[tokio::test]
    async fn a_read_only_database_is_unavailable_until_it_can_be_written() {
        let store = open().await;
        set(&store, "PRAGMA query_only = 1").await;
        let generate = async || store.keys().generate(KeySettings::default()).await;
        let error = generate().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
        // Reading works, and does not make the database healthy.
        assert!(store.keys().get_by_id("x").await.unwrap().is_none());
        assert_eq!(*store.health().borrow(), Health::Unavailable);
        set(&store, "PRAGMA query_only = 0").await;
        generate().await.unwrap();
        assert_eq!(*store.health().borrow(), Health::Available);
    }

    #[tokio::test]
    async fn a_read_only_database_serves_known_keys_and_keeps_records_queued() {
        let store = open().await;
        let settings = KeySettings::default();
        let (known, other) = (
            store.keys().generate(settings.clone()).await.unwrap(),
            store.keys().generate(settings).await.unwrap(),
        );
        let cache = KeyCache::new(&store, CacheOptions::default())
            .await
            .unwrap();
        let ledger = Ledger::new(&store, LedgerOptions::default()).await.unwrap();
        let find = async |key: &GeneratedKey| cache.find(key.secret.expose().as_bytes()).await;
        set(&store, "PRAGMA query_only = 1").await;
        for (index, key) in [&known, &other, &known].into_iter().enumerate() {
            let access = find(key).await.unwrap().unwrap();
            let reservation = ledger.reserve(access.charge(), Money::ZERO).await;
            let record = UsageRecord::new(format!("r{index}"), Timestamp::default());
            reservation.unwrap().settle(record.with_access(&access));
        }
        let error = ledger.flush().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
        assert!(error.to_string().contains("give the gateway write access"));
        assert!(error.is_outage() && ledger.queued() == 3);
        set(&store, "PRAGMA query_only = 0").await;
        ledger.flush().await.unwrap();
        assert_eq!(ledger.queued(), 0);
        let filter = UsageFilter::default();
        let records = store.reports().records(&filter, None, 100).await.unwrap();
        assert_eq!(records.len(), 3);
    }

    #[tokio::test]
    async fn a_full_database_keeps_records_queued_until_there_is_room() {
        let store = open().await;
        let ledger = Ledger::new(&store, LedgerOptions::default()).await.unwrap();
        // As small as it is now.
        set(&store, "PRAGMA max_page_count = 1").await;
        for index in 0..2000 {
            let reservation = ledger
                .reserve(Charge::default(), Money::ZERO)
                .await
                .unwrap();
            let record = UsageRecord::new(format!("r{index}"), Timestamp::default());
            reservation.settle(record.with_cost(Money::from_nanos(1)));
        }
        let error = ledger.flush().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full, "{error}");
        assert!(error.is_outage() && ledger.queued() > 0);
        set(&store, "PRAGMA max_page_count = 1000000").await;
        ledger.flush().await.unwrap();
        let by = [SpendBy::Provider];
        let rows = store
            .reports()
            .spend(&by, &UsageFilter::default())
            .await
            .unwrap();
        assert_eq!((rows[0].requests, rows[0].cost.nanos()), (2000, 2000));
    }

    #[tokio::test]
    async fn a_record_that_the_database_rejects_does_not_hold_up_others() {
        let store = open().await;
        let trigger = "CREATE TRIGGER reject BEFORE INSERT ON gateway_usage \
                       WHEN NEW.request_id = 'r7' BEGIN SELECT RAISE(FAIL, 'rejected'); END";
        let batch = Batch::write().and(Statement::new(trigger));
        store.database.run(batch).await.unwrap();
        let ledger = Ledger::new(&store, LedgerOptions::default()).await.unwrap();
        for index in 0..20 {
            let reservation = ledger
                .reserve(Charge::default(), Money::ZERO)
                .await
                .unwrap();
            reservation.settle(UsageRecord::new(format!("r{index}"), Timestamp::default()));
        }
        ledger.flush().await.unwrap();
        let filter = UsageFilter::default();
        let records = store.reports().records(&filter, None, 100).await.unwrap();
        assert_eq!(records.len(), 19);
    }
}
