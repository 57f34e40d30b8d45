//! The client: its settings, and how it sends a request.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request};
use llm_http::{Connection, RetryPolicy, SendOptions};
use llm_provider::{
    Error, ProviderSpec, Result, SettingSpec, SettingValue, Settings, ValueKind, seconds,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{self, unexpected};
use crate::prediction::Prediction;

/// One account at Replicate. Clones share their connections.
///
/// A request that Replicate rejected with 429 or 503 is retried up to `max_retries` times, after
/// the advised delay. A request that may have been billed is not retried, unless `retry_billed` is
/// set.
#[derive(Clone, Debug)]
pub struct ReplicateClient {
    pub(crate) connection: Connection,
    retries: RetryPolicy,
    limits: PredictionLimits,
}

/// The time limits of predictions.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PredictionLimits {
    /// From creation to start: the queue and a cold boot.
    pub boot: Duration,
    /// From start to end.
    pub run: Duration,
}

impl ReplicateClient {
    /// Creates a client. If the settings have no key or address, they are read from the environment
    /// ([`API_KEY_VARIABLES`], [`API_BASE_VARIABLES`]).
    ///
    /// # Errors
    /// [`ErrorKind::Auth`](llm_provider::ErrorKind::Auth) without a key, and `InvalidRequest` for
    /// an invalid address or setting.
    pub fn new(settings: Settings) -> Result<Self> {
        let times: PredictionTimes = settings.extra_as(NAME)?;
        let base = settings.api_base_or(NAME, API_BASE_VARIABLES, DEFAULT_API_BASE)?;
        let api_key = settings.require_api_key(NAME, API_KEY_VARIABLES)?;
        let connection = Connection::new(&settings, base, api_key);
        Ok(Self {
            connection: connection.map_err(|error| error.with_provider(NAME))?,
            retries: RetryPolicy::from(&settings),
            limits: PredictionLimits {
                boot: times.boot_timeout.unwrap_or(BOOT),
                run: times.run_timeout.unwrap_or(RUN),
            },
        })
    }

    /// The same account without retries.
    #[must_use]
    pub fn once(&self) -> Self {
        Self {
            retries: RetryPolicy::new(0),
            ..self.clone()
        }
    }

    /// Redacts the account's secrets in an error about other data from Replicate, such as an event
    /// stream. The errors of this client are already redacted.
    pub fn redact(&self, error: Error) -> Error {
        self.connection.redact(error)
    }

    /// The error of a prediction that failed according to an event stream, from the status and error
    /// there. The account's secrets are redacted.
    pub fn failure(&self, status: &str, error: &Value) -> Error {
        let secrets = self.connection.secrets();
        let mut error = error.clone();
        // A secret could not be found in a truncated text, so it is redacted first.
        secrets.redact_json(&mut error);
        error::from_status(status, &error)
    }

    /// The retry policy.
    pub fn retries(&self) -> &RetryPolicy {
        &self.retries
    }

    /// The time limits of predictions.
    pub fn limits(&self) -> PredictionLimits {
        self.limits
    }

    /// Sends a request whose response is JSON or empty, with retries.
    pub(crate) async fn send<T: DeserializeOwned>(&self, request: ApiRequest) -> Result<T> {
        let attempt = |number| self.send_once(&request, number);
        let done = self.retries.run(None, attempt).await;
        done.map_err(|error| self.redact(error.with_provider(NAME)))
    }

    /// Sends a request whose response is a prediction, and redacts it.
    pub(crate) async fn send_prediction(&self, request: ApiRequest) -> Result<Prediction> {
        let mut prediction = self.send(request).await?;
        self.redact_prediction(&mut prediction);
        Ok(prediction)
    }

    /// Redacts the account's secrets in a prediction, except in its output.
    pub(crate) fn redact_prediction(&self, prediction: &mut Prediction) {
        let secrets = self.connection.secrets();
        secrets.redact_in(&mut prediction.id);
        secrets.redact_in(&mut prediction.status.0);
        secrets.redact_json(&mut prediction.error);
        secrets.redact_json(&mut prediction.logs);
        for (_, value) in &mut prediction.extra {
            secrets.redact_json(value);
        }
    }

