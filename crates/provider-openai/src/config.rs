use llm_provider::{
    ApiKey, BaseUrl, Capabilities, Capability, ProviderSpec, Result, SettingSpec, SettingValue,
    Settings, ValueKind,
};
use serde_json::Value;

/// The prefix of model names of OpenAI and of compatible upstreams, as in LiteLLM.
pub const NAME: &str = "openai";

/// OpenAI's own address.
pub const DEFAULT_API_BASE: &str = "https://api.openai.com/v1";

/// The environment variables of the key; the first that is set counts.
pub const API_KEY_VARIABLES: &[&str] = &["OPENAI_API_KEY"];

/// The environment variables of the address: that of OpenAI's clients, then LiteLLM's older one.
pub const API_BASE_VARIABLES: &[&str] = &["OPENAI_BASE_URL", "OPENAI_API_BASE"];

/// The declaration of the provider: the common settings, with a key and an address.
pub fn spec() -> ProviderSpec {
    ProviderSpec::new(NAME)
        .with_api_key(API_KEY_VARIABLES)
        .with_api_base(DEFAULT_API_BASE, API_BASE_VARIABLES)
        .with_settings(NATIVE.map(|(setting, _)| setting))
}

/// The settings for the APIs that an upstream has itself.
const NATIVE: [(SettingSpec, Capability); 2] = [
    (
        SettingSpec::new(
            "native_messages",
            ValueKind::Bool,
            "Whether the upstream has Anthropic's Messages API at `/v1/messages`; its requests then go \
             through unchanged",
        )
        .with_default(SettingValue::Bool(false)),
        Capability::Messages,
    ),
    (
        SettingSpec::new(
            "native_responses",
            ValueKind::Bool,
            "Whether the upstream has the Responses API at `/v1/responses`; its requests then go \
             through unchanged",
        )
        .with_default(SettingValue::Bool(false)),
        Capability::Responses,
    ),
];

/// The address of the upstream and its key.
#[derive(Debug)]
pub(crate) struct Config {
    /// Empty for an upstream that needs none.
    pub(crate) api_key: ApiKey,
    pub(crate) api_base: BaseUrl,
    pub(crate) capabilities: Capabilities,
}

impl Config {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        spec().check(settings)?;
        let api_base = settings.api_base_or(NAME, API_BASE_VARIABLES, DEFAULT_API_BASE)?;
        let is_openai = is_openai(&api_base);
        // The key in the environment belongs to OpenAI, or to the address in the environment. It
        // must not be sent to an address from the settings.
        let variables = match settings.api_base.is_none() || is_openai {
            true => API_KEY_VARIABLES,
            false => &[],
        };
        let api_key = match settings.require_api_key(NAME, variables) {
            // The error for an invalid key has a code; the one for a missing key has none.
            Err(error) if !is_openai && error.code().is_none() => ApiKey::new(""),
            key => key?,
        };
        let is_set = |name| settings.extra.get(name).and_then(Value::as_bool) == Some(true);
        let native = NATIVE.iter().filter(|(setting, _)| is_set(setting.name));
        let native = Capabilities::new(native.map(|(_, capability)| *capability));
        Ok(Self {
            api_key,
            api_base,
            capabilities: Capabilities::ALL.or(native),
        })
    }
}

/// Whether an address is OpenAI's own, in any of its regions.
fn is_openai(base: &BaseUrl) -> bool {
    let host = base.host().to_ascii_lowercase();
    let host = host.split(':').next().unwrap_or_default();
    host == "openai.com" || host.ends_with(".openai.com")
}

#[cfg(test)]
mod tests {
    use llm_provider::ErrorKind;

    use super::*;

    #[test]
    fn only_openai_itself_is_recognized() {
        let is = |base| is_openai(&BaseUrl::parse(base).unwrap());
        assert!(is("https://api.openai.com/v1"));
        assert!(is("https://EU.api.openai.com:443"));
        assert!(!is("https://openai.com.example"));
        assert!(!is("https://notopenai.com"));
        assert!(!is("http://localhost:8000/v1"));
    }

    #[test]
    fn a_compatible_upstream_needs_no_key() {
        let settings = Settings::new().with_api_base("http://localhost:8000/v1");
        assert!(Config::new(&settings).unwrap().api_key.is_empty());
        let settings = settings.with_api_key(ApiKey::new("local-key"));
        let config = Config::new(&settings).unwrap();
        assert_eq!(config.api_key.expose(), "local-key");
    }

    #[test]
    fn openai_needs_a_key() {
        if ApiKey::from_env(API_KEY_VARIABLES).is_some() {
            return; // The environment of this process has one.
        }
        let settings = Settings::new().with_api_base(DEFAULT_API_BASE);
        let error = Config::new(&settings).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert!(error.message().contains("OPENAI_API_KEY"), "{error}");
    }

    #[test]
    fn an_unknown_setting_is_an_error() {
        let settings = Settings::new()
            .with_api_base("http://localhost")
            .with_extra("roles", "x");
        let error = Config::new(&settings).unwrap_err();
        assert_eq!(error.param(), Some("roles"));
    }
}
