use std::env::{self, VarError};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    ApiKey, BaseUrl, Error, ErrorKind, ExtraHeaders, Result, Timeouts, Transport, secrets,
};

/// The [code](Error::code) of errors about an environment variable that is set to an invalid value.
pub const INVALID_ENVIRONMENT: &str = "invalid_environment";

/// The settings from which a provider is built. Every setting is optional: a key or address that is not set is
/// read from the environment variables that the provider [declares](crate::ProviderSpec).
///
/// The declarations of the fields are [`COMMON_SETTINGS`](crate::COMMON_SETTINGS).
///
/// `Debug` shows no credentials: neither the key nor those in `api_base`, and only the names of the
/// [`extra`](Self::extra) settings and the extra headers.
#[derive(Clone, Default, Deserialize)]
#[non_exhaustive]
pub struct Settings {
    /// The key to the account.
    #[serde(default)]
    pub api_key: Option<ApiKey>,
    /// The upstream's address, with or without `/v1`.
    #[serde(default)]
    pub api_base: Option<String>,
    /// The time limit of a call that is not streamed and has no timeout itself; see [`Timeouts`].
    #[serde(default, deserialize_with = "seconds")]
    pub timeout: Option<Duration>,
    /// The same for a streamed call, until the head of its response.
    #[serde(default, deserialize_with = "seconds")]
    pub stream_timeout: Option<Duration>,
    /// The time limit of connecting.
    #[serde(default, deserialize_with = "seconds")]
    pub connect_timeout: Option<Duration>,
    /// The time limit of each attempt until the head of its response.
    #[serde(default, deserialize_with = "seconds")]
    pub first_byte_timeout: Option<Duration>,
    /// The time limit of each wait for the next bytes of a response.
    #[serde(default, deserialize_with = "seconds")]
    pub idle_timeout: Option<Duration>,
    /// How often a call is sent again that the upstream cannot have billed; 2 by default.
    #[serde(default)]
    pub max_retries: Option<u32>,
    /// Whether a call is also sent again that may have been billed: after a timeout, a broken
    /// connection, a 5xx.
    #[serde(default)]
    pub retry_billed: bool,
    /// A PEM file of certificate authorities to trust besides the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Headers to add to each request to the upstream.
    #[serde(default)]
    pub extra_headers: ExtraHeaders,
    /// Settings that not every provider has, such as `roles` of a prompt template.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    /// Values of Rust types for some providers, such as a `prompt_templates::TemplateRegistry`.
    #[serde(skip)]
    pub extensions: http::Extensions,
    /// Sends the requests, instead of the default transport. It has its own connect timeout
    /// and certificate authorities.
    #[serde(skip)]
    pub transport: Option<Arc<dyn Transport>>,
}

impl Settings {
    /// Creates empty settings: key and address are read from the environment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the key.
    #[must_use]
    pub fn with_api_key(mut self, api_key: impl Into<ApiKey>) -> Self {
        self.api_key = Some(api_key.into());
        self
    }

    /// Sets the address.
    #[must_use]
    pub fn with_api_base(mut self, api_base: impl Into<String>) -> Self {
        self.api_base = Some(api_base.into());
        self
    }

