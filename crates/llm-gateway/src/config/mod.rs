//! LiteLLM's `config.yaml`. All errors are reported in one run, with line, column and a suggested
//! fix.

mod access;
mod cache;
mod database;
mod declarations;
mod every;
mod groups;
mod info;
mod keys;
mod limits;
mod model;
mod names;
mod param_keys;
mod params;
mod places;
mod problem;
mod reader;
mod redis;
mod routing;
mod schema;
mod tls;
mod value;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use gateway_store::DatabaseUrl;
use llm_provider::{ApiKey, Registry};
use llm_router::{Deployment, Router, RouterBuilder};

use self::declarations::Declarations;
pub use self::info::ModelInfo;
pub(crate) use self::info::access_groups;
use self::model::Defaults;
pub use self::problem::{ConfigError, Position, Problem, Severity};
use self::reader::{Reader, Section};
use self::routing::Routing;
use self::yaml::{Node, Yaml};
use crate::{TlsFiles, Tokenizers};

/// Returns the value of an environment variable.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The configuration of a gateway.
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
///       model: acme/meta-llama-3-8b-instruct
///       api_key: os.environ/ACME_API_KEY
/// ";
/// let error = Config::parse(text, &registry, &|_| None).unwrap_err();
/// assert_eq!(error.problems().len(), 2); // unknown variable, unknown provider
/// ```
#[non_exhaustive]
pub struct Config {
    /// The deployments, with the names of their model groups.
    pub deployments: Vec<Deployment>,
    /// What is known of deployments besides, by their ids.
    pub model_info: BTreeMap<String, ModelInfo>,
    /// The tokenizers of model groups, for counts of tokens.
    pub tokenizers: Tokenizers,
    /// The key that every client has to send; without it, all clients are accepted.
    pub master_key: Option<ApiKey>,
    /// The database of virtual keys and spend, if the file names one. The program opens it
    /// ([`VirtualKeys::open`](crate::VirtualKeys::open)).
    pub database_url: Option<DatabaseUrl>,
    /// How long responses of the Responses API are kept; none are kept if `None`. The program sets
    /// it up ([`StoredResponses`](crate::StoredResponses)).
    pub store_responses: Option<Duration>,
    /// The size limit of a request body in bytes, if the file has one, in place of
    /// [`GatewayOptions::body_limit`](crate::GatewayOptions::body_limit).
    pub body_limit: Option<usize>,
    /// The certificate of the server, if the file names one. The program loads it
    /// ([`Tls::load`](crate::Tls::load)).
    pub tls: Option<TlsFiles>,
    /// Whether parameters that a provider does not support are dropped; otherwise such a request is
    /// rejected.
    pub drop_params: bool,
    /// Whether the tags of a request choose its deployments.
    pub reads_tags: bool,
    /// Whether the program should write its log in JSON.
    pub json_logs: bool,
    /// Whether the program should export traces and metrics (OpenTelemetry).
    pub otel: bool,
    /// How many other deployments are tried after a failure; the router's default if `None`. In a
    /// file, at most 100.
    pub retries: Option<usize>,
    /// The other settings of the router: aliases, strategy, fallbacks, cooldowns and limits. Its
    /// deployments are added to [`deployments`](Self::deployments).
    pub router: RouterBuilder,
    /// The parts of the file without effect.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Creates a configuration that accepts all clients.
    pub fn new(deployments: Vec<Deployment>) -> Self {
        Self {
            deployments,
            model_info: BTreeMap::new(),
            master_key: None,
            database_url: None,
            store_responses: None,
            body_limit: None,
            tls: None,
            drop_params: false,
            reads_tags: false,
            json_logs: false,
            otel: false,
            tokenizers: Tokenizers::default(),
            retries: None,
            router: RouterBuilder::default(),
            warnings: Vec::new(),
        }
    }

    /// Sets the key that every client has to send.
    #[must_use]
    pub fn with_master_key(mut self, key: ApiKey) -> Self {
        self.master_key = Some(key);
        self
    }

    /// Sets the database of virtual keys and spend.
    #[must_use]
    pub fn with_database_url(mut self, url: DatabaseUrl) -> Self {
        self.database_url = Some(url);
        self
    }

    /// Sets how long responses of the Responses API are kept.
    #[must_use]
    pub fn with_store_responses(mut self, time_to_live: Duration) -> Self {
        self.store_responses = Some(time_to_live);
        self
    }

    /// Sets the certificate of the server.
    #[must_use]
    pub fn with_tls(mut self, files: TlsFiles) -> Self {
        self.tls = Some(files);
        self
    }

