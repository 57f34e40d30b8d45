use std::env;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::retry::Policy;
use crate::{ApiKey, BaseUrl, Error, ErrorKind, ExtraHeaders, HttpClient, Result, Timeouts};

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
    /// How long one plain call may take when the call itself does not say; see [`Timeouts`].
    #[serde(default, deserialize_with = "seconds")]
    pub timeout: Option<Duration>,
    /// The same for a streamed call, up to the head of its answer.
    #[serde(default, deserialize_with = "seconds")]
    pub stream_timeout: Option<Duration>,
    /// How long connecting may take.
    #[serde(default, deserialize_with = "seconds")]
    pub connect_timeout: Option<Duration>,
    /// How long each attempt may take up to the head of its answer.
    #[serde(default, deserialize_with = "seconds")]
    pub first_byte_timeout: Option<Duration>,
    /// How long each wait for a piece of an answer's body may take.
    #[serde(default, deserialize_with = "seconds")]
    pub idle_timeout: Option<Duration>,
    /// How often a call is sent again that the upstream cannot have billed; 2 by default. See
    /// [`Policy`].
    #[serde(default)]
    pub max_retries: Option<u32>,
    /// Whether a call is sent again that may have been billed: after a timeout, a broken
    /// connection, a 5xx.
    #[serde(default)]
    pub retry_billed: bool,
    /// A PEM file of certificate authorities that are trusted beside the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Headers that each request to the upstream has besides the usual ones.
    #[serde(default)]
    pub extra_headers: ExtraHeaders,
    /// What only one provider understands, such as `roles` of a prompt template.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    /// The connections to share, unless `connect_timeout` or `ca_file` ask for others.
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

    /// Says how often a call is sent again.
    #[must_use]
    pub fn with_max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = Some(max_retries);
        self
    }

    /// Gives the connections to use.
    #[must_use]
    pub fn with_http(mut self, http: HttpClient) -> Self {
        self.http = http;
        self
    }

    /// Gives a setting that only one provider understands.
    #[must_use]
    pub fn with_extra(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(key.into(), value.into());
        self
    }

    /// The limits of time.
    pub fn timeouts(&self) -> Timeouts {
        Timeouts {
            total: self.timeout,
            stream: self.stream_timeout,
            first_byte: self.first_byte_timeout,
            idle: self.idle_timeout,
        }
    }

    /// What is sent again, and how often. Ask once: each policy has a budget of its own.
    pub fn retries(&self) -> Policy {
        self.max_retries
            .map_or_else(Policy::default, Policy::new)
            .with_retry_billed(self.retry_billed)
    }

    /// The connections: those of [`http`](Self::http), or those of all whose settings ask for the
    /// same `connect_timeout` and `ca_file`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when `ca_file` holds no certificates.
    pub fn http_client(&self) -> Result<HttpClient> {
        let mut options = self.http.options().clone();
        if let Some(limit) = self.connect_timeout {
            options = options.with_connect_timeout(limit);
        }
        if let Some(file) = &self.ca_file {
            options = options.with_authorities_of(file)?;
        }
        Ok(if options == *self.http.options() {
            self.http.clone()
        } else {
            HttpClient::with_options(options)
        })
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
        // Read from text, since the error then tells which setting it is.
        let extra = Value::Object(self.extra.clone()).to_string();
        llm_types::parse(extra.as_bytes()).map_err(|error| {
            let message = format!("bad setting: {error}");
            Error::new(ErrorKind::InvalidRequest, message)
                .with_provider(provider)
                .with_param(Some(error.path().to_owned()).filter(|path| !path.is_empty()))
                .with_source(error)
        })
    }
}

/// Reads a time in seconds, for `#[serde(deserialize_with = "seconds")]`.
///
/// # Errors
/// For what is neither null nor a number of seconds; what is longer than a year is a year.
pub fn seconds<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let Some(seconds) = Option::<f64>::deserialize(deserializer)? else {
        return Ok(None);
    };
    Duration::try_from_secs_f64(seconds)
        .map(|limit| Some(limit.min(LONGEST)))
        .map_err(serde::de::Error::custom)
}

// Longer than anything lasts, and short enough to be added to a time.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(settings: Value) -> Settings {
        serde_json::from_value(settings).unwrap()
    }

    #[test]
    fn every_limit_is_read_in_seconds() {
        let settings = read(json!({
            "timeout": 30, "stream_timeout": 2.5, "connect_timeout": 1,
            "first_byte_timeout": 3, "idle_timeout": 1e300_f64.min(1e12), "roles": {},
        }));
        let timeouts = settings.timeouts();
        assert_eq!(timeouts.total, Some(Duration::from_secs(30)));
        assert_eq!(timeouts.stream, Some(Duration::from_millis(2500)));
        assert_eq!(timeouts.first_byte, Some(Duration::from_secs(3)));
        assert_eq!(timeouts.idle, Some(LONGEST));
        let http = settings.http_client().unwrap();
        assert_eq!(http.options().connect_timeout, Duration::from_secs(1));
        assert_eq!(settings.extra.keys().collect::<Vec<_>>(), ["roles"]);
        assert!(serde_json::from_value::<Settings>(json!({ "timeout": -1 })).is_err());
    }

    #[test]
    fn a_bad_setting_is_named_without_its_text() {
        #[derive(Debug, Deserialize)]
        struct Own {
            #[allow(dead_code, reason = "only its type is of interest")]
            budget: f64,
        }
        let settings = read(json!({ "budget": "secret" }));
        let error = settings.extra_as::<Own>("acme").unwrap_err();
        assert_eq!(error.param(), Some("budget"));
        assert!(!format!("{error:?} {error}").contains("secret"), "{error}");
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let error = read(json!({ "ca_file": "/no/such/file.pem" }))
            .http_client()
            .unwrap_err();
        assert_eq!(error.param(), Some("ca_file"));
        assert!(error.message().contains("/no/such/file.pem"), "{error}");
    }
}
