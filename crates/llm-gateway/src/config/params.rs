//! `litellm_params`: the settings of a deployment, and the parameters of its requests.

use std::collections::HashMap;

use http::{HeaderName, HeaderValue};
use llm_provider::{ApiKey, BaseUrl, ExtraHeaders, Settings};
use serde_json::{Map, Number, Value};

use super::MAX_RETRIES;
use super::groups::Metrics;
use super::keys::Keys;
use super::names::{is_secret, quoted};
use super::param_keys::{self as keys, Kind};
use super::problem::Position;
use super::reader::{Reader, Section};
use super::yaml::{Entry, Node, Yaml};

/// The `litellm_params` of one model.
pub(super) struct Params {
    /// The model with its provider's prefix.
    pub(super) model: String,
    pub(super) model_at: Position,
    /// Whether there is an `api_key` whose value is a mistake.
    pub(super) lacks_key: bool,
    pub(super) settings: Settings,
    /// Request parameters for calls that do not set them.
    pub(super) defaults: Map<String, Value>,
    pub(super) metrics: Metrics,
    /// Where each key's value stands, for settings that the provider refuses.
    pub(super) places: HashMap<String, Position>,
}

impl Params {
    pub(super) fn read(reader: &mut Reader<'_>, mut section: Section) -> Option<Self> {
        let places = section.places();
        if section.find("model").is_none_or(Entry::is_empty) {
            let help = "give the provider and its model, such as `model: PROVIDER/MODEL`";
            reader.mend(section.at, "`litellm_params` has no `model`", help);
        }
        let model = reader.take_text(&mut section, "model");
        let metrics =
            ["weight", "rpm", "tpm"].map(|metric| reader.take_amount(&mut section, metric));
        let has_key = section.find("api_key").is_some_and(|key| !key.is_empty());
        let settings = read_settings(reader, &mut section);
        let defaults = read_defaults(reader, section);
        let (model, model_at) = model?;
        Some(Self {
            model,
            model_at,
            lacks_key: has_key && settings.api_key.is_none(),
            settings,
            defaults,
            metrics,
            places,
        })
    }
}

fn read_settings(reader: &mut Reader<'_>, section: &mut Section) -> Settings {
    let mut settings = Settings::new();
    settings.api_key = read_api_key(reader, section);
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
        *setting = reader.take_time(section, key);
    }
    settings.max_retries = reader.take_count(section, "max_retries", MAX_RETRIES);
    settings.retry_billed = reader
        .take_bool(section, "retry_billed")
        .unwrap_or_default();
    settings.ca_file = reader
        .take_text(section, "ca_file")
        .map(|(path, _)| path.into());
    // LiteLLM sends both; if they have the same header, `extra_headers` wins.
    for key in ["headers", "extra_headers"] {
        if let Some(headers) = reader.take_section(section, key) {
            read_headers(reader, headers, &mut settings.extra_headers);
        }
    }
    read_extra(reader, section, &mut settings.extra);
    settings
}

fn read_api_key(reader: &mut Reader<'_>, section: &mut Section) -> Option<ApiKey> {
    let (key, at) = reader.take_text(section, "api_key")?;
    let key = ApiKey::new(key);
    if key.is_empty() {
        let help = "give a key, or remove the line to use the provider's environment variable";
        reader.mend(at, "`api_key` is empty", help);
    } else if let Err(error) = key.bearer() {
        reader.mistake(at, error.message());
    }
    Some(key)
}

/// Reads headers of each request to the upstream. Their values may be keys, and are not quoted.
fn read_headers(reader: &mut Reader<'_>, section: Section, headers: &mut ExtraHeaders) {
    for mut entry in section.entries {
        reader.resolve(&mut entry.value);
        let value = match &entry.value.value {
            Yaml::Bool(value) => value.to_string(),
            Yaml::Number(value) => value.to_string(),
            _ => match reader.text(&entry) {
                Some(text) => text,
                None => continue,
            },
        };
        if HeaderName::try_from(&entry.key).is_err() {
            reader.mistake(entry.at, "invalid header name");
        } else if HeaderValue::try_from(&value).is_err() {
            reader.mistake(entry.value.at, "invalid header value");
        } else if let Err(why) = headers.insert(&entry.key, &value) {
            reader.mistake(entry.at, why.message().to_owned());
        }
    }
}

/// Reads the settings that not every provider has.
fn read_extra(reader: &mut Reader<'_>, section: &mut Section, extra: &mut Map<String, Value>) {
    if let Some(prompts) = reader.take_bool(section, keys::TEXT_COMPLETION) {
        extra.insert(keys::TEXT_COMPLETION.to_owned(), prompts.into());
    }
    for key in keys::TEMPLATE_TEXTS {
        if let Some((text, _)) = reader.take_text(section, key) {
            extra.insert((*key).to_owned(), text.into());
        }
    }
    for key in keys::PROVIDER_SECONDS {
        if let Some(seconds) = reader.take_seconds(section, key) {
            extra.insert((*key).to_owned(), seconds.into());
        }
    }
    if let Some(roles) = reader.take_section(section, keys::TEMPLATE_ROLES) {
        let roles = read_roles(reader, roles);
        extra.insert(keys::TEMPLATE_ROLES.to_owned(), Value::Object(roles));
    }
}