    async fn send_once<T: DeserializeOwned>(&self, call: &ApiRequest, attempt: u32) -> Result<T> {
        let mut request = Request::new(call.body.clone());
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = self.connection.base().join(&call.path)?;
        *request.headers_mut() = call.headers.clone();
        let timeouts = self.connection.timeouts();
        let first_byte = timeouts.first_byte.unwrap_or(FIRST_BYTE + call.wait);
        let options = SendOptions::new(timeouts.idle.unwrap_or(IDLE))
            .with_first_byte(first_byte)
            .with_attempt(attempt);
        let sent = self.connection.send(request, options, error::from_response);
        let (parts, body) = sent.await?.into_parts();
        let body = body.collect(MAX_BODY).await?;
        let json = if body.is_empty() { NULL } else { &body[..] };
        serde_json::from_slice(json).map_err(|error| {
            let error = unexpected("Replicate's response cannot be read").with_source(error);
            error.with_status(parts.status).with_body(body)
        })
    }
}

/// A request to Replicate's API.
#[derive(Clone, Debug)]
pub(crate) struct ApiRequest {
    method: Method,
    pub(crate) path: String,
    headers: HeaderMap,
    body: Bytes,
    /// How long the request asks Replicate to wait before it responds.
    wait: Duration,
}

impl ApiRequest {
    pub(crate) fn new(method: Method, path: String) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Self {
            method,
            path,
            headers,
            body: Bytes::new(),
            wait: Duration::ZERO,
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into())
    }

    pub(crate) fn with_json(self, body: &Value) -> Self {
        self.with_body("application/json", body.to_string())
    }

    pub(crate) fn with_text(self, body: &str) -> Self {
        self.with_body("text/plain", body.to_owned())
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(crate) fn with_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    fn with_body(mut self, type_: &'static str, body: String) -> Self {
        self.body = body.into();
        self.with_header(CONTENT_TYPE, HeaderValue::from_static(type_))
    }
}

/// The values of [`LIMIT_SETTINGS`].
#[derive(Deserialize)]
struct PredictionTimes {
    #[serde(default, deserialize_with = "seconds")]
    boot_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "seconds")]
    run_timeout: Option<Duration>,
}

/// The declaration of Replicate: the settings of [`ReplicateClient`].
pub fn spec() -> ProviderSpec {
    ProviderSpec::new(NAME)
        .with_api_key(API_KEY_VARIABLES)
        .with_api_base(DEFAULT_API_BASE, API_BASE_VARIABLES)
        .with_settings(LIMIT_SETTINGS.iter().copied())
}

const LIMIT_SETTINGS: &[SettingSpec] = &[
    SettingSpec::new(
        "boot_timeout",
        ValueKind::Seconds,
        "The time limit of a prediction until it starts: the queue and a cold boot",
    )
    .with_default(SettingValue::Seconds(BOOT)),
    SettingSpec::new(
        "run_timeout",
        ValueKind::Seconds,
        "The time limit of a prediction from its start to its end",
    )
    .with_default(SettingValue::Seconds(RUN)),
];

/// The provider's name in errors.
pub const NAME: &str = "replicate";
/// The environment variables of the key: LiteLLM's name, then that of Replicate's own clients.
pub const API_KEY_VARIABLES: &[&str] = &["REPLICATE_API_KEY", "REPLICATE_API_TOKEN"];
/// The environment variables of the address.
pub const API_BASE_VARIABLES: &[&str] = &["REPLICATE_BASE_URL", "REPLICATE_API_BASE"];
/// The default address.
pub const DEFAULT_API_BASE: &str = "https://api.replicate.com";

// Cold boots take 3 to 5 minutes according to LiteLLM's documentation; Replicate ends runs after 30
// minutes.
const BOOT: Duration = Duration::from_secs(15 * 60);
const RUN: Duration = Duration::from_secs(30 * 60);
const FIRST_BYTE: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(30);
const MAX_BODY: usize = 64 << 20;
const NULL: &[u8] = b"null";
