//! Settings: from a program, a config file, or the environment.

use std::time::Duration;

use http::HeaderValue;
use llm_provider::retry::Policy;
use llm_provider::{ApiKey, BaseUrl, HttpClient, Result, Settings, Timeouts, seconds};
use prompt_templates::Prompts;
use serde::Deserialize;

use crate::NAME;

/// What a [`Replicate`](crate::Replicate) is set up with.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) http: HttpClient,
    pub(crate) retries: Policy,
    pub(crate) timeouts: Timeouts,
    pub(crate) api_key: ApiKey,
    pub(crate) base: BaseUrl,
    pub(crate) authorization: HeaderValue,
    pub(crate) prompts: Prompts,
    pub(crate) limits: Limits,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From the creation of a prediction to its start: the queue and a cold boot.
    pub(crate) boot: Duration,
    /// From its start to its end.
    pub(crate) run: Duration,
    /// How long Replicate shall hold its answer to a plain call (`Prefer: wait`).
    pub(crate) wait: Duration,
}

impl Config {
    pub(crate) fn new(settings: Settings) -> Result<Self> {
        let extra: Extra = settings.extra_as(NAME)?;
        let base = settings.api_base_or(NAME, API_BASE_VARIABLES, DEFAULT_API_BASE)?;
        let api_key = settings.require_api_key(NAME, API_KEY_VARIABLES)?;
        let authorization = api_key.bearer()?;
        Ok(Self {
            base,
            authorization,
            prompts: extra.prompts,
            limits: Limits {
                boot: extra.boot_timeout.unwrap_or(BOOT),
                run: extra.run_timeout.unwrap_or(RUN),
                wait: extra.prefer_wait.unwrap_or(WAIT),
            },
            http: settings.http_client()?,
            retries: settings.retries(),
            timeouts: settings.timeouts(),
            api_key,
        })
    }
}

/// The settings that not every provider has.
#[derive(Deserialize)]
struct Extra {
    /// LiteLLM's keys of a template, and the policy for control tokens.
    #[serde(flatten)]
    prompts: Prompts,
    #[serde(default, deserialize_with = "seconds")]
    boot_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "seconds")]
    run_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "seconds")]
    prefer_wait: Option<Duration>,
}

/// Where the key is looked for: LiteLLM's name, then that of Replicate's own clients.
pub const API_KEY_VARIABLES: &[&str] = &["REPLICATE_API_KEY", "REPLICATE_API_TOKEN"];
/// Where the address is looked for.
pub const API_BASE_VARIABLES: &[&str] = &["REPLICATE_BASE_URL", "REPLICATE_API_BASE"];
/// Replicate's own address.
pub const DEFAULT_API_BASE: &str = "https://api.replicate.com";

// Cold boots take 3 to 5 minutes, says LiteLLM's page; Replicate itself ends runs at 30 minutes.
const BOOT: Duration = Duration::from_secs(15 * 60);
const RUN: Duration = Duration::from_secs(30 * 60);
// A caller who leaves during the wait leaves a prediction whose id nobody knows yet: so not long.
const WAIT: Duration = Duration::from_secs(5);
