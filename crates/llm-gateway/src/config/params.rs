//! `litellm_params`: what is about the deployment, told apart from what is about the request.

use std::collections::BTreeMap;

use llm_provider::{ApiKey, BaseUrl, ExtraHeaders, Settings};
use serde_json::{Map, Number, Value};

use super::keys::{self, Kind};
use super::problem::Position;
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
    pub(super) fn read(reader: &mut Reader<'_>, mut section: Section) -> Option<Self> {
        let places = section
            .entries
            .iter()
            .map(|entry| (entry.key.clone(), entry.value.at));
        let places = places.collect();
        let is_model =
            |entry: &Entry| entry.key == "model" && !matches!(entry.value.value, Yaml::Null);
        if !section.entries.iter().any(is_model) {
            let help = "give the provider and its model, such as `model: PROVIDER/MODEL`";
            reader.mend(section.at, "`litellm_params` has no `model`", help);
        }
        let model = reader.take_text(&mut section, "model");
        let weight = reader.take_amount(&mut section, "weight");
        let rpm = reader.take_amount(&mut section, "rpm");
        let tpm = reader.take_amount(&mut section, "tpm");
        let settings = read_settings(reader, &mut section);
        let defaults = read_defaults(reader, section);
        let (model, model_at) = model?;
        Some(Self {
            model,
            model_at,
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
    // The router tries again, and elsewhere: waiting here would only delay that.
    let mut settings = Settings::new().with_max_retries(0);
    if let Some((key, at)) = reader.take_text(section, "api_key") {
        let key = ApiKey::new(key);
        if key.is_empty() {
            let help = "remove the line to use the provider's own variable, or give a key";
            reader.mend(at, "`api_key` is empty", help);
        }
        settings.api_key = Some(key);
    }
    for key in ["base_url", "api_base"] {
        if let Some((base, at)) = reader.take_text(section, key) {
            if let Err(error) = BaseUrl::parse(&base) {
                reader.mistake(at, error.message());
            }
            settings.api_base = Some(base);
        }
    }
    for (key, setting) in [
        ("timeout", &mut settings.timeout),
        ("stream_timeout", &mut settings.stream_timeout),
        ("connect_timeout", &mut settings.connect_timeout),
        ("first_byte_timeout", &mut settings.first_byte_timeout),
        ("idle_timeout", &mut settings.idle_timeout),
    ] {
        *setting = reader.take_seconds(section, key);
    }
    let retries = reader.take_count(section, "max_retries");
    settings.max_retries = retries.map(|retries| u32::try_from(retries).unwrap_or(u32::MAX));
    settings.retry_billed = reader
        .take_bool(section, "retry_billed")
        .unwrap_or_default();
    settings.ca_file = reader
        .take_text(section, "ca_file")
        .map(|(path, _)| path.into());
    // LiteLLM sends both, and the latter in place of the former.
    for key in ["headers", "extra_headers"] {
        if let Some(headers) = reader.take_section(section, key) {
            read_headers(reader, headers, &mut settings.extra_headers);
        }
    }
    if let Some(prompts) = reader.take_bool(section, TEXT_COMPLETION) {
        settings
            .extra
            .insert(TEXT_COMPLETION.to_owned(), prompts.into());
    }
    for key in keys::TEMPLATE_TEXTS {
        if let Some((text, _)) = reader.take_text(section, key) {
            settings.extra.insert((*key).to_owned(), text.into());
        }
    }
    for key in keys::PROVIDER_SECONDS {
        if let Some(seconds) = reader.take_amount(section, key) {
            settings.extra.insert((*key).to_owned(), seconds.into());
        }
    }
    if let Some(roles) = reader.take_section(section, keys::TEMPLATE_ROLES) {
        let roles = read_roles(reader, roles);
        settings
            .extra
            .insert(keys::TEMPLATE_ROLES.to_owned(), Value::Object(roles));
    }
    settings
}

/// Headers of each request to the upstream; their values are told to nobody, as they may be keys.
fn read_headers(reader: &mut Reader<'_>, section: Section, headers: &mut ExtraHeaders) {
    for mut entry in section.entries {
        reader.resolve(&mut entry.value);
        let value = match &entry.value.value {
            Yaml::Bool(value) => Some(value.to_string()),
            Yaml::Number(value) => Some(value.to_string()),
            _ => reader.text(&entry),
        };
        let inserted = value.map(|value| headers.insert(&entry.key, &value));
        if let Some(Err(why)) = inserted {
            reader.mistake(entry.at, why);
        }
    }
}

/// `roles` of a prompt template: what comes before and after a message of each role; in LiteLLM's
/// older form a text, which `pre_message_sep` and `post_message_sep` go with.
fn read_roles(reader: &mut Reader<'_>, roles: Section) -> Map<String, Value> {
    let mut read = Map::new();
    for mut role in roles.entries {
        reader.resolve(&mut role.value);
        if let Yaml::Text(text) = role.value.value {
            read.insert(role.key, text.into());
            continue;
        }
        let Some(mut section) = reader.section(&role.key, role.value) else {
            continue;
        };
        let mut around = Map::new();
        for key in keys::TEMPLATE_ROLE {
            if let Some((text, _)) = reader.take_text(&mut section, key) {
                around.insert((*key).to_owned(), text.into());
            }
        }
        reader.unknown(section, keys::TEMPLATE_ROLE, &[]);
        read.insert(role.key, Value::Object(around));
    }
    read
}

/// That a model takes prompts: what comes as a chat is written as one.
pub(super) const TEXT_COMPLETION: &str = "text_completion";

/// What is left are request parameters, known ones and those that only the upstream knows.
fn read_defaults(reader: &mut Reader<'_>, section: Section) -> Map<String, Value> {
    let mut defaults = Map::new();
    for mut entry in section.entries {
        if is_ignored(reader, &entry) {
            continue;
        }
        reader.resolve(&mut entry.value);
        if let Some(value) = read_param(reader, &entry) {
            defaults.insert(entry.key, value);
        }
    }
    defaults
}

/// Whether an entry is no request parameter; warns of those that are none or look like slips.
fn is_ignored(reader: &mut Reader<'_>, entry: &Entry) -> bool {
    let Entry { key, at, value } = entry;
    if matches!(value.value, Yaml::Null) {
        return true;
    }
    if keys::SETTINGS_LATER.contains(&key.as_str()) {
        reader.warn(
            *at,
            format!("`{key}` is not supported yet and is ignored"),
            None,
        );
        return true;
    }
    if keys::kind(key).is_some() {
        return false;
    }
    // What was meant as one of these may hold a key, and must not end up in a request body.
    if nearest(key, SECRETS.iter().copied()).is_some() {
        let help = did_you_mean(key, SECRETS.iter().copied());
        reader.warn(
            *at,
            format!("`{key}` is not a known setting and is ignored"),
            help,
        );
        return true;
    }
    let known = keys::SETTINGS
        .iter()
        .chain(keys::TEMPLATE_TEXTS)
        .chain([&keys::TEMPLATE_ROLES])
        .chain(keys::PROVIDER_SECONDS)
        .chain(keys::SETTINGS_LATER)
        .copied()
        .chain(keys::PARAMS.iter().map(|(name, _)| *name));
    if let Some(help) = did_you_mean(key, known) {
        reader.warn(
            *at,
            format!("`{key}` is not a known parameter; it is sent as it is"),
            help,
        );
    }
    false
}

fn read_param(reader: &mut Reader<'_>, entry: &Entry) -> Option<Value> {
    let node = &entry.value;
    let as_json = || node.clone().into_json();
    let (value, expected) = match keys::kind(&entry.key).unwrap_or(Kind::Any) {
        Kind::Any if matches!(node.value, Yaml::Broken) => return None,
        Kind::Any => return Some(as_json()),
        Kind::Bool => return reader.bool(entry).map(Value::Bool),
        Kind::Integer => (integer(&node.value).map(Value::Number), "a whole number"),
        Kind::List => (
            matches!(node.value, Yaml::List(_)).then(as_json),
            "a list (`- …`)",
        ),
        Kind::Map => (
            matches!(node.value, Yaml::Map(_)).then(as_json),
            "a mapping (`key: value`)",
        ),
        Kind::Number => (number(&node.value).map(Value::Number), "a number"),
        Kind::Text => return reader.text(entry).map(Value::String),
    };
    if value.is_none() {
        reader.wrong(&entry.key, expected, node);
    }
    value
}

fn integer(value: &Yaml) -> Option<Number> {
    number(value).filter(|number| number.is_i64() || number.is_u64())
}

/// A number, or one in quotes: from the environment everything comes as text.
fn number(value: &Yaml) -> Option<Number> {
    match value {
        Yaml::Number(number) => Some(number.clone()),
        Yaml::Text(text) => serde_json::from_str(text.trim()).ok(),
        _ => None,
    }
}

/// The settings that may hold a secret.
const SECRETS: &[&str] = &["api_base", "api_key", "base_url"];
