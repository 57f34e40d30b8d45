use std::sync::Arc;

use gateway_store::{
    Access, CacheOptions, DatabaseUrl, KeyCache, Ledger, LedgerOptions, Result, Store,
    StoreOptions, Timestamp,
};

use crate::spend::Limits;

/// The virtual keys of a gateway, and the ledger of what requests cost.
///
/// Virtual keys are keys of clients, which the operator generates, limits and revokes while the
/// gateway runs. The routes below `/key`, `/user` and `/team` manage them, and those below `/spend`
/// report what requests cost. They need the master key.
#[derive(Clone, Debug)]
pub struct VirtualKeys {
    store: Store,
    cache: KeyCache,
    ledger: Ledger,
    limits: Arc<Limits>,
}

impl VirtualKeys {
    /// The keys of a database; see [`Store::open`].
    ///
    /// # Errors
    /// Those of the database.
    pub async fn open(url: &DatabaseUrl) -> Result<Self> {
        Self::new(Store::open_url(url, StoreOptions::default()).await?).await
    }

    /// The keys of a store. Changes by other gateways take effect within a few seconds.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn new(store: Store) -> Result<Self> {
        let cache = KeyCache::new(&store, CacheOptions::default()).await?;
        let ledger = Ledger::new(&store, LedgerOptions::default()).await?;
        Ok(Self {
            store,
            cache,
            ledger,
            limits: Arc::default(),
        })
    }

    /// Writes all usage records of finished requests. [`Gateway::serve`](crate::Gateway::serve)
    /// calls it at its end; a program with a server of its own has to call it. The store stays open:
    /// its owner may close it ([`Store::close`]).
    ///
    /// # Errors
    /// Those of the database.
    pub async fn close(&self) -> Result<()> {
        self.ledger.close().await
    }

    /// The store of the keys.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The current time of the store.
    pub(crate) fn now(&self) -> Timestamp {
        self.store.now()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) async fn find(&self, secret: &[u8]) -> Result<Option<Arc<Access>>> {
        self.cache.find(secret).await
    }

    /// Writes what ended before, so that a report has it. During an outage, a report has what the
    /// database has.
    pub(crate) async fn write_records(&self) -> Result<()> {
        match self.ledger.flush().await {
            Err(error) if !error.is_outage() => Err(error),
            _ => Ok(()),
        }
    }

    /// Applies changes of this process at once.
    pub(crate) async fn refresh(&self) -> Result<()> {
        self.ledger.renew();
        self.cache.refresh().await
    }
}
