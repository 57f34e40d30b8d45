//! `litellm_params`: the settings of a deployment, and the default parameters of its requests.

use std::collections::HashMap;

use llm_provider::{ProviderSpec, SettingSpec, Settings, similar_name};
use serde_json::{Map, Value};

use super::declarations::Declarations;
use super::groups::Metrics;
use super::limits::Limits;
use super::names::{is_secret, quoted};
use super::param_keys as keys;
use super::problem::Position;
use super::reader::{Reader, Section};
use super::yaml::Entry;

/// The `litellm_params` of one model.
pub(super) struct Params {
    /// The model with its provider's prefix.
    pub(super) model: String,
    pub(super) model_at: Position,
    /// Whether every setting in the file has a valid value.
    pub(super) is_complete: bool,
    pub(super) settings: Settings,
    /// Request parameters for calls that do not set them.
    pub(super) defaults: Map<String, Value>,
    pub(super) metrics: Metrics,
    pub(super) limits: Limits,
    /// The position of each key's value, for errors of the provider.
    pub(super) positions: HashMap<String, Position>,
}

impl Params {
    pub(super) fn read(
        reader: &mut Reader<'_>,
        mut section: Section,
        declarations: &Declarations<'_>,
    ) -> Option<Self> {
        let positions = section.positions();
        if section.find(keys::MODEL).is_none_or(Entry::is_empty) {
            let help = "give the provider and its model, such as `model: PROVIDER/MODEL`";
            reader.error_with_help(section.at, "`litellm_params` has no `model`", help);
        }
        let model = reader.take_text(&mut section, keys::MODEL);
        let provider = model
            .as_ref()
            .and_then(|(model, _)| declarations.provider_of(model));
        let metrics = keys::METRICS.map(|metric| reader.take_amount(&mut section, metric));
        let limits = Limits::read(reader, &mut section);
        let mut values = SettingValues::default();
        for setting in declarations.settings(provider) {
            values.read(reader, &mut section, setting);
        }
        let is_complete = values.is_complete;
        let settings = values.into_settings(reader, section.at);
        let params = DefaultParams {
            declarations,
            provider,
        };
        let defaults = params.read(reader, section);
        let (model, model_at) = model?;
        Some(Self {
            model,
            model_at,
            is_complete,
            settings,
            defaults,
            metrics,
            limits,
            positions,
        })
    }
}

/// The values of settings by name.
struct SettingValues {
    values: Map<String, Value>,
    is_complete: bool,
}

impl Default for SettingValues {
    fn default() -> Self {
        Self {
            values: Map::new(),
            is_complete: true,
        }
    }
}

impl SettingValues {
    /// Takes a setting out of the section, under its own name and LiteLLM's other one.
    fn read(&mut self, reader: &mut Reader<'_>, section: &mut Section, setting: &SettingSpec) {
        let aliases = keys::ALIASES.iter();
        let aliases = aliases.filter(|(_, name)| *name == setting.name);
        let aliases = aliases.map(|(alias, _)| *alias);
        for name in aliases.chain([setting.name]) {
            let Some(entry) = reader.take(section, name) else {
                continue;
            };
            match reader.value(&entry, setting.kind) {
                Some(value) => self.insert(setting.name, value),
                None => self.is_complete = false,
            }
        }
    }

    /// Sets a value. Headers of both names are sent, as in LiteLLM.
    fn insert(&mut self, name: &str, value: Value) {
        match (self.values.get_mut(name), value) {
            (Some(Value::Object(before)), Value::Object(value)) => before.extend(value),
            (_, value) => drop(self.values.insert(name.to_owned(), value)),
        }
    }

    fn into_settings(self, reader: &mut Reader<'_>, at: Position) -> Settings {
        Settings::try_from(self.values).unwrap_or_else(|error| {
            reader.error(at, error.message());
            Settings::new()
        })
    }
}

/// Reads the keys that are left after the settings: request parameters that an API is known to
/// have, and `extra_body`. No other key reaches the body of a request: it might be a secret.
struct DefaultParams<'d, 'r> {
    declarations: &'d Declarations<'r>,
    provider: Option<&'r ProviderSpec>,
}

impl DefaultParams<'_, '_> {
    fn read(&self, reader: &mut Reader<'_>, mut section: Section) -> Map<String, Value> {
        let extra_body = section.take(keys::EXTRA_BODY);
        let mut params = Map::new();
        for mut entry in section.entries {
            let Some(kind) = self.declarations.param(&entry.key) else {
                self.warn(reader, &entry);
                continue;
            };
            if entry.is_empty() {
                continue;
            }
            reader.resolve(&mut entry.value);
            if let Some(value) = reader.value(&entry, kind) {
                params.insert(entry.key, value);
            }
        }
        if let Some(body) = extra_body {
            self.read_extra_body(reader, body, &mut params);
        }
        params
    }

    /// Adds the members of `extra_body`, which are sent as they are.
    fn read_extra_body(
        &self,
        reader: &mut Reader<'_>,
        body: Entry,
        params: &mut Map<String, Value>,
    ) {
        let Some(section) = reader.section("`extra_body`", body.value) else {
            return;
        };
        for mut entry in section.entries {
            let Entry { key, at, .. } = &entry;
            if is_set_by_requests(key) {
                self.warn(reader, &entry);
            } else if self.declarations.param(key).is_none() && is_secret(key) {
                let similar = reader.suggest(key, self.declarations.names(self.provider));
                let message = format!("{} looks like a secret and is not sent", quoted(key));
                reader.warn(*at, message, similar);
            } else {
                reader.resolve(&mut entry.value);
                if !entry.value.is_broken() {
                    params.insert(entry.key, entry.value.into_json());
                }
            }
        }
    }

    /// Warns of a key that has no effect, and says what to do about it.
    fn warn(&self, reader: &mut Reader<'_>, entry: &Entry) {
        let Entry { key, at, .. } = entry;
        let name = quoted(key);
        if is_set_by_requests(key) {
            let message = format!("{name} is set by each request and is ignored here");
            reader.warn(*at, message, None);
        } else if let Some((other, this)) = self.other_provider(key) {
            let message = format!("{name} is a setting of {other}; {this} ignores it");
            reader.warn(*at, message, None);
        } else if keys::IGNORED.contains(&key.as_str()) {
            let message = format!("{name} is not supported yet and is ignored");
            reader.warn(*at, message, None);
        } else {
            let similar = reader.suggest(key, self.declarations.names(self.provider));
            let is_typo = similar.is_some() && self.is_harmless_typo(key);
            let (message, otherwise) = if is_secret(key) && !is_typo {
                let message = "looks like a secret, is not a known key and is ignored";
                (message, None)
            } else {
                let help = "to send it as a parameter, put it into `extra_body`";
                ("is not a known key and is ignored", Some(help.to_owned()))
            };
            reader.warn(*at, format!("{name} {message}"), similar.or(otherwise));
        }
    }

    /// Whether a key is a typing mistake in a name that does not look like a secret, such as
    /// `max_token`.
    fn is_harmless_typo(&self, key: &str) -> bool {
        let nearest = similar_name(key, self.declarations.names(self.provider));
        nearest.is_some_and(|nearest| !is_secret(nearest))
    }

    /// A provider that has the setting `name`, and this one, which does not have it.
    fn other_provider(&self, name: &str) -> Option<(&'static str, &'static str)> {
        let this = self.provider?.name();
        Some((self.declarations.provider_with(name)?, this))
    }
}

fn is_set_by_requests(key: &str) -> bool {
    keys::SET_BY_REQUESTS.contains(&key)
}
