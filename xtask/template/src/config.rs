//! Acme's name, its settings and their environment variables.

use llm_provider::{ParamSpec, ProviderSpec, Result, SettingSpec, SettingValue, Settings, ValueKind};
use serde::Deserialize;

/// The prefix of Acme's model names.
pub const NAME: &str = "acme";

/// The default address.
pub const DEFAULT_API_BASE: &str = "https://api.acme.example/v1";

/// The environment variables of the key; the first that is set counts.
pub const API_KEY_VARIABLES: &[&str] = &["ACME_API_KEY"];

/// The environment variables of the address; the first that is set counts.
pub const API_BASE_VARIABLES: &[&str] = &["ACME_API_BASE"];

/// The declaration of the provider: gateway, command line and documents read it.
pub fn spec() -> ProviderSpec {
    ProviderSpec::new(NAME)
        .with_api_key(API_KEY_VARIABLES)
        .with_api_base(DEFAULT_API_BASE, API_BASE_VARIABLES)
        .with_settings([SAFE_MODE])
        .with_params([ParamSpec::new("safe_mode", ValueKind::Bool)])
}

const SAFE_MODE: SettingSpec = SettingSpec::new(
    "safe_mode",
    ValueKind::Bool,
    "Whether Acme filters the output of requests that do not set `safe_mode`",
)
.with_default(SettingValue::Bool(false));

/// The settings that not every provider has.
#[derive(Debug, Deserialize)]
pub(crate) struct SpecificSettings {
    #[serde(default)]
    pub(crate) safe_mode: bool,
}

impl SpecificSettings {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        spec().check(settings)?;
        settings.extra_as(NAME)
    }
}
