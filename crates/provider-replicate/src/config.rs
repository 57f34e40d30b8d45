use std::time::Duration;

use llm_provider::{Result, Settings, seconds};
use prompt_templates::{Prompts, TemplateRegistry};
use serde::Deserialize;

use crate::NAME;

/// The settings that not every provider has, apart from those of
/// [`replicate_api::ReplicateClient`].
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) prompts: Prompts,
    /// How long Replicate shall hold its answer to a plain call (`Prefer: wait`).
    pub(crate) prefer_wait: Duration,
}

impl Config {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let known = [Prompts::SETTINGS, OTHERS].concat();
        settings.deny_unknown_extra(NAME, &known)?;
        let mut own: Own = settings.extra_as(NAME)?;
        let templates = settings.extensions.get::<TemplateRegistry>();
        for (model, template) in templates.into_iter().flat_map(TemplateRegistry::iter) {
            own.prompts.register(model, template.clone());
        }
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

/// The settings that are not about prompts. `boot_timeout` and `run_timeout` are read by
/// [`replicate_api::ReplicateClient`]; `text_completion` changes nothing, as all models here take prompts.
const OTHERS: &[&str] = &[
    "boot_timeout",
    "prefer_wait",
    "run_timeout",
    "text_completion",
];

// A caller who leaves during the wait leaves a prediction whose id nobody knows yet: so not long.
const WAIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use llm_provider::ApiKey;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_setting_that_is_known_is_read() {
        let known = [Prompts::SETTINGS, OTHERS].concat();
        for name in known.into_iter().filter(|name| *name != "text_completion") {
            let settings = Settings::new()
                .with_api_key(ApiKey::new("k"))
                .with_extra(name, json!([[7]]));
            let error = crate::client::Replicate::new(settings).unwrap_err();
            assert!(
                error.message().starts_with("bad setting"),
                "{name}: {error}"
            );
        }
    }
}