    /// Sets the time limit of a call.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how often a call is sent again.
    #[must_use]
    pub fn with_max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = Some(max_retries);
        self
    }

    /// Sets the transport.
    #[must_use]
    pub fn with_transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Sets a setting that not every provider has. A provider that does not declare it rejects it
    /// when it is built.
    #[must_use]
    pub fn with_extra(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(key.into(), value.into());
        self
    }

    /// The time limits.
    pub fn timeouts(&self) -> Timeouts {
        Timeouts {
            total: self.timeout,
            stream: self.stream_timeout,
            first_byte: self.first_byte_timeout,
            idle: self.idle_timeout,
        }
    }

    /// The key in the settings, or else in the first of the variables `env` that is set.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`], with the names of the variables, if there is no key; with the code
    /// [`INVALID_ENVIRONMENT`] and the name of the variable if its value is not valid in a header.
    pub fn require_api_key(&self, provider: &'static str, env: &[&str]) -> Result<ApiKey> {
        if let Some(key) = self.api_key.as_ref().filter(|key| !key.is_empty()) {
            return Ok(key.clone());
        }
        if let Some((name, key)) = first_set(provider, env)? {
            let key = ApiKey::new(key);
            return match key.bearer() {
                Ok(_) => Ok(key),
                Err(error) => Err(unusable(provider, name, error)),
            };
        }
        let (first, rest) = env.split_first().map_or(("", &[][..]), |(f, r)| (*f, r));
        let others = if rest.is_empty() {
            String::new()
        } else {
            format!(" (or {})", rest.join(", "))
        };
        let message =
            format!("no API key: set the environment variable {first}{others}, or api_key");
        Err(Error::new(ErrorKind::Auth, message).with_provider(provider))
    }

    /// The address in the settings, or else in the first of the variables `env` that is set, or
    /// else `default`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if it is not a URL; with the code [`INVALID_ENVIRONMENT`] and
    /// the name of the variable if it comes from the environment.
    pub fn api_base_or(
        &self,
        provider: &'static str,
        env: &[&str],
        default: &str,
    ) -> Result<BaseUrl> {
        if let Some(base) = &self.api_base {
            return BaseUrl::parse(base).map_err(|error| error.with_provider(provider));
        }
        if let Some((name, base)) = first_set(provider, env)? {
            return BaseUrl::parse(&base).map_err(|error| unusable(provider, name, error));
        }
        BaseUrl::parse(default).map_err(|error| error.with_provider(provider))
    }

    /// Reads the settings that not every provider has, from [`extra`](Self::extra).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`], with the name of the setting, if one has the wrong type.
    pub fn extra_as<T: DeserializeOwned>(&self, provider: &'static str) -> Result<T> {
        from_values(self.extra.clone()).map_err(|error| error.with_provider(provider))
    }
}

/// Reads settings from values by name; times are in seconds.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`], with the name of the setting, if a value has the wrong type.
impl TryFrom<Map<String, Value>> for Settings {
    type Error = Error;

    fn try_from(values: Map<String, Value>) -> Result<Self> {
        from_values(values)
    }
}

/// Reads `values`. An error names the setting and does not quote its value.
fn from_values<T: DeserializeOwned>(values: Map<String, Value>) -> Result<T> {
    // An error about a text, unlike one about a value, has the path of the setting.
    let text = Value::Object(values).to_string();
    llm_types::parse(text.as_bytes()).map_err(|error| {
        // Line and column are those of the text made above, so they are left out.
        let message = match error.path() {
            "" => format!("bad setting: {}", error.message()),
            path => format!("bad setting: {path}: {}", error.message()),
        };
        Error::new(ErrorKind::InvalidRequest, message)
            .with_param(Some(error.path().to_owned()).filter(|path| !path.is_empty()))
            .with_source(error)
    })
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let api_base = self
            .api_base
            .as_deref()
            .map(secrets::url_without_credentials);
        f.debug_struct("Settings")
            .field("api_key", &self.api_key)
            .field("api_base", &api_base)
            .field("timeouts", &self.timeouts())
            .field("connect_timeout", &self.connect_timeout)
            .field("max_retries", &self.max_retries)
            .field("retry_billed", &self.retry_billed)
            .field("ca_file", &self.ca_file)
            .field("extra_headers", &self.extra_headers)
            .field("extra", &self.extra.keys())
            .finish_non_exhaustive()
    }
}

/// The first of the variables `names` that is set and not blank, and its value.
fn first_set<'n>(provider: &'static str, names: &[&'n str]) -> Result<Option<(&'n str, String)>> {
    for name in names {
        match env::var(name) {
            Ok(value) if !value.trim().is_empty() => return Ok(Some((name, value))),
            Ok(_) | Err(VarError::NotPresent) => {}
            Err(VarError::NotUnicode(_)) => {
                let error = Error::new(ErrorKind::InvalidRequest, "it is not valid Unicode");
                return Err(unusable(provider, name, error));
            }
        }
    }
    Ok(None)
}

