use llm_provider::{
    ApiKey, BaseUrl, ParamSpec, ProviderSpec, Result, Settings, TEMPLATE_SETTINGS, TEXT_COMPLETION,
    ValueKind,
};
use prompt_templates::{Prompts, TemplateRegistry};
use serde::Deserialize;

/// The prefix of Together's model names, as in LiteLLM.
pub const NAME: &str = "together_ai";

/// The default address.
pub const DEFAULT_API_BASE: &str = "https://api.together.ai/v1";

/// The environment variables of the key; the first that is set counts: the one in LiteLLM's
/// documentation, Together's own, and two others that LiteLLM accepts.
pub const API_KEY_VARIABLES: &[&str] = &[
    "TOGETHERAI_API_KEY",
    "TOGETHER_API_KEY",
    "TOGETHER_AI_API_KEY",
    "TOGETHER_AI_TOKEN",
];

/// The environment variables of the address: LiteLLM's, then Together's own.
pub const API_BASE_VARIABLES: &[&str] = &["TOGETHER_AI_API_BASE", "TOGETHER_BASE_URL"];

/// The declaration of the provider.
pub fn spec() -> ProviderSpec {
    ProviderSpec::new(NAME)
        .with_api_key(API_KEY_VARIABLES)
        .with_api_base(DEFAULT_API_BASE, API_BASE_VARIABLES)
        .with_settings([TEXT_COMPLETION])
        .with_settings(TEMPLATE_SETTINGS.iter().copied())
        .with_params(PARAMS.iter().copied())
}

/// The parameters that Together has besides OpenAI's, in alphabetical order.
const PARAMS: &[ParamSpec] = &[
    ParamSpec::new("chat_template_kwargs", ValueKind::Map),
    ParamSpec::new("compliance", ValueKind::Text),
    ParamSpec::new("context_length_exceeded_behavior", ValueKind::Text),
    ParamSpec::new("min_p", ValueKind::Number),
    ParamSpec::new("reasoning", ValueKind::Any),
    ParamSpec::new("repetition_penalty", ValueKind::Number),
    ParamSpec::new("safety_model", ValueKind::Text),
    ParamSpec::new("top_k", ValueKind::Integer),
];

/// The key, the address and the specific settings of an account.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) api_key: ApiKey,
    pub(crate) api_base: BaseUrl,
    pub(crate) specific: SpecificSettings,
}

impl Config {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        spec().check(settings)?;
        let mut specific: SpecificSettings = settings.extra_as(NAME)?;
        if let Some(templates) = settings.extensions.get::<TemplateRegistry>() {
            specific.prompts.register_all(templates);
        }
        Ok(Self {
            // The address first: an invalid one is reported with or without a key.
            api_base: settings.api_base_or(NAME, API_BASE_VARIABLES, DEFAULT_API_BASE)?,
            api_key: settings.require_api_key(NAME, API_KEY_VARIABLES)?,
            specific,
        })
    }
}

/// The settings that not every provider has.
#[derive(Debug, Deserialize)]
pub(crate) struct SpecificSettings {
    /// LiteLLM's keys of a template, and the policy for control tokens.
    #[serde(flatten)]
    pub(crate) prompts: Prompts,
    /// Whether the models take prompts, not chats.
    #[serde(default)]
    pub(crate) text_completion: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declared_template_settings_are_those_that_templates_are_read_from() {
        let mut declared: Vec<_> = TEMPLATE_SETTINGS.iter().map(|it| it.name).collect();
        declared.sort_unstable();
        assert_eq!(declared, Prompts::SETTINGS);
    }
}
