use std::env::{self, VarError};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::text::excerpt;
use crate::{
    ApiKey, BaseUrl, Error, ErrorKind, ExtraHeaders, Result, Timeouts, Transport, secrets,
    similar_name,
};

/// The [code](Error::code) of errors about an environment variable that is set and cannot be used.
pub const INVALID_ENVIRONMENT: &str = "invalid_environment";

/// What a provider is built from. All of it is optional: keys and bases are also found in the
/// environment variables that the provider documents.
///
/// `Debug` shows no credentials: neither the key nor those in `api_base`, and of
/// [`extra`](Self::extra) and the extra headers only the names.
#[derive(Clone, Default, Deserialize)]
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
    /// How often a call is sent again that the upstream cannot have billed; 2 by default.
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
    /// Settings that only some providers read, such as `roles` of a prompt template.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    /// Values of Rust types that only some providers read, such as the templates in a
    /// `prompt_templates::TemplateRegistry`.
    #[serde(skip)]
    pub extensions: http::Extensions,
    /// What sends the requests; the default transport when there is none. A transport that is
    /// given here has its own connect timeout and certificate authorities.
    #[serde(skip)]
    pub transport: Option<Arc<dyn Transport>>,
}

impl Settings {
    /// The names of the settings that every provider has.
    pub const FIELDS: &[&str] = &[
        "api_base",
        "api_key",
        "ca_file",
        "connect_timeout",
        "extra_headers",
        "first_byte_timeout",
        "idle_timeout",
        "max_retries",
        "retry_billed",
        "stream_timeout",
        "timeout",
    ];

    /// Settings that leave everything to the environment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the key.
    #[must_use]
    pub fn with_api_key(mut self, api_key: impl Into<ApiKey>) -> Self {
        self.api_key = Some(api_key.into());
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

    /// Gives what sends the requests.
    #[must_use]
    pub fn with_transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Gives a setting that only some providers read. Another provider rejects it when it is
    /// built.
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

    /// The key given, or else the first of `env` that is set.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`], naming the variables, when there is none; naming the variable, with
    /// the code [`INVALID_ENVIRONMENT`], for one that no header can carry.
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

    /// The address given, or else the first of `env` that is set, or else `default`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when it is not a URL; naming the variable, with the code
    /// [`INVALID_ENVIRONMENT`], when it comes from the environment.
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

    /// Checks that [`extra`](Self::extra) holds no other settings than those in `known`, so that
    /// a typing mistake is not ignored.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`], naming the unknown setting and the most similar known one.
    pub fn deny_unknown_extra(&self, provider: &'static str, known: &[&str]) -> Result<()> {
        let Some(unknown) = self.extra.keys().find(|key| !known.contains(&key.as_str())) else {
            return Ok(());
        };
        let all = known.iter().chain(Self::FIELDS).copied();
        let hint = match similar_name(unknown, all) {
            Some(similar) => format!("; did you mean `{similar}`?"),
            None if known.is_empty() => String::new(),
            None => format!("; known: {}", known.join(", ")),
        };
        let message = format!("unknown setting `{}`{hint}", excerpt(unknown));
        Err(Error::new(ErrorKind::InvalidRequest, message)
            .with_provider(provider)
            .with_param(unknown.clone()))
    }

    /// The provider's own settings, from [`extra`](Self::extra).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`], naming the setting, when one has the wrong type.
    pub fn extra_as<T: DeserializeOwned>(&self, provider: &'static str) -> Result<T> {
        // Read from text, since the error then tells which setting it is.
        let extra = Value::Object(self.extra.clone()).to_string();
        llm_types::parse(extra.as_bytes()).map_err(|error| {
            // Without the line and column, which are those of the text made above.
            let message = match error.path() {
                "" => format!("bad setting: {}", error.message()),
                path => format!("bad setting: {path}: {}", error.message()),
            };
            Error::new(ErrorKind::InvalidRequest, message)
                .with_provider(provider)
                .with_param(Some(error.path().to_owned()).filter(|path| !path.is_empty()))
                .with_source(error)
        })
    }
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

/// The error for a variable that is set and cannot be used. It does not quote the value.
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
        assert_eq!(settings.connect_timeout, Some(Duration::from_secs(1)));
        assert_eq!(settings.extra.keys().collect::<Vec<_>>(), ["roles"]);
        assert!(serde_json::from_value::<Settings>(json!({ "timeout": -1 })).is_err());
    }

    #[test]
    fn the_settings_that_every_provider_has_are_all_listed() {
        for name in Settings::FIELDS {
            let wrong = json!({ *name: [[7]] });
            assert!(serde_json::from_value::<Settings>(wrong).is_err(), "{name}");
        }
        // A field that is added here is to be added to the list, too.
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
        assert_eq!(Settings::FIELDS.len(), 11);
    }

    #[test]
    fn an_unknown_setting_is_an_error_with_the_most_similar_one() {
        let deny = |name: &str| {
            let settings = Settings::new().with_extra(name, "secret");
            settings.deny_unknown_extra("acme", &["roles", "prefer_wait"])
        };
        assert!(deny("roles").is_ok());
        for (name, hint) in [
            ("role", "unknown setting `role`; did you mean `roles`?"),
            (
                "api_kye",
                "unknown setting `api_kye`; did you mean `api_key`?",
            ),
            (
                "budget",
                "unknown setting `budget`; known: roles, prefer_wait",
            ),
        ] {
            let error = deny(name).unwrap_err();
            assert_eq!((error.message(), error.param()), (hint, Some(name)));
            assert!(!format!("{error:?}").contains("secret"));
        }
        let long = deny(&"x\n".repeat(1 << 20)).unwrap_err();
        assert!(long.message().len() < 1000 && !long.message().contains('\n'));
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
        // The settings were no text, so that no line of one is named.
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