/// The error for a variable with an invalid value, which it does not quote.
fn unusable(provider: &'static str, name: &str, error: Error) -> Error {
    let message = format!(
        "the environment variable {name} cannot be used: {}",
        error.message()
    );
    error
        .with_message(message)
        .with_provider(provider)
        .with_code(INVALID_ENVIRONMENT.to_owned())
}

/// Reads a time in seconds, for `#[serde(deserialize_with = "seconds")]`. A time above a year is
/// read as a year.
///
/// # Errors
/// If the value is neither null nor a number of 0 or more.
pub fn seconds<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let Some(seconds) = Option::<f64>::deserialize(deserializer)? else {
        return Ok(None);
    };
    if seconds.is_nan() || seconds < 0.0 {
        let message = "expected a number of seconds, 0 or more";
        return Err(serde::de::Error::custom(message));
    }
    Duration::try_from_secs_f64(seconds.min(LONGEST.as_secs_f64()))
        .map(Some)
        .map_err(serde::de::Error::custom)
}

// Longer than any call, and short enough to be added to a point in time.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::COMMON_SETTINGS;

    fn read(settings: Value) -> Settings {
        serde_json::from_value(settings).unwrap()
    }

    #[test]
    fn every_limit_is_read_in_seconds() {
        let settings = read(json!({
            "timeout": 30, "stream_timeout": 2.5, "connect_timeout": 1,
            "first_byte_timeout": 3, "idle_timeout": 1e300, "roles": {},
        }));
        let timeouts = settings.timeouts();
        assert_eq!(timeouts.total, Some(Duration::from_secs(30)));
        assert_eq!(timeouts.stream, Some(Duration::from_millis(2500)));
        assert_eq!(timeouts.first_byte, Some(Duration::from_secs(3)));
        assert_eq!(timeouts.idle, Some(LONGEST));
        assert_eq!(settings.connect_timeout, Some(Duration::from_secs(1)));
        assert_eq!(settings.extra.keys().collect::<Vec<_>>(), ["roles"]);
        let error = serde_json::from_value::<Settings>(json!({ "timeout": -1 })).unwrap_err();
        assert!(error.to_string().contains("seconds, 0 or more"), "{error}");
    }

    #[test]
    fn every_field_is_declared_as_a_common_setting() {
        for name in COMMON_SETTINGS.iter().map(|setting| setting.name) {
            let wrong = json!({ name: [[7]] });
            assert!(serde_json::from_value::<Settings>(wrong).is_err(), "{name}");
        }
        // A new field needs a declaration, too.
        let Settings {
            api_key: _,
            api_base: _,
            timeout: _,
            stream_timeout: _,
            connect_timeout: _,
            first_byte_timeout: _,
            idle_timeout: _,
            max_retries: _,
            retry_billed: _,
            ca_file: _,
            extra_headers: _,
            extra: _,
            extensions: _,
            transport: _,
        } = Settings::new();
        assert_eq!(COMMON_SETTINGS.len(), 11);
    }

    #[test]
    fn a_bad_setting_is_named_without_its_text() {
        #[derive(Debug, Deserialize)]
        struct Budget {
            #[allow(dead_code, reason = "the test needs only its type")]
            budget: f64,
        }
        let settings = read(json!({ "budget": "secret" }));
        let error = settings.extra_as::<Budget>("acme").unwrap_err();
        assert_eq!(error.param(), Some("budget"));
        assert!(!format!("{error:?} {error}").contains("secret"), "{error}");
        // Settings are not a text, so the message has no line number.
        assert!(!error.message().contains("line"), "{error}");
    }

    #[test]
    fn debug_shows_no_credentials() {
        let mut settings = Settings::new()
            .with_api_key(ApiKey::new("secret-key"))
            .with_api_base("https://user:secret@relay.example/v1")
            .with_extra("token", "secret");
        settings.extra_headers.insert("x-team", "secret").unwrap();
        let shown = format!("{settings:?}");
        assert!(!shown.contains("secret"), "{shown}");
        for named in ["https://***@relay.example/v1", "token", "x-team"] {
            assert!(shown.contains(named), "{shown}");
        }
    }
}
