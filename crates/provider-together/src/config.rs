use llm_provider::{ApiKey, BaseUrl, Result, Settings};
use prompt_templates::{Prompts, TemplateRegistry};
use serde::Deserialize;

/// What Together's model names are prefixed with, as in LiteLLM.
pub const NAME: &str = "together_ai";

/// Where Together is, unless the settings or the environment say otherwise.
pub const DEFAULT_API_BASE: &str = "https://api.together.ai/v1";

/// The environment variables that may hold the key, first hit wins: the one that LiteLLM's page
/// names, Together's own, and the two more that LiteLLM accepts.
pub const API_KEY_VARIABLES: &[&str] = &[
    "TOGETHERAI_API_KEY",
    "TOGETHER_API_KEY",
    "TOGETHER_AI_API_KEY",
    "TOGETHER_AI_TOKEN",
];

/// The environment variables that may hold the address: LiteLLM's and Together's own.
pub const API_BASE_VARIABLES: &[&str] = &["TOGETHER_AI_API_BASE", "TOGETHER_BASE_URL"];

/// Where Together is, who we are there, and how prompts are written.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) api_key: ApiKey,
    pub(crate) api_base: BaseUrl,
    pub(crate) own: Own,
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
            // The address first: a wrong one is reported whether there is a key or not.
            api_base: settings.api_base_or(NAME, API_BASE_VARIABLES, DEFAULT_API_BASE)?,
            api_key: settings.require_api_key(NAME, API_KEY_VARIABLES)?,
            own,
        })
    }
}

/// The settings that not every provider has.
#[derive(Debug, Deserialize)]
pub(crate) struct Own {
    /// LiteLLM's keys of a template, and the policy for control tokens.
    #[serde(flatten)]
    pub(crate) prompts: Prompts,
    /// Whether the models take prompts, not chats.
    #[serde(default)]
    pub(crate) text_completion: bool,
}

/// The settings that are not about prompts.
const OTHERS: &[&str] = &["text_completion"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_setting_that_is_known_is_read() {
        for name in [Prompts::SETTINGS, OTHERS].concat() {
            let settings = Settings::new()
                .with_api_key(ApiKey::new("k"))
                .with_extra(name, json!([[7]]));
            let error = Config::new(&settings).unwrap_err();
            assert!(
                error.message().starts_with("bad setting"),
                "{name}: {error}"
            );
        }
    }
}
