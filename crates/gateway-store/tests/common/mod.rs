//! Databases for tests, and what tests of all databases share.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    reason = "helpers of tests"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gateway_store::{
    Access, CacheOptions, Clock, KeyCache, KeySettings, Ledger, LedgerOptions, Money, OwnerKind,
    OwnerSettings, Store, StoreOptions, Timestamp, UsageRecord,
};
use tempfile::TempDir;

/// Where the PostgreSQL server for tests is: a URL without a database.
pub(crate) const POSTGRES: &str = "GATEWAY_STORE_POSTGRES";

/// Runs async functions that take a [`Place`] as tests, on SQLite and on PostgreSQL.
#[macro_export]
macro_rules! on_every_database {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let place = super::common::Place::sqlite();
                super::$name(&place).await;
            })*
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test]
            #[ignore = "needs a PostgreSQL server: cargo xtask ci --only services"]
            async fn $name() {
                let place = super::common::Place::postgres().await;
                super::$name(&place).await;
                place.remove().await;
            })*
        }
    };
}

/// An empty database of its own.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) url: String,
    folder: Option<TempDir>,
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        Self {
            url: format!("sqlite:{}", path.display()),
            folder: Some(folder),
        }
    }

    pub(crate) async fn open(&self) -> Store {
        self.open_at(&TestClock::default()).await
    }

    pub(crate) async fn open_at(&self, clock: &TestClock) -> Store {
        Store::open(&self.url, options(clock)).await.unwrap()
    }
}

#[cfg(feature = "postgres")]
impl Place {
    /// A schema of its own.
    pub(crate) async fn postgres() -> Self {
        static COUNT: AtomicI64 = AtomicI64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let schema = format!("gateway_store_{}_{count}", std::process::id());
        execute(&format!("CREATE SCHEMA {schema}")).await;
        Self::of_server(&server(), &schema)
    }

    /// The schema at another address, such as that of a proxy.
    pub(crate) fn of_server(server: &str, schema: &str) -> Self {
        let url = format!("{server}/postgres?options=-csearch_path%3D{schema}");
        Self { url, folder: None }
    }

    pub(crate) fn schema(&self) -> &str {
        self.url.rsplit("%3D").next().unwrap()
    }

    /// Tasks of stores that were not closed may hold locks for a moment.
    pub(crate) async fn remove(self) {
        let drop = format!("DROP SCHEMA {} CASCADE", self.schema());
        for _ in 0..100 {
            if try_execute(&drop).await.is_ok() {
                return;
            }
        }
    }
}

#[cfg(feature = "postgres")]
pub(crate) fn server() -> String {
    let url = std::env::var(POSTGRES).unwrap_or_else(|_| panic!("set {POSTGRES} to its URL"));
    url.trim_end_matches('/').to_owned()
}

#[cfg(feature = "postgres")]
pub(crate) async fn execute(sql: &str) {
    try_execute(sql).await.unwrap();
}

#[cfg(feature = "postgres")]
async fn try_execute(sql: &str) -> Result<(), tokio_postgres::Error> {
    let url = format!("{}/postgres", server());
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    let done = client.batch_execute(sql).await;
    connection.abort();
    done
}

/// A clock that the test advances.
#[derive(Clone, Debug)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl Default for TestClock {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(1_763_000_000_000)))
    }
}

impl TestClock {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    pub(crate) fn advance(&self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

/// Patient enough for a slow machine.
pub(crate) fn options(clock: &TestClock) -> StoreOptions {
    let clock = clock.clone();
    StoreOptions::default()
        .with_timeout(Duration::from_secs(20))
        .with_clock(Clock::new(move || clock.now()))
}

/// A cache that reads changes only on `refresh`, or when they are announced.
pub(crate) async fn cache(store: &Store) -> KeyCache {
    let options = CacheOptions::default().with_poll_interval(Duration::from_secs(3600));
    KeyCache::new(store, options).await.unwrap()
}

pub(crate) async fn ledger(store: &Store) -> Ledger {
    Ledger::new(store, LedgerOptions::default()).await.unwrap()
}

pub(crate) fn dollars(text: &str) -> Money {
    text.parse().unwrap()
}

pub(crate) fn settings(change: impl FnOnce(&mut KeySettings)) -> KeySettings {
    let mut settings = KeySettings::default();
    change(&mut settings);
    settings
}

/// A key with a budget.
pub(crate) async fn key_with_budget(store: &Store, budget: &str) -> Access {
    let settings = settings(|s| s.limits.max_budget = Some(dollars(budget)));
    access(store, settings).await
}

pub(crate) async fn access(store: &Store, settings: KeySettings) -> Access {
    let generated = store.keys().generate(settings).await.unwrap();
    let found = cache(store).await;
    let found = found.find(generated.secret.expose().as_bytes()).await;
    Access::clone(&found.unwrap().unwrap())
}

pub(crate) async fn team(store: &Store, id: &str, change: impl FnOnce(&mut OwnerSettings)) {
    let mut settings = OwnerSettings::default();
    change(&mut settings);
    let owners = store.owners();
    owners.put(OwnerKind::Team, id, settings).await.unwrap();
}

/// A record of a call with a key.
pub(crate) fn record(access: &Access, request_id: impl Into<String>, cost: &str) -> UsageRecord {
    UsageRecord::new(request_id, Timestamp::from_millis(1_763_000_000_000))
        .with_access(access)
        .with_cost(dollars(cost))
}

/// What the budget of the key has spent.
pub(crate) async fn spend(store: &Store, access: &Access) -> Money {
    let info = store.keys().get_by_id(&access.key.id).await.unwrap();
    info.unwrap().spend
}

/// Waits until a condition holds; fails after a minute.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    for _ in 0..6000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
