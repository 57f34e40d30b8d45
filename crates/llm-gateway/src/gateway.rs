use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use llm_provider::ApiKey;
use llm_router::Router;

use crate::{Config, GatewayService};

/// An OpenAI-compatible server, ready to be embedded or to serve on its own.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
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
    /// How long requests may still run when the server is to stop; 10 s at first.
    pub grace: Duration,
    /// Tell in a header of every answer that the upstreams are simulated.
    pub simulated: bool,
}

impl Gateway {
    /// A gateway that serves what `config` says.
    pub fn new(config: Config, options: GatewayOptions) -> Self {
        let mut router = Router::new(config.deployments);
        if let Some(retries) = config.retries {
            router = router.with_retries(retries);
        }
        let created = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| age.as_secs());
        let shared = Shared {
            router,
            master_key: config.master_key,
            drop_params: config.drop_params,
            options,
            created,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The names that clients can ask for, in alphabetical order.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.shared.router.groups()
    }

    /// The gateway as a service, for a program that has a server of its own.
    pub fn into_service(self) -> GatewayService {
        GatewayService(self.shared)
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
