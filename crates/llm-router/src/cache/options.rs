use std::time::Duration;

use llm_provider::Capabilities;

/// Which replies are cached, in memory, and for how long.
///
/// Two calls are the same if they have the same model group, endpoint, namespace and parameters,
/// byte for byte in each value; the order of the parameters does not matter. `user`, `metadata`,
/// `prompt_cache_key` and `safety_identifier` are not compared. A streamed reply and one in one piece are separate
/// entries; a stream is replayed chunk by chunk, without its pauses. Only complete replies are kept.
/// While a call for a reply in one piece runs, others that are the same wait for its reply.
///
/// A call for the embeddings of several inputs has an entry for each of them: only the inputs that are
/// not in memory are sent, and the usage of the reply is that of what was sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CacheOptions {
    /// The maximum size of all replies in bytes; 64 MiB by default. The least used replies are
    /// removed first. One reply may take a sixteenth of it.
    pub capacity: u64,
    /// How long a reply is kept; 10 minutes by default.
    pub time_to_live: Duration,
    /// The endpoints whose replies are cached; all by default.
    pub endpoints: Capabilities,
    /// Whether calls that do not ask for the cache use it; `true` by default.
    pub is_default: bool,
    /// The namespace of calls that do not name one.
    pub namespace: Option<String>,
    /// Whether replies are also kept in the router's shared state, for other routers; `false` by
    /// default.
    pub is_shared: bool,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            capacity: 64 << 20,
            time_to_live: Duration::from_secs(600),
            endpoints: Capabilities::ALL,
            is_default: true,
            namespace: None,
            is_shared: false,
        }
    }
}

impl CacheOptions {
    /// Sets the maximum size of all replies in bytes.
    #[must_use]
    pub fn with_capacity(mut self, bytes: u64) -> Self {
        self.capacity = bytes;
        self
    }

    /// Sets how long a reply is kept.
    #[must_use]
    pub fn with_time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = time;
        self
    }

    /// Sets the endpoints whose replies are cached.
    #[must_use]
    pub fn with_endpoints(mut self, endpoints: Capabilities) -> Self {
        self.endpoints = endpoints;
        self
    }

    /// Sets whether calls that do not ask for the cache use it.
    #[must_use]
    pub fn with_default(mut self, is_default: bool) -> Self {
        self.is_default = is_default;
        self
    }

    /// Sets whether replies are also kept in the router's shared state.
    #[must_use]
    pub fn with_shared(mut self, is_shared: bool) -> Self {
        self.is_shared = is_shared;
        self
    }

    /// Sets the namespace of calls that name none.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<Option<String>>) -> Self {
        self.namespace = namespace.into();
        self
    }
}

/// How one call uses the cache, as in LiteLLM's member `cache` of requests.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct CacheControl {
    /// Whether the call uses the cache; by default, [`CacheOptions::is_default`] says it.
    pub is_used: Option<bool>,
    /// No cached reply is used, but the new one is kept.
    pub no_cache: bool,
    /// The reply is not kept.
    pub no_store: bool,
    /// How long the reply is kept.
    pub time_to_live: Option<Duration>,
    /// The maximum age of a cached reply.
    pub max_age: Option<Duration>,
    /// Replies of other namespaces are not used.
    pub namespace: Option<String>,
}

impl CacheControl {
    /// Sets whether the call uses the cache.
    #[must_use]
    pub fn with_used(mut self, is_used: impl Into<Option<bool>>) -> Self {
        self.is_used = is_used.into();
        self
    }

    /// Sets whether cached replies are ignored.
    #[must_use]
    pub fn with_no_cache(mut self, no_cache: bool) -> Self {
        self.no_cache = no_cache;
        self
    }

    /// Sets whether the reply is not kept.
    #[must_use]
    pub fn with_no_store(mut self, no_store: bool) -> Self {
        self.no_store = no_store;
        self
    }

    /// Sets how long the reply is kept.
    #[must_use]
    pub fn with_time_to_live(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.time_to_live = time.into();
        self
    }

    /// Sets the maximum age of a cached reply.
    #[must_use]
    pub fn with_max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.max_age = age.into();
        self
    }

    /// Sets the namespace.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<Option<String>>) -> Self {
        self.namespace = namespace.into();
        self
    }
}
