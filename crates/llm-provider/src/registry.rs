use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{ApiKey, BaseUrl, Error, ErrorKind, HttpClient, Provider, Result};

/// What turns settings into a provider.
type Factory = dyn Fn(Settings) -> Result<Arc<dyn Provider>> + Send + Sync;

/// The providers that a program knows, by the prefix of their model names.
///
/// A provider crate has one function `register(&mut Registry)`; adding a provider edits no list.
#[derive(Clone, Default)]
pub struct Registry {
    factories: BTreeMap<&'static str, Arc<Factory>>,
}

impl Registry {
    /// A registry that knows nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a provider, or replaces the one of the same name.
    pub fn register<F>(&mut self, name: &'static str, factory: F)
    where
        F: Fn(Settings) -> Result<Arc<dyn Provider>> + Send + Sync + 'static,
    {
        self.factories.insert(name, Arc::new(factory));
    }

    /// The names that are known, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.factories.keys().copied()
    }

    /// Cuts `replicate/meta/llama` into `replicate` and `meta/llama`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], naming the known prefixes, when the name begins with none.
    pub fn split<'m>(&self, model: &'m str) -> Result<(&'static str, &'m str)> {
        let (prefix, rest) = model.split_once('/').unwrap_or((model, ""));
        match self.factories.get_key_value(prefix) {
            Some((name, _)) if !rest.is_empty() => Ok((name, rest)),
            _ => {
                let known: Vec<String> = self.names().map(|name| format!("{name}/…")).collect();
                Err(Error::new(
                    ErrorKind::NotFound,
                    format!(
                        "the model name \"{model}\" names no provider; it has to begin with one of: {}",
                        known.join(", ")
                    ),
                ))
            }
        }
    }

    /// Builds the provider `name`.
    ///
    /// # Errors
    /// What the provider has against its settings; [`ErrorKind::NotFound`] for an unknown name.
    pub fn build(&self, name: &str, settings: Settings) -> Result<Arc<dyn Provider>> {
        let factory = self.factories.get(name).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("there is no provider \"{name}\""),
            )
        })?;
        factory(settings)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// What a provider is built from. All of it is optional: keys and bases are also found in the
/// environment variables that the provider documents.
#[derive(Clone, Debug, Default, Deserialize)]
#[non_exhaustive]
pub struct Settings {
    /// The key to the account.
    #[serde(default)]
    pub api_key: Option<ApiKey>,
    /// The upstream's address, with or without its `/v1`.
    #[serde(default)]
    pub api_base: Option<String>,
    /// How long one call may take, in seconds, when the call itself does not say.
    #[serde(default, deserialize_with = "seconds")]
    pub timeout: Option<Duration>,
    /// What only one provider understands, such as `roles` of a prompt template.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    /// The connections to share.
    #[serde(skip)]
    pub http: HttpClient,
}

impl Settings {
    /// Settings that leave everything to the environment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the key.
    #[must_use]
    pub fn with_api_key(mut self, api_key: ApiKey) -> Self {
        self.api_key = Some(api_key);
        self
    }

    /// Gives the address.
    #[must_use]
    pub fn with_api_base(mut self, api_base: impl Into<String>) -> Self {
        self.api_base = Some(api_base.into());
        self
    }

    /// Limits the time of one call.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Gives a setting that only one provider understands.
    #[must_use]
    pub fn with_extra(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(key.into(), value.into());
        self
    }

    /// The key given, or else the first of `env` that is set.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`], naming the variables, when there is none.
    pub fn require_api_key(&self, provider: &'static str, env: &[&str]) -> Result<ApiKey> {
        self.api_key
            .clone()
            .filter(|key| !key.is_empty())
            .or_else(|| ApiKey::from_env(env))
            .ok_or_else(|| {
                let (first, rest) = env.split_first().map_or(("", &[][..]), |(f, r)| (*f, r));
                let others = if rest.is_empty() {
                    String::new()
                } else {
                    format!(" (or {})", rest.join(", "))
                };
                Error::new(
                    ErrorKind::Auth,
                    format!("no API key: set the environment variable {first}{others}, or api_key"),
                )
                .with_provider(provider)
            })
    }

    /// The address given, or else the first of `env` that is set, or else `default`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when it is no URL.
    pub fn api_base_or(
        &self,
        provider: &'static str,
        env: &[&str],
        default: &str,
    ) -> Result<BaseUrl> {
        let from_env = || {
            env.iter()
                .filter_map(|name| env::var(name).ok())
                .find(|base| !base.trim().is_empty())
        };
        let base = self.api_base.clone().or_else(from_env);
        BaseUrl::parse(base.as_deref().unwrap_or(default))
            .map_err(|error| error.with_provider(provider))
    }

    /// The provider's own settings, from [`extra`](Self::extra).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`], naming the setting, when one has the wrong type.
    pub fn extra_as<T: DeserializeOwned>(&self, provider: &'static str) -> Result<T> {
        serde_json::from_value(Value::Object(self.extra.clone())).map_err(|error| {
            Error::new(ErrorKind::InvalidRequest, format!("bad setting: {error}"))
                .with_provider(provider)
                .with_source(error)
        })
    }
}

fn seconds<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let Some(seconds) = Option::<f64>::deserialize(deserializer)? else {
        return Ok(None);
    };
    Duration::try_from_secs_f64(seconds)
        .map(Some)
        .map_err(serde::de::Error::custom)
}
