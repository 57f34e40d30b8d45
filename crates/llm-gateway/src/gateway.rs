use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use llm_provider::{ApiKey, Capabilities};
use llm_router::{Deployment, Router};

use crate::activity::Activity;
use crate::config::{ModelInfo, access_groups};
use crate::learned::Learned;
use crate::metrics::Metrics;
use crate::spend::PriceBook;
use crate::ui::Sessions;
use crate::{Config, GatewayService, StoredResponses, Tls, Tokenizers, VirtualKeys};

/// An OpenAI-compatible server. It serves alone ([`serve`](Self::serve)) or as a service in another
/// program's server ([`into_service`](Self::into_service)).
///
/// Clones share one state.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub(crate) state: Arc<State>,
}

/// The current configuration.
#[derive(Debug)]
pub(crate) struct State(RwLock<Arc<Shared>>);

impl State {
    /// The configuration that a request uses from its start to its end.
    pub(crate) fn current(&self) -> Arc<Shared> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the configuration and returns the previous one.
    fn replace(&self, next: Shared) -> Arc<Shared> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, Arc::new(next))
    }
}

/// The configuration and state that all requests share.
pub(crate) struct Shared {
    pub(crate) router: Router,
    pub(crate) deployments: Vec<Deployment>,
    /// What is known of deployments besides, by their ids.
    pub(crate) model_info: BTreeMap<String, ModelInfo>,
    /// The access groups of each model group.
    pub(crate) access_groups: Arc<BTreeMap<String, Vec<String>>>,
    /// The APIs that upstreams have themselves.
    pub(crate) native: Capabilities,
    /// Whether a deployment takes files.
    pub(crate) has_files: bool,
    pub(crate) prices: Arc<PriceBook>,
    pub(crate) master_key: Option<ApiKey>,
    pub(crate) tokenizers: Tokenizers,
    pub(crate) drop_params: bool,
    /// Whether the tags of a request choose its deployments.
    pub(crate) reads_tags: bool,
    pub(crate) options: GatewayOptions,
    /// The size limit of a body if the configuration has none.
    default_body_limit: usize,
    pub(crate) metrics: Arc<Metrics>,
    /// What replies showed about the models; a reload keeps it.
    pub(crate) learned: Arc<Learned>,
    /// What the dashboard shows of calls; a reload keeps it.
    pub(crate) activity: Arc<Activity>,
    /// Who is logged in to the dashboard; a reload keeps it.
    pub(crate) sessions: Arc<Sessions>,
    /// The parts of the configuration without effect.
    pub(crate) warnings: Vec<String>,
    /// When the gateway was created, in seconds of Unix time; also the time of all listed models.
    pub(crate) created: u64,
}

/// The options of a gateway that are not in its configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GatewayOptions {
    /// The size limit of a request body in bytes; 10 MiB by default.
    pub body_limit: usize,
    /// How long a client may take to send the head of a request, and how long a connection may be
    /// idle; 75 s by default. [`Gateway::serve`] applies it.
    pub header_timeout: Duration,
    /// How long a client may pause while it sends a body; 30 s by default. After that time, a body
    /// also has to arrive with at least 1 KiB per second.
    pub body_idle: Duration,
    /// How long a stream may be silent before a comment is sent; 15 s by default.
    pub keep_alive: Duration,
    /// How long a write to a client may make no progress before the connection is closed and its
    /// upstream call cancelled; 60 s by default.
    ///
    /// [`Gateway::serve`] applies it. A program that serves [`GatewayService`] has to limit the
    /// writes of its server.
    pub write_timeout: Duration,
    /// How long requests may run after a shutdown began; 10 s by default.
    pub grace: Duration,
    /// The most connections at the same time; 10,000 by default. Further ones wait to be accepted.
    pub max_connections: usize,
    /// The most requests at the same time, over all connections; 10,000 by default. Further ones
    /// are rejected with 503.
    pub max_requests: usize,
    /// TLS of [`Gateway::serve`]; none by default.
    pub tls: Option<Tls>,
    /// Whether a header of each response says that the upstreams are simulated; false by default.
    pub simulated: bool,
    /// Keys of clients besides the master key; none by default. Without a master key, all clients
    /// are accepted, and keys cannot be managed.
    pub virtual_keys: Option<VirtualKeys>,
    /// Responses of the Responses API that are kept for later requests; none by default.
    pub stored_responses: Option<StoredResponses>,
    /// Whether the dashboard is served at `/ui`; true by default.
    pub dashboard: bool,
    /// Whether the prompts of calls are logged, at level info with the target
    /// `llm_gateway::prompts`; false by default.
    pub log_prompts: bool,
}

