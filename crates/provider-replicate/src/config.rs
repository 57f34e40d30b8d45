use std::time::Duration;

use llm_provider::{Result, Settings, seconds};
use prompt_templates::Prompts;
use serde::Deserialize;

use crate::NAME;

/// The settings that not every provider has, apart from those of
/// [`replicate_api::Client`].
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) prompts: Prompts,
    /// How long Replicate shall hold its answer to a plain call (`Prefer: wait`).
    pub(crate) prefer_wait: Duration,
}

impl Config {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let own: Own = settings.extra_as(NAME)?;
        Ok(Self {
            prompts: own.prompts,
            prefer_wait: own.prefer_wait.unwrap_or(WAIT),
        })
    }
}

#[derive(Deserialize)]
struct Own {
    /// LiteLLM's keys of a template, and the policy for control tokens.
    #[serde(flatten)]
    prompts: Prompts,
    #[serde(default, deserialize_with = "seconds")]
    prefer_wait: Option<Duration>,
}

// A caller who leaves during the wait leaves a prediction whose id nobody knows yet: so not long.
const WAIT: Duration = Duration::from_secs(5);
