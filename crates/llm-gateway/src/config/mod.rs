//! LiteLLM's `config.yaml`, read strictly: whatever is wrong with it is told at once, with its
//! place and how to mend it.

mod keys;
mod model;
mod params;
mod problem;
mod reader;
mod yaml;

use std::fmt;
use std::path::Path;

use llm_provider::{ApiKey, Registry};
use llm_router::Deployment;

use self::model::Defaults;
pub use self::problem::{ConfigError, Position, Problem, Severity};
use self::reader::{Reader, Section, did_you_mean};
use self::yaml::{Entry, Node, Yaml};

/// Looks an environment variable up.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a gateway serves and to whom.
///
/// ```
/// use llm_gateway::Config;
/// use llm_provider::Registry;
///
/// let registry = Registry::new(); // with the providers of your choice
/// let text = "
/// model_list:
///   - model_name: llama-3
///     litellm_params:
///       model: nobody/meta/meta-llama-3-8b-instruct
///       api_key: os.environ/NOBODYS_KEY
/// ";
/// let error = Config::parse(text, &registry, &|_| None).unwrap_err();
/// assert_eq!(error.problems().len(), 2); // no such variable, no such provider
/// ```
#[non_exhaustive]
pub struct Config {
    /// The upstreams, by the names that clients ask for.
    pub deployments: Vec<Deployment>,
    /// The key that every client has to send; without it the gateway is open.
    pub master_key: Option<ApiKey>,
    /// Leave out what a provider cannot honour, instead of refusing the request.
    pub drop_params: bool,
    /// How many other deployments are tried after one has failed; the router decides if unset.
    pub retries: Option<usize>,
    /// What the file says that is not done, or that looks like a slip.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// A gateway over `deployments`, open to everybody.
    pub fn new(deployments: Vec<Deployment>) -> Self {
        Self {
            deployments,
            master_key: None,
            drop_params: false,
            retries: None,
            warnings: Vec::new(),
        }
    }

    /// Asks every client for `key`.
    #[must_use]
    pub fn with_master_key(mut self, key: ApiKey) -> Self {
        self.master_key = Some(key);
        self
    }

    /// Sets whether parameters that a provider cannot honour are left out.
    #[must_use]
    pub fn with_drop_params(mut self, drop_params: bool) -> Self {
        self.drop_params = drop_params;
        self
    }

