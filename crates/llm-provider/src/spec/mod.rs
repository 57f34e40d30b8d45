//! Declarations: the settings and parameters of a provider, with their types.

mod common;
mod setting;
mod value;

use crate::text::excerpt;
use crate::{Error, ErrorKind, Result, Settings, similar_name};

pub use self::common::{COMMON_SETTINGS, TEMPLATE_SETTINGS, TEXT_COMPLETION};
pub use self::setting::{SettingSpec, settings_table};
pub use self::value::{SettingValue, ValueKind};

/// The declaration of a provider: its name, its settings, and the parameters of its API.
///
/// A provider passes it to [`Registry::register`](crate::Registry::register), and checks its
/// [`Settings`] against it. Configurations, commands and documents read it from the registry.
///
/// ```
/// use llm_provider::{ParamSpec, ProviderSpec, SettingSpec, SettingValue, Settings, ValueKind};
///
/// let spec = ProviderSpec::new("acme")
///     .with_api_key(&["ACME_API_KEY"])
///     .with_api_base("https://api.acme.example", &["ACME_API_BASE"])
///     .with_settings([
///         SettingSpec::new("region", ValueKind::Text, "The region that serves the calls")
///             .with_default(SettingValue::Text("eu")),
///     ])
///     .with_params([ParamSpec::new("watermark", ValueKind::Bool)]);
///
/// assert!(spec.check(&Settings::new().with_extra("region", "us")).is_ok());
/// let error = spec.check(&Settings::new().with_extra("regoin", "us")).unwrap_err();
/// assert_eq!(error.message(), "unknown setting `regoin`; did you mean `region`?");
/// ```
#[derive(Clone, Debug)]
pub struct ProviderSpec {
    name: &'static str,
    settings: Vec<SettingSpec>,
    params: Vec<ParamSpec>,
}

impl ProviderSpec {
    /// Declares a provider with the [settings of all providers](COMMON_SETTINGS). `name` is the
    /// prefix of its model names.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            settings: COMMON_SETTINGS.to_vec(),
            params: Vec::new(),
        }
    }

    /// Sets the environment variables of the key; the first that is set counts.
    #[must_use]
    pub fn with_api_key(self, variables: &'static [&'static str]) -> Self {
        self.with_settings([common::API_KEY.with_variables(variables)])
    }

    /// Sets the default address, and the environment variables that replace it; the first that is
    /// set counts.
    #[must_use]
    pub fn with_api_base(self, default: &'static str, variables: &'static [&'static str]) -> Self {
        let default = SettingValue::Text(default);
        let base = common::API_BASE.with_default(default);
        self.with_settings([base.with_variables(variables)])
    }

    /// Adds settings. One with the name of an earlier one replaces it.
    #[must_use]
    pub fn with_settings(mut self, settings: impl IntoIterator<Item = SettingSpec>) -> Self {
        for setting in settings {
            let mut declared = self.settings.iter_mut();
            match declared.find(|declared| declared.name == setting.name) {
                Some(declared) => *declared = setting,
                None => self.settings.push(setting),
            }
        }
        self
    }

    /// Adds parameters that requests to this provider may have besides those of the
    /// [endpoints](crate::Endpoint::params).
    #[must_use]
    pub fn with_params(mut self, params: impl IntoIterator<Item = ParamSpec>) -> Self {
        self.params.extend(params);
        self
    }

    /// The provider's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// All settings, those of all providers first.
    pub fn settings(&self) -> &[SettingSpec] {
        &self.settings
    }

    /// The settings whose declaration is not that of all providers: those that only this provider
    /// has, and those with another default or other environment variables.
    pub fn specific_settings(&self) -> impl Iterator<Item = &SettingSpec> {
        let declared = self.settings.iter();
        declared.filter(|setting| !COMMON_SETTINGS.contains(setting))
    }

    /// The setting `name`.
    pub fn setting(&self, name: &str) -> Option<&SettingSpec> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// The parameters of this provider's API besides those of the endpoints.
    pub fn params(&self) -> &[ParamSpec] {
        &self.params
    }

    /// Checks that [`Settings::extra`] has only declared settings, so that a typing mistake is not
    /// ignored, and that each has its type.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`], with the name of the setting, and the most similar declared
    /// one if it is unknown.
    pub fn check(&self, settings: &Settings) -> Result<()> {
        for (name, value) in &settings.extra {
            let Some(setting) = self.setting(name) else {
                return Err(self.unknown(name));
            };
            if !setting.kind.accepts(value) {
                let message = format!("bad setting: {name}: expected {}", setting.kind);
                return Err(self.invalid(name, message));
            }
        }
        Ok(())
    }

    fn unknown(&self, unknown: &str) -> Error {
        let specific = self.settings.iter().filter(|setting| !setting.is_common());
        let specific: Vec<&str> = specific.map(|setting| setting.name).collect();
        let hint = match similar_name(unknown, self.settings.iter().map(|it| it.name)) {
            Some(similar) => format!("; did you mean `{similar}`?"),
            None if specific.is_empty() => String::new(),
            None => format!("; known: {}", specific.join(", ")),
        };
        self.invalid(
            unknown,
            format!("unknown setting `{}`{hint}", excerpt(unknown)),
        )
    }

    fn invalid(&self, setting: &str, message: String) -> Error {
        Error::new(ErrorKind::InvalidRequest, message)
            .with_provider(self.name)
            .with_param(setting.to_owned())
    }
}