    /// Sets whether parameters that a provider does not support are dropped.
    #[must_use]
    pub fn with_drop_params(mut self, drop_params: bool) -> Self {
        self.drop_params = drop_params;
        self
    }

    /// Sets whether the tags of a request choose its deployments.
    #[must_use]
    pub fn with_reads_tags(mut self, reads_tags: bool) -> Self {
        self.reads_tags = reads_tags;
        self
    }

    /// Sets whether the program should write its log in JSON.
    #[must_use]
    pub fn with_json_logs(mut self, json_logs: bool) -> Self {
        self.json_logs = json_logs;
        self
    }

    /// Sets whether the program should export traces and metrics.
    #[must_use]
    pub fn with_otel(mut self, otel: bool) -> Self {
        self.otel = otel;
        self
    }

    /// Sets how many other deployments are tried after a failure.
    #[must_use]
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Sets the other settings of the router.
    #[must_use]
    pub fn with_router(mut self, router: RouterBuilder) -> Self {
        self.router = router;
        self
    }

    /// The router over the deployments, for a program that calls the models without serving them.
    pub fn build_router(&self) -> Router {
        let router = self.router.clone();
        let router = router
            .with_deployments(self.deployments.clone())
            .build_unchecked();
        match self.retries {
            Some(retries) => router.with_retries(retries),
            None => router,
        }
    }

    /// Reads a file, with the environment variables of the process.
    ///
    /// # Errors
    /// All errors in the file, or the failure to read it.
    pub fn load(path: &Path, registry: &Registry) -> Result<Self, ConfigError> {
        let bytes = std::fs::read(path).map_err(|error| ConfigError::unreadable(path, error))?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let at = Position::of(&bytes, error.valid_up_to());
            let problem = Problem::error(at, "the file is not UTF-8 text");
            ConfigError::new(vec![problem]).in_file(path)
        })?;
        Self::parse(text, registry, &|name| std::env::var(name).ok())
            .map_err(|error| error.in_file(path))
    }

    /// Reads a text; `environment` returns the value of an environment variable.
    ///
    /// The declarations in `registry` say which settings and parameters `litellm_params` may have.
    /// The providers are built here, so that the settings that they reject are reported with all
    /// other errors. Without a `master_key` in the text, `LITELLM_MASTER_KEY` is used, as in
    /// LiteLLM.
    ///
    /// # Errors
    /// All errors in the text. An unsupported setting that restricts access in LiteLLM is one, so
    /// that no gateway is more open than its configuration demands.
    pub fn parse(
        text: &str,
        registry: &Registry,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let (root, duplicates) =
            yaml::parse(text).map_err(|problem| ConfigError::new(vec![problem]))?;
        let mut reader = Reader::new(environment);
        for problem in duplicates {
            reader.report(problem);
        }
        let mut config = Self::read(&mut reader, root, registry);
        config.warnings = ConfigError::new(reader.into_problems()).into_warnings()?;
        Ok(config)
    }

    /// The JSON Schema of the format, with the settings and parameters that `registry` declares, for
    /// editors.
    pub fn schema(registry: &Registry) -> serde_json::Value {
        schema::schema(registry)
    }

    fn read(reader: &mut Reader<'_>, root: Node, registry: &Registry) -> Self {
        let mut config = Self::new(Vec::new());
        if matches!(root.value, Yaml::Null) {
            reader.error_with_help(Position::START, "the file is empty", MODEL_LIST_HELP);
            return config;
        }
        let Some(mut top) = reader.section("the file", root) else {
            return config;
        };
        if let Some(section) = reader.take_section(&mut top, "environment_variables") {
            reader.set_variables(section);
        }
        let mut general = reader.take_section(&mut top, keys::GENERAL_SETTINGS);
        config.master_key = access::master_key(reader, general.as_mut(), top.at);
        config.database_url = database::database_url(reader, general.as_mut());
        config.store_responses = database::store_responses(reader, general.as_mut());
        config.body_limit = access::body_limit(reader, general.as_mut());
        config.tls = tls::tls(reader, general.as_mut());
        if let Some(general) = general {
            reader.report_rest(general, &keys::GENERAL);
        }
        let mut defaults = Defaults::default();
        let mut routing = Routing::default();
        // In this order, since router_settings wins over litellm_settings.
        if let Some(section) = reader.take_section(&mut top, "litellm_settings") {
            config.read_litellm(reader, section, &mut defaults, &mut routing);
        }
        if let Some(section) = reader.take_section(&mut top, "router_settings") {
            config.read_router(reader, section, &mut defaults, &mut routing);
        }
        defaults.retries = config.retries.and_then(|retries| retries.try_into().ok());
        let errors = reader.errors();
        let models = read_models(
            reader,
            &mut top,
            registry,
            defaults,
            &routing,
            &mut config.tokenizers,
        );
        for (deployment, info, at) in models {
            routing.places.note_deployment(&deployment.id, at);
            config.model_info.insert(deployment.id.clone(), info);
            config.deployments.push(deployment);
        }
        let has_all_models = reader.errors() == errors;
        config.finish_router(reader, routing, top.at, has_all_models);
        access::check_guardrails(reader, &mut top);
        reader.report_rest(top, &keys::TOP);
        config
    }

    fn read_litellm(
        &mut self,
        reader: &mut Reader<'_>,
        mut section: Section,
        defaults: &mut Defaults,
        routing: &mut Routing,
    ) {
        self.drop_params = reader
            .take_bool(&mut section, "drop_params")
            .unwrap_or_default();
        self.json_logs = reader.take_bool(&mut section, "json_logs") == Some(true);
        self.retries = take_retries(reader, &mut section);
        defaults.timeout = reader.take_time(&mut section, "request_timeout");
        routing.places.note(&section);
        routing.read_common(reader, &mut section);
        (routing.cache, routing.redis) = cache::read(reader, &mut section);
        self.otel = access::read_callbacks(reader, &mut section);
        reader.report_rest(section, &keys::LITELLM);
    }

    fn read_router(
        &mut self,
        reader: &mut Reader<'_>,
        mut section: Section,
        defaults: &mut Defaults,
        routing: &mut Routing,
    ) {
        self.retries = take_retries(reader, &mut section).or(self.retries);
        defaults.timeout = reader
            .take_time(&mut section, "timeout")
            .or(defaults.timeout);
        routing.places.note(&section);
        defaults.stream_timeout = reader.take_time(&mut section, "stream_timeout");
        routing.read_common(reader, &mut section);
        self.reads_tags = reader.take_bool(&mut section, "enable_tag_filtering") == Some(true);
        routing.read_router(reader, &mut section);
        reader.report_rest(section, &keys::ROUTER);
    }

    /// Checks that the settings of the router and the deployments match. Without a valid
    /// list of models, every name would be unknown.
    fn finish_router(
        &mut self,
        reader: &mut Reader<'_>,
        routing: Routing,
        at: Position,
        has_all_models: bool,
    ) {
        let shared = routing.redis.as_ref().and_then(|redis| redis.state(reader));
        let places = routing.places.clone();
        self.router = routing.into_builder(self.retries).with_shared_state(shared);
        let router = self
            .router
            .clone()
            .with_deployments(self.deployments.clone());
        if !has_all_models {
            return;
        }
        for problem in router.problems() {
            let at = places.of(&problem.place).unwrap_or(at);
            reader.error(at, problem.to_string());
        }
    }
}

