use std::sync::Arc;
use std::time::SystemTime;

use gateway_store::{Access, CacheOptions, KeyCache, Result, Store, Timestamp};

/// The virtual keys of a gateway: keys of clients, which the operator generates, limits and
/// revokes while the gateway runs.
///
/// The routes below `/key` manage them. They need the master key.
#[derive(Clone, Debug)]
pub struct VirtualKeys {
    store: Store,
    cache: KeyCache,
}

impl VirtualKeys {
    /// The keys of a store. Changes by other gateways take effect within a few seconds.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn new(store: Store) -> Result<Self> {
        let cache = KeyCache::new(&store, CacheOptions::default()).await?;
        Ok(Self { store, cache })
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) async fn find(&self, secret: &[u8]) -> Result<Option<Arc<Access>>> {
        self.cache.find(secret).await
    }

    /// Applies changes of this process at once.
    pub(crate) async fn refresh(&self) -> Result<()> {
        self.cache.refresh().await
    }
}

pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}