/// Reads `roles` of a prompt template: what comes before and after a message of each role, or, in
/// LiteLLM's older form, a text that `pre_message_sep` and `post_message_sep` go with.
fn read_roles(reader: &mut Reader<'_>, roles: Section) -> Map<String, Value> {
    let mut read = Map::new();
    for mut role in roles.entries {
        reader.resolve(&mut role.value);
        if let Yaml::Text(text) = role.value.value {
            read.insert(role.key, text.into());
            continue;
        }
        let Some(mut section) = reader.section(&quoted(&role.key), role.value) else {
            continue;
        };
        let mut around = Map::new();
        for key in keys::TEMPLATE_ROLE {
            if let Some((text, _)) = reader.take_text(&mut section, key) {
                around.insert((*key).to_owned(), text.into());
            }
        }
        reader.rest(section, &Keys::only(keys::TEMPLATE_ROLE));
        read.insert(role.key, Value::Object(around));
    }
    read
}

/// Reads the keys that are left: request parameters that an API is known to have, and
/// `extra_body`. No other key reaches the body of a request, where it might be a secret.
fn read_defaults(reader: &mut Reader<'_>, mut section: Section) -> Map<String, Value> {
    let extra_body = section.take(keys::EXTRA_BODY);
    let mut defaults = Map::new();
    for mut entry in section.entries {
        let Some(kind) = keys::kind(&entry.key) else {
            ignore(reader, &entry);
            continue;
        };
        if entry.is_empty() {
            continue;
        }
        reader.resolve(&mut entry.value);
        if let Some(value) = read_param(reader, &entry, kind) {
            defaults.insert(entry.key, value);
        }
    }
    if let Some(body) = extra_body {
        read_extra_body(reader, body, &mut defaults);
    }
    defaults
}

/// Says that a key has no effect, and what to do about it.
fn ignore(reader: &mut Reader<'_>, entry: &Entry) {
    let Entry { key, at, .. } = entry;
    let name = quoted(key);
    if keys::IGNORED.contains(&key.as_str()) {
        let message = format!("{name} is not supported yet and is ignored");
        reader.warn(*at, message, None);
    } else if keys::OF_THE_REQUEST.contains(&key.as_str()) {
        let message = format!("{name} is set by each request and is ignored here");
        reader.warn(*at, message, None);
    } else {
        let near = reader.suggest(key, keys::all());
        let (is, otherwise) = if is_secret(key) {
            (
                "looks like a secret, is not a known key and is ignored",
                None,
            )
        } else {
            let help = "to send it as a parameter, put it into `extra_body`";
            ("is not a known key and is ignored", Some(help.to_owned()))
        };
        reader.warn(*at, format!("{name} {is}"), near.or(otherwise));
    }
}

/// Adds the members of `extra_body`, which are sent as they are.
fn read_extra_body(reader: &mut Reader<'_>, body: Entry, defaults: &mut Map<String, Value>) {
    let Some(section) = reader.section("`extra_body`", body.value) else {
        return;
    };
    for mut entry in section.entries {
        let Entry { key, at, .. } = &entry;
        if keys::OF_THE_REQUEST.contains(&key.as_str()) {
            ignore(reader, &entry);
        } else if keys::kind(key).is_none() && is_secret(key) {
            let message = format!("{} looks like a secret and is not sent", quoted(key));
            reader.warn(*at, message, None);
        } else {
            reader.resolve(&mut entry.value);
            if !entry.value.is_broken() {
                defaults.insert(entry.key, entry.value.into_json());
            }
        }
    }
}

fn read_param(reader: &mut Reader<'_>, entry: &Entry, kind: Kind) -> Option<Value> {
    let node = &entry.value;
    if node.is_broken() {
        return None;
    }
    let as_json = || node.clone().into_json();
    let (value, expected) = match kind {
        Kind::Any => return Some(as_json()),
        Kind::Bool => return reader.bool(entry).map(Value::Bool),
        Kind::Integer => (integer(node).map(Value::Number), "a whole number"),
        Kind::List => (
            matches!(node.value, Yaml::List(_)).then(as_json),
            "a list (`- …`)",
        ),
        Kind::Map => (
            matches!(node.value, Yaml::Map(_)).then(as_json),
            "a mapping (`key: value`)",
        ),
        Kind::Number => (number(node).map(Value::Number), "a number"),
        Kind::Text => return reader.text(entry).map(Value::String),
    };
    if value.is_none() {
        reader.wrong(&quoted(&entry.key), expected, node);
    }
    value
}

fn integer(node: &Node) -> Option<Number> {
    number(node).filter(|number| number.is_i64() || number.is_u64())
}

/// A number, or one in quotes: from the environment everything comes as text.
fn number(node: &Node) -> Option<Number> {
    match &node.value {
        Yaml::Number(number) => Some(number.clone()),
        Yaml::Text(text) => serde_json::from_str(text.trim()).ok(),
        _ => None,
    }
}