fn take_retries(reader: &mut Reader<'_>, section: &mut Section) -> Option<usize> {
    let retries = reader.take_count(section, "num_retries", MAX_RETRIES)?;
    usize::try_from(retries).ok()
}

fn read_models(
    reader: &mut Reader<'_>,
    top: &mut Section,
    registry: &Registry,
    defaults: Defaults,
    routing: &Routing,
    tokenizers: &mut Tokenizers,
) -> Vec<(Deployment, ModelInfo, Position)> {
    let Some(list) = top.take_any("model_list") else {
        reader.error_with_help(top.at, "there is no `model_list`", MODEL_LIST_HELP);
        return Vec::new();
    };
    let items = match list.value.value {
        Yaml::List(items) => items,
        Yaml::Null => Vec::new(),
        _ => {
            reader.wrong_type("`model_list`", "a list (`- …`)", &list.value);
            return Vec::new();
        }
    };
    if items.is_empty() {
        reader.error_with_help(list.at, "`model_list` is empty", MODEL_LIST_HELP);
    }
    let declarations = Declarations::new(registry);
    model::deployments(reader, items, &declarations, defaults, routing, tokenizers)
}

/// Shows no key and no default parameter, which may contain a prompt.
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
            .field("database_url", &self.database_url)
            .field("store_responses", &self.store_responses)
            .field("body_limit", &self.body_limit)
            .field("tls", &self.tls)
            .field("drop_params", &self.drop_params)
            .field("reads_tags", &self.reads_tags)
            .field("json_logs", &self.json_logs)
            .field("otel", &self.otel)
            .field("retries", &self.retries)
            .field("warnings", &self.warnings)
            .finish()
    }
}

/// The largest number of retries in a file.
const MAX_RETRIES: u32 = 100;
const MODEL_LIST_HELP: &str = "give at least one model: \
    model_list: [{model_name: llama-3, litellm_params: {model: PROVIDER/MODEL}}]";