/// A provider with the settings of all providers only.
impl From<&'static str> for ProviderSpec {
    fn from(name: &'static str) -> Self {
        Self::new(name)
    }
}

/// The declaration of a parameter: a member of a request that controls generation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ParamSpec {
    /// The name.
    pub name: &'static str,
    /// The type.
    pub kind: ValueKind,
}

impl ParamSpec {
    /// Declares a parameter.
    pub const fn new(name: &'static str, kind: ValueKind) -> Self {
        Self { name, kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme() -> ProviderSpec {
        let text = |name| SettingSpec::new(name, ValueKind::Text, "A text");
        ProviderSpec::new("acme").with_settings([text("roles"), text("prefer_wait")])
    }

    #[test]
    fn a_setting_of_the_wrong_type_is_named_without_its_value() {
        let error = acme().check(&Settings::new().with_extra("roles", 4711));
        let error = error.unwrap_err();
        assert_eq!(error.message(), "bad setting: roles: expected text");
        assert_eq!(error.param(), Some("roles"));
        assert!(!format!("{error:?}").contains("4711"));
    }

    #[test]
    fn an_undeclared_setting_is_an_error_with_the_most_similar_declared_one() {
        let check = |name: &str| acme().check(&Settings::new().with_extra(name, "secret"));
        assert!(check("roles").is_ok());
        for (name, message) in [
            ("role", "unknown setting `role`; did you mean `roles`?"),
            (
                "api_kye",
                "unknown setting `api_kye`; did you mean `api_key`?",
            ),
            (
                "budget",
                "unknown setting `budget`; known: roles, prefer_wait",
            ),
        ] {
            let error = check(name).unwrap_err();
            assert_eq!((error.message(), error.param()), (message, Some(name)));
            assert_eq!(error.provider(), Some("acme"));
            assert!(!format!("{error:?}").contains("secret"));
        }
        let long = check(&"x\n".repeat(1 << 20)).unwrap_err();
        assert!(long.message().len() < 1000 && !long.message().contains('\n'));
    }

    #[test]
    fn the_readme_lists_the_settings_of_all_providers() {
        let table = settings_table(COMMON_SETTINGS);
        assert!(include_str!("../../README.md").contains(&table), "{table}");
    }

    #[test]
    fn a_setting_that_is_declared_again_replaces_the_earlier_declaration() {
        let spec = acme().with_api_key(&["ACME_API_KEY"]);
        assert_eq!(spec.settings().len(), COMMON_SETTINGS.len() + 2);
        let key = spec.setting("api_key").unwrap();
        assert_eq!(key.variables, ["ACME_API_KEY"]);
        let specific: Vec<_> = spec.specific_settings().map(|it| it.name).collect();
        assert_eq!(specific, ["api_key", "roles", "prefer_wait"]);
    }
}