    /// Sets how many other deployments are tried after one has failed.
    #[must_use]
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Reads a file, with the variables of this process.
    ///
    /// # Errors
    /// Every mistake in the file, and that it cannot be read.
    pub fn load(path: &Path, registry: &Registry) -> Result<Self, ConfigError> {
        let bytes = std::fs::read(path).map_err(|error| ConfigError::unreadable(path, error))?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let at = Position::of(&bytes, error.valid_up_to());
            let problem = Problem::mistake(at, "the file is not UTF-8 text");
            ConfigError::new(vec![problem]).in_file(path)
        })?;
        Self::parse(text, registry, &|name| std::env::var(name).ok())
            .map_err(|error| error.in_file(path))
    }

    /// Reads a text; `environment` gives the value of `os.environ/NAME`.
    ///
    /// The providers of the models are built here, so that what they have against their settings
    /// is told with all the rest.
    ///
    /// # Errors
    /// Every mistake in the text.
    pub fn parse(
        text: &str,
        registry: &Registry,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let root = yaml::parse(text).map_err(|problem| ConfigError::new(vec![problem]))?;
        let mut reader = Reader::new(environment);
        let mut config = Self::read(&mut reader, root, registry);
        config.warnings = ConfigError::new(reader.problems).into_warnings()?;
        Ok(config)
    }

    fn read(reader: &mut Reader<'_>, root: Node, registry: &Registry) -> Self {
        let mut config = Self::new(Vec::new());
        if matches!(root.value, Yaml::Null) {
            reader.mend(root.at, "the file is empty", MODEL_LIST_HELP);
            return config;
        }
        let Some(mut top) = reader.section("the file", root) else {
            return config;
        };
        if let Some(section) = reader.take_section(&mut top, "environment_variables") {
            reader.set_variables(section);
        }
        if let Some(section) = reader.take_section(&mut top, "general_settings") {
            config.read_general(reader, section);
        }
        let mut defaults = Defaults::default();
        // In this order, since router_settings wins over litellm_settings.
        if let Some(section) = reader.take_section(&mut top, "litellm_settings") {
            config.read_litellm(reader, section, &mut defaults);
        }
        if let Some(section) = reader.take_section(&mut top, "router_settings") {
            config.read_router(reader, section, &mut defaults);
        }
        match top.take("model_list") {
            Some(Entry { key, at, value }) => match reader.list(&key, value) {
                Some(items) if items.is_empty() => {
                    reader.mend(at, "`model_list` has no models", MODEL_LIST_HELP);
                }
                Some(items) => {
                    config.deployments = model::deployments(reader, items, registry, defaults);
                }
                None => {}
            },
            None => reader.mend(top.at, "there is no `model_list`", MODEL_LIST_HELP),
        }
        reader.unknown(top, keys::TOP, keys::TOP_LATER);
        config
    }

    fn read_general(&mut self, reader: &mut Reader<'_>, mut section: Section) {
        if let Some((key, at)) = reader.take_text(&mut section, "master_key") {
            let key = ApiKey::new(key);
            if key.is_empty() {
                let help = "remove the line to let everybody in, or give a key";
                reader.mend(at, "`master_key` is empty", help);
            }
            self.master_key = Some(key);
        }
        reader.unknown(section, keys::GENERAL, keys::GENERAL_LATER);
    }

    fn read_litellm(
        &mut self,
        reader: &mut Reader<'_>,
        mut section: Section,
        defaults: &mut Defaults,
    ) {
        self.drop_params = reader
            .take_bool(&mut section, "drop_params")
            .unwrap_or_default();
        self.retries = reader.take_count(&mut section, "num_retries");
        defaults.timeout = reader.take_seconds(&mut section, "request_timeout");
        reader.unknown(section, keys::LITELLM, keys::LITELLM_LATER);
    }

    fn read_router(
        &mut self,
        reader: &mut Reader<'_>,
        mut section: Section,
        defaults: &mut Defaults,
    ) {
        self.retries = reader
            .take_count(&mut section, "num_retries")
            .or(self.retries);
        defaults.timeout = reader
            .take_seconds(&mut section, "timeout")
            .or(defaults.timeout);
        defaults.stream_timeout = reader.take_seconds(&mut section, "stream_timeout");
        if let Some((strategy, at)) = reader.take_text(&mut section, "routing_strategy") {
            check_strategy(reader, &strategy, at);
        }
        reader.unknown(section, keys::ROUTER, keys::ROUTER_LATER);
    }
}

fn check_strategy(reader: &mut Reader<'_>, strategy: &str, at: Position) {
    if STRATEGIES_LATER.contains(&strategy) {
        let message =
            format!("the strategy `{strategy}` is not supported yet; `{STRATEGY}` is used");
        reader.warn(at, message, None);
    } else if strategy != STRATEGY {
        let help = did_you_mean(strategy, STRATEGIES_LATER.iter().copied().chain([STRATEGY]))
            .unwrap_or_else(|| format!("the strategy to choose is `{STRATEGY}`"));
        reader.mend(at, format!("there is no strategy `{strategy}`"), &help);
    }
}

/// Shows no key and no default parameter, which may hold a prompt.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deployments: Vec<(&str, &str)> = self
            .deployments
            .iter()
            .map(|deployment| (deployment.group.as_str(), deployment.id.as_str()))
            .collect();
        f.debug_struct("Config")
            .field("deployments", &deployments)
            .field("master_key", &self.master_key)
            .field("drop_params", &self.drop_params)
            .field("retries", &self.retries)
            .field("warnings", &self.warnings)
            .finish()
    }
}

const STRATEGY: &str = "simple-shuffle";
const STRATEGIES_LATER: &[&str] = &[
    "cost-based-routing",
    "latency-based-routing",
    "least-busy",
    "provider-budget-routing",
    "usage-based-routing",
    "usage-based-routing-v2",
];
const MODEL_LIST_HELP: &str = "give at least one model: \
    model_list: [{model_name: llama-3, litellm_params: {model: PROVIDER/MODEL}}]";
