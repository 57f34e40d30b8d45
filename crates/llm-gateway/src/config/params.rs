//! `litellm_params`: what is about the deployment, told apart from what is about the request.

use std::collections::BTreeMap;

use llm_provider::{ApiKey, BaseUrl, Settings};
use serde_json::{Map, Number, Value};

use super::keys::{self, Kind};
use super::problem::{Position, Problem};
use super::reader::{Reader, Section, did_you_mean, nearest};
use super::yaml::{Entry, Yaml};

/// The `litellm_params` of one model.
pub(super) struct Params {
    /// The model with its provider's prefix.
    pub(super) model: String,
    pub(super) model_at: Position,
    pub(super) settings: Settings,
    /// Request parameters for calls that do not set them.
    pub(super) defaults: Map<String, Value>,
    pub(super) weight: Option<f64>,
    pub(super) rpm: Option<f64>,
    pub(super) tpm: Option<f64>,
    /// Where each key stands, for what a provider has against one.
    pub(super) places: BTreeMap<String, Position>,
}

impl Params {
    pub(super) fn read(reader: &mut Reader<'_>, entry: Entry) -> Option<Self> {
        let at = entry.at;
        let mut section = reader.section(&entry.key, entry.value)?;
        let places = section
            .entries
            .iter()
            .map(|entry| (entry.key.clone(), entry.value.at))
            .collect();
        let model = section.take("model");
        if model.is_none() {
            let help = "give the provider and its model, such as `model: PROVIDER/MODEL`";
            reader.mend(at, "`litellm_params` has no `model`", help);
        }
        let mut amount = |key: &str| section.take(key).and_then(|entry| reader.amount(&entry));
        let (weight, rpm, tpm) = (amount("weight"), amount("rpm"), amount("tpm"));
        let settings = read_settings(reader, &mut section);
        let defaults = read_defaults(reader, section);
        let model = model?;
        Some(Self {
            model: reader.text(&model)?,
            model_at: model.value.at,
            settings,
            defaults,
            weight,
            rpm,
            tpm,
            places,
        })
    }
}

fn read_settings(reader: &mut Reader<'_>, section: &mut Section) -> Settings {
    let mut settings = Settings::new();
    if let Some(entry) = section.take("api_key")
        && let Some(key) = reader.text(&entry)
    {
        let key = ApiKey::new(key);
        if key.is_empty() {
            let help = "remove the line to use the provider's own variable, or give a key";
            reader.mend(entry.value.at, "`api_key` is empty", help);
        }
        settings.api_key = Some(key);
    }
    for key in ["base_url", "api_base"] {
        if let Some(entry) = section.take(key)
            && let Some(base) = reader.text(&entry)
        {
            if let Err(error) = BaseUrl::parse(&base) {
                reader.mistake(entry.value.at, error.message());
            }
            settings.api_base = Some(base);
        }
    }
    if let Some(entry) = section.take("timeout") {
        settings.timeout = reader.seconds(&entry);
    }
    for key in keys::TEMPLATE_TEXTS {
        if let Some(entry) = section.take(key)
            && let Some(text) = reader.text(&entry)
        {
            settings.extra.insert(entry.key, text.into());
        }
    }
    for key in keys::PROVIDER_SECONDS {
        if let Some(entry) = section.take(key)
            && let Some(seconds) = reader.amount(&entry)
        {
            settings.extra.insert(entry.key, seconds.into());
        }
    }
    if let Some(entry) = section.take(keys::TEMPLATE_ROLES) {
        let roles = read_roles(reader, entry);
        settings
            .extra
            .insert(keys::TEMPLATE_ROLES.to_owned(), Value::Object(roles));
    }
    settings
}

/// `roles` of a prompt template: what comes before and after a message of each role.
fn read_roles(reader: &mut Reader<'_>, entry: Entry) -> Map<String, Value> {
    let mut roles = Map::new();
    let entries = reader
        .section(&entry.key, entry.value)
        .map(|section| section.entries);
    for role in entries.unwrap_or_default() {
        let Some(mut section) = reader.section(&role.key, role.value) else {
            continue;
        };
        let mut around = Map::new();
        for key in keys::TEMPLATE_ROLE {
            if let Some(entry) = section.take(key)
                && let Some(text) = reader.text(&entry)
            {
                around.insert(entry.key, text.into());
            }
        }
        reader.unknown(section, keys::TEMPLATE_ROLE, &[]);
        roles.insert(role.key, Value::Object(around));
    }
    roles
}

/// What is left are request parameters, known ones and those that only the upstream knows.
fn read_defaults(reader: &mut Reader<'_>, section: Section) -> Map<String, Value> {
    let mut defaults = Map::new();
    for entry in section.entries {
        let key = entry.key.as_str();
        if matches!(entry.value.value, Yaml::Null | Yaml::Broken) {
            continue;
        }
        if let Some((_, kind)) = keys::PARAMS.iter().find(|(name, _)| *name == key) {
            if let Some(value) = read_param(reader, &entry, *kind) {
                defaults.insert(entry.key, value);
            }
            continue;
        }
        if keys::SETTINGS_LATER.contains(&key) {
            let message = format!("`{key}` is not supported yet and is ignored");
            reader.problems.push(Problem::warning(entry.at, message));
            continue;
        }
        let settings = keys::SETTINGS
            .iter()
            .chain(keys::TEMPLATE_TEXTS)
            .chain(keys::PROVIDER_SECONDS)
            .chain(keys::SETTINGS_LATER)
            .chain([&keys::TEMPLATE_ROLES])
            .copied();
        let params = keys::PARAMS.iter().map(|(name, _)| *name);
        if nearest(key, settings.clone()).is_some() {
            // Not passed on: what was meant as `api_key` must not end up in a request body.
            let message = format!("`{key}` is not a known setting and is ignored");
            let help = did_you_mean(key, settings);
            reader
                .problems
                .push(Problem::warning(entry.at, message).with_help(help));
            continue;
        }
        if let Some(help) = did_you_mean(key, params) {
            let message = format!("`{key}` is not a known parameter; it is sent as it is");
            reader
                .problems
                .push(Problem::warning(entry.at, message).with_help(help));
        }
        let key = entry.key;
        defaults.insert(key, entry.value.into_json());
    }
    defaults
}

fn read_param(reader: &mut Reader<'_>, entry: &Entry, kind: Kind) -> Option<Value> {
    let node = &entry.value;
    let (value, expected) = match kind {
        Kind::Any => (Some(node.clone().into_json()), ""),
        Kind::Bool => return reader.bool(entry).map(Value::Bool),
        Kind::Integer => (integer(&node.value).map(Value::Number), "a whole number"),
        Kind::Map => {
            let map = matches!(node.value, Yaml::Map(_)).then(|| node.clone().into_json());
            (map, "a mapping (`key: value`)")
        }
        Kind::Number => (number(&node.value).map(Value::Number), "a number"),
        Kind::Text => return reader.text(entry).map(Value::String),
    };
    if value.is_none() {
        reader.wrong(&entry.key, expected, node);
    }
    value
}

fn integer(value: &Yaml) -> Option<Number> {
    let number = number(value)?;
    (number.is_i64() || number.is_u64()).then_some(number)
}

/// A number, or one in quotes: from the environment everything comes as text.
fn number(value: &Yaml) -> Option<Number> {
    match value {
        Yaml::Number(number) => Some(number.clone()),
        Yaml::Text(text) => serde_json::from_str(text.trim()).ok(),
        _ => None,
    }
}
