use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use llm_provider::ApiKey;
use llm_router::Router;

use crate::{Config, GatewayService};

/// An OpenAI-compatible server, ready to be embedded or to serve on its own.
///
/// Clones are the same gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub(crate) state: Arc<State>,
}

/// The configuration in force.
#[derive(Debug)]
pub(crate) struct State(RwLock<Arc<Shared>>);

impl State {
    /// What a request uses from its beginning to its end.
    pub(crate) fn current(&self) -> Arc<Shared> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the configuration, and gives back the one before.
    fn replace(&self, next: Shared) -> Arc<Shared> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, Arc::new(next))
    }
}

/// What all requests see.
pub(crate) struct Shared {
    pub(crate) router: Router,
    pub(crate) master_key: Option<ApiKey>,
    pub(crate) drop_params: bool,
    pub(crate) options: GatewayOptions,
    /// When it was made, in seconds of Unix time: the age of all models that it lists.
    pub(crate) created: u64,
}

/// How a gateway behaves, beside what its configuration says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GatewayOptions {
    /// The longest request body that is read, in bytes; 10 MiB at first.
    pub body_limit: usize,
    /// How long a client may be silent in the middle of its request's body; 30 s at first.
    pub body_idle: Duration,
    /// The longest silence in a stream before a comment breaks it; 15 s at first.
    pub keep_alive: Duration,
    /// How long a write to a client may make no progress, because the client does not read,
    /// before its connection is closed and its upstream call cancelled; 60 s by default.
    ///
    /// [`Gateway::serve`] applies it. A program that serves [`GatewayService`] has to limit the
    /// writes of its own server.
    pub write_timeout: Duration,
    /// How long requests may still run when the server is to stop; 10 s at first.
    pub grace: Duration,
    /// Tell in a header of every answer that the upstreams are simulated.
    pub simulated: bool,
}

impl Gateway {
    /// A gateway that serves what `config` says.
    pub fn new(config: Config, options: GatewayOptions) -> Self {
        let created = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| age.as_secs());
        let shared = Arc::new(Shared::new(config, options, created));
        Self {
            state: Arc::new(State(RwLock::new(shared))),
        }
    }

    /// Replaces the configuration.
    ///
    /// Requests that begin from now on use `config`; those under way end with the configuration
    /// that they began with. The options stay.
    pub fn reload(&self, config: Config) {
        let current = self.state.current();
        let next = Shared::new(config, current.options.clone(), current.created);
        // The last one to use the old configuration drops it: never inside the lock.
        drop(self.state.replace(next));
    }

    /// The names that clients can ask for, in alphabetical order.
    pub fn models(&self) -> Vec<String> {
        let shared = self.state.current();
        shared.router.groups().map(str::to_owned).collect()
    }

    /// The gateway as a service, for a program that has a server of its own.
    pub fn into_service(self) -> GatewayService {
        GatewayService(self.state)
    }
}

impl Shared {
    fn new(config: Config, options: GatewayOptions, created: u64) -> Self {
        let mut router = Router::new(config.deployments);
        if let Some(retries) = config.retries {
            router = router.with_retries(retries);
        }
        Self {
            router,
            master_key: config.master_key,
            drop_params: config.drop_params,
            options,
            created,
        }
    }
}

impl GatewayOptions {
    /// The options that suit most.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the longest request body.
    #[must_use]
    pub fn with_body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Sets how long a client may be silent in the middle of a body.
    #[must_use]
    pub fn with_body_idle(mut self, idle: Duration) -> Self {
        self.body_idle = idle;
        self
    }

    /// Sets the longest silence in a stream.
    #[must_use]
    pub fn with_keep_alive(mut self, keep_alive: Duration) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// Sets how long a write to a client may make no progress.
    #[must_use]
    pub fn with_write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// Sets how long requests may still run when the server is to stop.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets whether answers say that the upstreams are simulated.
    #[must_use]
    pub fn with_simulated(mut self, simulated: bool) -> Self {
        self.simulated = simulated;
        self
    }
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            body_limit: 10 * 1024 * 1024,
            body_idle: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
            write_timeout: Duration::from_secs(60),
            grace: Duration::from_secs(10),
            simulated: false,
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("models", &self.router.groups().collect::<Vec<_>>())
            .field("master_key", &self.master_key)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
