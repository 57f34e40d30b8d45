//! The provider's settings and parameters.

use std::time::Duration;

use llm_provider::{
    ParamSpec, ProviderSpec, Result, SettingSpec, SettingValue, Settings, TEMPLATE_SETTINGS,
    TEXT_COMPLETION, ValueKind, seconds,
};
use prompt_templates::{Prompts, TemplateRegistry};
use serde::Deserialize;

use crate::NAME;

/// The declaration of the provider.
pub fn spec() -> ProviderSpec {
    replicate_api::spec()
        .with_settings([TIMEOUT])
        .with_settings([PREFER_WAIT, TEXT_COMPLETION.with_doc(ALWAYS_PROMPTS)])
        .with_settings(TEMPLATE_SETTINGS.iter().copied())
        .with_params(PARAMS.iter().copied())
}

const TIMEOUT: SettingSpec = SettingSpec::new(
    "timeout",
    ValueKind::PositiveSeconds,
    "The time limit of a call, until the first chunk of a stream; by default those of \
     `boot_timeout` and `run_timeout`",
);

const PREFER_WAIT: SettingSpec = SettingSpec::new(
    "prefer_wait",
    ValueKind::Seconds,
    "How long Replicate holds back its response to a call that is not streamed, at most 60",
)
.with_default(SettingValue::Seconds(WAIT));

const ALWAYS_PROMPTS: &str = "Has no effect: all models take prompts";

/// The inputs that Replicate documents for its language models besides OpenAI's parameters, in
/// alphabetical order.
const PARAMS: &[ParamSpec] = &[
    ParamSpec::new("debug", ValueKind::Bool),
    ParamSpec::new("decoding", ValueKind::Text),
    ParamSpec::new("extended_thinking", ValueKind::Bool),
    ParamSpec::new("image", ValueKind::Text),
    ParamSpec::new("image_input", ValueKind::Any),
    ParamSpec::new("length_penalty", ValueKind::Number),
    ParamSpec::new("log_performance_metrics", ValueKind::Bool),
    ParamSpec::new("max_image_resolution", ValueKind::Number),
    ParamSpec::new("max_length", ValueKind::Integer),
    ParamSpec::new("max_new_tokens", ValueKind::Integer),
    ParamSpec::new("max_output_tokens", ValueKind::Integer),
    ParamSpec::new("min_new_tokens", ValueKind::Integer),
    ParamSpec::new("min_tokens", ValueKind::Integer),
    ParamSpec::new("num_beams", ValueKind::Integer),
    ParamSpec::new("prompt_template", ValueKind::Text),
    ParamSpec::new("repetition_penalty", ValueKind::Number),
    ParamSpec::new("replicate_weights", ValueKind::Text),
    ParamSpec::new("stop_sequences", ValueKind::Any),
    ParamSpec::new("system_prompt", ValueKind::Text),
    ParamSpec::new("thinking_budget_tokens", ValueKind::Integer),
    ParamSpec::new("top_k", ValueKind::Integer),
];

/// The provider's settings, without those of [`replicate_api::ReplicateClient`].
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) prompts: Prompts,
    /// How long Replicate waits for the output before it responds to a call that is not streamed
    /// (`Prefer: wait`).
    pub(crate) prefer_wait: Duration,
}

impl Config {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        spec().check(settings)?;
        let mut specific: SpecificSettings = settings.extra_as(NAME)?;
        if let Some(templates) = settings.extensions.get::<TemplateRegistry>() {
            specific.prompts.register_all(templates);
        }
        Ok(Self {
            prompts: specific.prompts,
            prefer_wait: specific.prefer_wait.unwrap_or(WAIT),
        })
    }
}

#[derive(Deserialize)]
struct SpecificSettings {
    /// LiteLLM's keys of a template, and the policy for control tokens.
    #[serde(flatten)]
    prompts: Prompts,
    #[serde(default, deserialize_with = "seconds")]
    prefer_wait: Option<Duration>,
    /// Read for its type only: all models here take prompts.
    #[serde(default, rename = "text_completion")]
    _text_completion: bool,
}

// During the wait, the id of the prediction is unknown, so an abandoned call cannot be cancelled.
const WAIT: Duration = Duration::from_secs(5);
