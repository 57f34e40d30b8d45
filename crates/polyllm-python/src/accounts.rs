//! The accounts of a process, by the settings of the calls.

use std::collections::HashMap;
use std::env;
use std::sync::Arc;

use llm_provider::{Provider, Registry, Result, Settings};
use polyllm::Client;
use prompt_templates::{Template, TemplateRegistry};
use serde_json::{Map, Value};

/// Keeps an account, with its connections, for each combination of settings and environment
/// variables that calls use.
pub(crate) struct Accounts {
    registry: Registry,
    /// A client without settings, with the registered templates.
    base: Client,
    /// The registered templates, for routers.
    templates: TemplateRegistry,
    clients: HashMap<Key, Client>,
}

/// What an account is built from.
#[derive(Eq, Hash, PartialEq)]
struct Key {
    provider: &'static str,
    /// The settings of the call, as JSON.
    settings: String,
    /// The values of the environment variables that the provider reads.
    environment: Vec<Option<String>>,
}

impl Default for Accounts {
    fn default() -> Self {
        let registry = polyllm::registry();
        Self {
            base: Client::new(registry.clone()),
            registry,
            templates: TemplateRegistry::new(),
            clients: HashMap::new(),
        }
    }
}

impl Accounts {
    /// The providers.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The account that serves `model`, and the model's name there.
    ///
    /// The environment is read here, so the caller holds the GIL: Python changes the environment
    /// only while it holds it, too.
    pub(crate) fn find<'m>(
        &mut self,
        model: &'m str,
        settings: Map<String, Value>,
    ) -> Result<(Arc<dyn Provider>, &'m str)> {
        let (provider, _) = self.registry.split(model)?;
        let key = Key {
            provider,
            settings: Value::Object(settings.clone()).to_string(),
            environment: self.environment(provider),
        };
        if let Some(client) = self.clients.get(&key) {
            return client.resolve(model);
        }
        let settings =
            Settings::try_from(settings).map_err(|error| error.with_provider(provider))?;
        let client = self.base.clone().with_settings(provider, settings)?;
        let found = client.resolve(model)?;
        if self.clients.len() >= MAX_CLIENTS {
            // Calls that are running keep theirs.
            self.clients.clear();
        }
        self.clients.insert(key, client);
        Ok(found)
    }

    /// Registers a template for the models with this name.
    pub(crate) fn register(&mut self, model: &str, template: Template) -> Result<()> {
        self.base = self.base.clone().with_template(model, template.clone())?;
        self.templates.register(model, template);
        self.clients.clear();
        Ok(())
    }

    /// The registered templates.
    pub(crate) fn templates(&self) -> TemplateRegistry {
        self.templates.clone()
    }

    /// The accounts of a child process: the same templates, and other connections.
    pub(crate) fn of_child(&mut self) -> Self {
        // The tasks that would close the connections do not exist in the child.
        std::mem::forget(std::mem::take(&mut self.clients));
        Self {
            registry: self.registry.clone(),
            base: self.base.clone(),
            templates: self.templates.clone(),
            clients: HashMap::new(),
        }
    }

    fn environment(&self, provider: &str) -> Vec<Option<String>> {
        let spec = self.registry.spec(provider);
        let settings = spec.into_iter().flat_map(|spec| spec.settings());
        let names = settings.flat_map(|setting| setting.variables).copied();
        names.chain(PROXIES).map(variable).collect()
    }
}

/// The value of an environment variable. The caller holds the GIL.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// The most accounts that are kept: a program that makes a key for each call must not keep all.
const MAX_CLIENTS: usize = 256;

/// The variables that transports read.
const PROXIES: [&str; 8] = [
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "https_proxy",
    "http_proxy",
    "no_proxy",
];
