use std::fmt::Write;

use super::common::COMMON_SETTINGS;
use super::value::{SettingValue, ValueKind};

/// The declaration of a setting: its name, its type, its default and what it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SettingSpec {
    /// The name, as in [`Settings`](crate::Settings) and in a configuration.
    pub name: &'static str,
    /// The type.
    pub kind: ValueKind,
    /// The value that counts if neither the setting nor an environment variable is set.
    pub default: Option<SettingValue>,
    /// The environment variables that are read if the setting is not set; the first that is set
    /// counts.
    pub variables: &'static [&'static str],
    /// What it does, in a sentence without a period.
    pub doc: &'static str,
}

impl SettingSpec {
    /// Declares a setting without a default and without environment variables.
    pub const fn new(name: &'static str, kind: ValueKind, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            default: None,
            variables: &[],
            doc,
        }
    }

    /// Sets the default.
    #[must_use]
    pub const fn with_default(mut self, default: SettingValue) -> Self {
        self.default = Some(default);
        self
    }

    /// Replaces the sentence about what it does.
    #[must_use]
    pub const fn with_doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    /// Sets the environment variables.
    #[must_use]
    pub const fn with_variables(mut self, variables: &'static [&'static str]) -> Self {
        self.variables = variables;
        self
    }

    /// Whether every provider has a setting of this name.
    pub fn is_common(&self) -> bool {
        COMMON_SETTINGS
            .iter()
            .any(|common| common.name == self.name)
    }
}

/// A Markdown table of settings, for a README.
///
/// ```
/// use llm_provider::{SettingSpec, ValueKind, settings_table};
///
/// let key = SettingSpec::new("api_key", ValueKind::Secret, "The key").with_variables(&["KEY"]);
/// assert_eq!(
///     settings_table([&key]),
///     "| setting | type | default | meaning |\n|---|---|---|---|\n\
///      | `api_key` | secret | environment variable `KEY` | The key |\n",
/// );
/// ```
pub fn settings_table<'s>(settings: impl IntoIterator<Item = &'s SettingSpec>) -> String {
    let mut table = String::from("| setting | type | default | meaning |\n|---|---|---|---|\n");
    for SettingSpec {
        name,
        kind,
        default,
        variables,
        doc,
    } in settings
    {
        let variables = match variables {
            [] => None,
            [one] => Some(format!("environment variable `{one}`")),
            many => Some(format!("environment variables `{}`", many.join("`, `"))),
        };
        let default = default.map(|default| format!("`{default}`"));
        let default: Vec<String> = variables.into_iter().chain(default).collect();
        let default = default.join(", else ");
        let space = if default.is_empty() { "" } else { " " };
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| `{name}` | {kind} |{space}{default} | {doc} |");
    }
    table
}