impl Gateway {
    /// Creates a gateway from its configuration.
    pub fn new(config: Config, options: GatewayOptions) -> Self {
        let created = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| age.as_secs());
        let shared = Arc::new(Shared::new(config, options, Metrics::new(), created));
        Self {
            state: Arc::new(State(RwLock::new(shared))),
        }
    }

    /// Replaces the configuration.
    ///
    /// New requests use `config`; running requests end with the previous configuration. The options
    /// stay, and so does what is known of deployments that did not change: their health, latencies,
    /// limits and sessions.
    pub fn reload(&self, config: Config) {
        let current = self.state.current();
        let config = Config {
            router: config.router.with_state_of(current.router.clone()),
            ..config
        };
        let metrics = Arc::clone(&current.metrics);
        let options = current.options.clone();
        let options = options.with_body_limit(current.default_body_limit);
        let mut next = Shared::new(config, options, metrics, current.created);
        next.learned = Arc::clone(&current.learned);
        next.activity = Arc::clone(&current.activity);
        next.sessions = Arc::clone(&current.sessions);
        // The last user of the old configuration drops it, never inside the lock.
        drop(self.state.replace(next));
    }

    /// The model names that clients can use, in alphabetical order.
    pub fn models(&self) -> Vec<String> {
        let shared = self.state.current();
        shared.router.groups().map(str::to_owned).collect()
    }

    /// Converts the gateway to a service for the server of another program.
    pub fn into_service(self) -> GatewayService {
        GatewayService(self.state)
    }
}

impl Shared {
    fn new(
        mut config: Config,
        mut options: GatewayOptions,
        metrics: Arc<Metrics>,
        created: u64,
    ) -> Self {
        let default_body_limit = options.body_limit;
        options.body_limit = config.body_limit.unwrap_or(default_body_limit);
        let observer = metrics.observer(&config.deployments);
        config.router = config.router.with_observer(observer);
        let router = config.build_router();
        Self {
            native: config
                .deployments
                .iter()
                .map(|deployment| deployment.provider.capabilities())
                .fold(Capabilities::default(), Capabilities::or),
            has_files: config
                .deployments
                .iter()
                .any(|deployment| deployment.takes_files),
            prices: Arc::new(PriceBook::new(&config.deployments, router.clone())),
            router,
            access_groups: Arc::new(access_groups(config.deployments.iter().filter_map(
                |deployment| {
                    let info = config.model_info.get(&deployment.id)?;
                    Some((deployment.group.as_str(), info))
                },
            ))),
            model_info: config.model_info,
            deployments: config.deployments,
            master_key: config.master_key,
            tokenizers: config.tokenizers,
            drop_params: config.drop_params,
            reads_tags: config.reads_tags,
            default_body_limit,
            options,
            metrics,
            learned: Arc::default(),
            activity: Arc::default(),
            sessions: Arc::default(),
            warnings: config.warnings.iter().map(ToString::to_string).collect(),
            created,
        }
    }
}

impl GatewayOptions {
    /// The default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the size limit of a request body, in bytes.
    #[must_use]
    pub fn with_body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Sets how long a client may take to send the head of a request, and how long a connection may be
    /// idle.
    #[must_use]
    pub fn with_header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout;
        self
    }

    /// Sets how long a client may pause while it sends a body.
    #[must_use]
    pub fn with_body_idle(mut self, idle: Duration) -> Self {
        self.body_idle = idle;
        self
    }

    /// Sets how long a stream may be silent before a comment is sent.
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

    /// Sets how long requests may run after a shutdown began.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets the most connections at the same time.
    #[must_use]
    pub fn with_max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sets the most requests at the same time.
    #[must_use]
    pub fn with_max_requests(mut self, requests: usize) -> Self {
        self.max_requests = requests;
        self
    }

    /// Sets TLS of [`Gateway::serve`].
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets whether responses say that the upstreams are simulated.
    #[must_use]
    pub fn with_simulated(mut self, simulated: bool) -> Self {
        self.simulated = simulated;
        self
    }

    /// Sets the keys of clients besides the master key.
    #[must_use]
    pub fn with_virtual_keys(mut self, keys: VirtualKeys) -> Self {
        self.virtual_keys = Some(keys);
        self
    }

    /// Keeps responses of the Responses API for later requests.
    #[must_use]
    pub fn with_stored_responses(mut self, stored: StoredResponses) -> Self {
        self.stored_responses = Some(stored);
        self
    }

    /// Sets whether the dashboard is served.
    #[must_use]
    pub fn with_dashboard(mut self, dashboard: bool) -> Self {
        self.dashboard = dashboard;
        self
    }

    /// Sets whether the prompts of calls are logged.
    #[must_use]
    pub fn with_log_prompts(mut self, log_prompts: bool) -> Self {
        self.log_prompts = log_prompts;
        self
    }
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            body_limit: 10 * 1024 * 1024,
            header_timeout: Duration::from_secs(75),
            body_idle: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
            write_timeout: Duration::from_secs(60),
            grace: Duration::from_secs(10),
            max_connections: 10_000,
            max_requests: 10_000,
            tls: None,
            simulated: false,
            virtual_keys: None,
            stored_responses: None,
            dashboard: true,
            log_prompts: false,
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
