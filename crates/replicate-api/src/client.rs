use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request};
use llm_provider::retry::Policy;
use llm_provider::{Connection, Result, Settings, seconds};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{self, unexpected};

/// One account with Replicate. Clones share their connections.
///
/// What Replicate turned away (429, 503) is asked again, up to `max_retries` times and as it
/// advises; what it may have billed is not, unless `retry_billed` is set.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) connection: Connection,
    retries: Policy,
    limits: Limits,
}

/// How long predictions may take.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// From the creation to the start: the queue and a cold boot.
    pub boot: Duration,
    /// From the start to the end.
    pub run: Duration,
}

impl Client {
    /// Sets an account up. Key and address are looked for in the environment
    /// ([`API_KEY_VARIABLES`], [`API_BASE_VARIABLES`]) when they are not given.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`](llm_provider::ErrorKind::Auth) without a key, and `InvalidRequest` for
    /// an address or a setting that cannot be read.
    pub fn new(settings: &Settings) -> Result<Self> {
        let own: Own = settings.extra_as(NAME)?;
        let base = settings.api_base_or(NAME, API_BASE_VARIABLES, DEFAULT_API_BASE)?;
        let api_key = settings.require_api_key(NAME, API_KEY_VARIABLES)?;
        let connection = Connection::new(settings, base, api_key);
        Ok(Self {
            connection: connection.map_err(|error| error.with_provider(NAME))?,
            retries: settings.retries(),
            limits: Limits {
                boot: own.boot_timeout.unwrap_or(BOOT),
                run: own.run_timeout.unwrap_or(RUN),
            },
        })
    }

    /// The same account for who tries again by himself: each call is made once.
    #[must_use]
    pub fn once(&self) -> Self {
        Self {
            retries: Policy::new(0),
            ..self.clone()
        }
    }

    /// What is asked again, and how often.
    pub fn retries(&self) -> &Policy {
        &self.retries
    }

    /// How long predictions may take.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Any call that is answered with JSON or nothing.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T> {
        let done = self.retries.run(None, |_| self.ask_once(&ask)).await;
        done.map_err(|error| error.with_provider(NAME))
    }

    async fn ask_once<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T> {
        let mut request = Request::new(ask.body.clone());
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = self.connection.base().join(&ask.path)?;
        *request.headers_mut() = ask.headers.clone();
        let timeouts = self.connection.timeouts();
        let first_byte = timeouts.first_byte.unwrap_or(FIRST_BYTE + ask.held);
        let idle = timeouts.idle.unwrap_or(IDLE);
        let sent = self
            .connection
            .send(request, Some(first_byte), idle, error::from_response);
        let (parts, body) = sent.await?.into_parts();
        let body = body.collect(MAX_BODY).await?;
        let json = if body.is_empty() { NOTHING } else { &body[..] };
        serde_json::from_slice(json).map_err(|error| {
            let error = unexpected("Replicate's answer cannot be understood").with_source(error);
            self.connection
                .discreet(error.with_status(parts.status).with_body(body))
        })
    }
}

/// A request to be.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: Method,
    pub(crate) path: String,
    headers: HeaderMap,
    body: Bytes,
    /// How long Replicate may hold its answer on purpose.
    held: Duration,
}

impl Ask {
    pub(crate) fn new(method: Method, path: String) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Self {
            method,
            path,
            headers,
            body: Bytes::new(),
            held: Duration::ZERO,
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

    pub(crate) fn with_held(mut self, held: Duration) -> Self {
        self.held = held;
        self
    }

    fn with_body(mut self, type_: &'static str, body: String) -> Self {
        self.body = body.into();
        self.with_header(CONTENT_TYPE, HeaderValue::from_static(type_))
    }
}

/// The settings that not every provider has.
#[derive(Deserialize)]
struct Own {
    #[serde(default, deserialize_with = "seconds")]
    boot_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "seconds")]
    run_timeout: Option<Duration>,
}

/// What errors call Replicate.
pub const NAME: &str = "replicate";
/// Where the key is looked for: LiteLLM's name, then that of Replicate's own clients.
pub const API_KEY_VARIABLES: &[&str] = &["REPLICATE_API_KEY", "REPLICATE_API_TOKEN"];
/// Where the address is looked for.
pub const API_BASE_VARIABLES: &[&str] = &["REPLICATE_BASE_URL", "REPLICATE_API_BASE"];
/// Replicate's own address.
pub const DEFAULT_API_BASE: &str = "https://api.replicate.com";

// Cold boots take 3 to 5 minutes, says LiteLLM's page; Replicate itself ends runs at 30 minutes.
const BOOT: Duration = Duration::from_secs(15 * 60);
const RUN: Duration = Duration::from_secs(30 * 60);
const FIRST_BYTE: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(30);
const MAX_BODY: usize = 64 << 20;
const NOTHING: &[u8] = b"null";
