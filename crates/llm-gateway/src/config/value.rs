//! Typed values of a configuration.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use llm_provider::{ApiKey, BaseUrl, ExtraHeaders, ValueKind};
use serde_json::{Map, Number, Value};

use super::keys::Keys;
use super::names::{did_you_mean, quoted};
use super::problem::Problem;
use super::reader::Reader;
use super::yaml::{Entry, Node, Yaml};

impl Reader<'_> {
    /// The value of an entry as JSON, times in seconds. A value of another type than `kind` is
    /// reported. Environment variables are resolved before.
    pub(super) fn value(&mut self, entry: &Entry, kind: ValueKind) -> Option<Value> {
        let node = &entry.value;
        if node.is_broken() {
            return None;
        }
        let as_json = || node.clone().into_json();
        let (value, expected) = match kind {
            ValueKind::Bool => return self.bool(entry).map(Value::Bool),
            ValueKind::Choice(choices) => return self.choice(entry, choices),
            ValueKind::Count { max } => return self.count(entry, max).map(Value::from),
            ValueKind::Headers => return self.headers(entry),
            ValueKind::Integer => (integer(node).map(Value::Number), "a whole number"),
            ValueKind::List => {
                let is_list = matches!(node.value, Yaml::List(_));
                (is_list.then(as_json), "a list (`- …`)")
            }
            ValueKind::Map => {
                let is_map = matches!(node.value, Yaml::Map(_));
                (is_map.then(as_json), "a mapping (`key: value`)")
            }
            ValueKind::Number => (number(node).map(Value::Number), "a number"),
            ValueKind::PositiveSeconds => {
                let time = self.time(entry)?;
                return Some(time.as_secs_f64().into());
            }
            ValueKind::Seconds => return self.seconds(entry).map(Value::from),
            ValueKind::Secret => return self.secret(entry),
            ValueKind::Path | ValueKind::Text => return self.text(entry).map(Value::String),
            ValueKind::TextMap { keys } => return self.text_map(entry, keys),
            ValueKind::Url => return self.url(entry),
            _ => return Some(as_json()),
        };
        if value.is_none() {
            self.wrong_type(&quoted(&entry.key), expected, node);
        }
        value
    }

    /// A text.
    pub(super) fn text(&mut self, entry: &Entry) -> Option<String> {
        match &entry.value.value {
            Yaml::Text(text) => return Some(text.clone()),
            // YAML reads a key of digits as a number.
            Yaml::Bool(_) | Yaml::Number(_) => {
                self.wrong_type(&quoted(&entry.key), "text; put it in quotes", &entry.value);
            }
            _ => self.wrong_type(&quoted(&entry.key), "text", &entry.value),
        }
        None
    }

    /// A text; a number or `true` and `false` count as text, too.
    pub(super) fn plain_text(&mut self, entry: &Entry) -> Option<String> {
        match &entry.value.value {
            Yaml::Bool(value) => Some(value.to_string()),
            Yaml::Number(value) => Some(value.to_string()),
            _ => self.text(entry),
        }
    }

    /// `true` or `false`.
    pub(super) fn bool(&mut self, entry: &Entry) -> Option<bool> {
        match &entry.value.value {
            Yaml::Bool(value) => return Some(*value),
            // Values from the environment are texts.
            Yaml::Text(text) if text.eq_ignore_ascii_case("true") => return Some(true),
            Yaml::Text(text) if text.eq_ignore_ascii_case("false") => return Some(false),
            _ => self.wrong_type(&quoted(&entry.key), "true or false", &entry.value),
        }
        None
    }

    /// A number that is not negative.
    pub(super) fn amount(&mut self, entry: &Entry) -> Option<f64> {
        let value = match &entry.value.value {
            Yaml::Number(number) => number.as_f64(),
            Yaml::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let value = value.filter(|value: &f64| value.is_finite() && *value >= 0.0);
        if value.is_none() {
            self.wrong_type(&quoted(&entry.key), "a number from 0", &entry.value);
        }
        value
    }

    /// A whole number from 0 to `max`.
    pub(super) fn count(&mut self, entry: &Entry, max: u32) -> Option<u32> {
        let value: Option<u64> = match &entry.value.value {
            Yaml::Number(number) => number.as_u64(),
            Yaml::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let count = value.and_then(|value| u32::try_from(value).ok());
        let count = count.filter(|count| *count <= max);
        if count.is_none() {
            let expected = format!("a whole number from 0 to {max}");
            if value.is_some() {
                let message = format!("{} has to be {expected}", quoted(&entry.key));
                self.error(entry.value.at, message);
            } else {
                self.wrong_type(&quoted(&entry.key), &expected, &entry.value);
            }
        }
        count
    }

    /// A time above 0; one above a year counts as a year.
    pub(super) fn time(&mut self, entry: &Entry) -> Option<Duration> {
        let seconds = self.seconds(entry)?;
        let time = Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| !time.is_zero());
        if time.is_none() {
            let message = format!(
                "{} has to be a number of seconds above 0",
                quoted(&entry.key)
            );
            self.error(entry.value.at, message);
        }
        time
    }

    /// A time from 0, in seconds; one above a year counts as a year.
    fn seconds(&mut self, entry: &Entry) -> Option<f64> {
        self.amount(entry).map(|seconds| seconds.min(YEAR))
    }

    fn choice(&mut self, entry: &Entry, choices: &[&'static str]) -> Option<Value> {
        let text = self.text(entry)?;
        if choices.contains(&text.as_str()) {
            return Some(text.into());
        }
        let message = format!(
            "{} has to be one of: {}",
            quoted(&entry.key),
            choices.join(", ")
        );
        let problem = Problem::error(entry.value.at, message);
        self.report(problem.with_help(did_you_mean(&text, choices.iter().copied())));
        None
    }

    /// A key or another secret that is sent in a header.
    fn secret(&mut self, entry: &Entry) -> Option<Value> {
        let text = self.text(entry)?;
        let key = ApiKey::new(&text);
        let at = entry.value.at;
        if key.is_empty() {
            let message = format!("{} is empty", quoted(&entry.key));
            let help = "give a key, or remove the line to use the provider's environment variable";
            self.error_with_help(at, message, help);
        } else if let Err(error) = key.bearer() {
            self.error(at, error.message());
        }
        Some(text.into())
    }

    fn url(&mut self, entry: &Entry) -> Option<Value> {
        let url = self.text(entry)?;
        if let Err(error) = BaseUrl::parse(&url) {
            self.error(entry.value.at, error.message());
        }
        Some(url.into())
    }

    /// Headers of requests to the upstream. Their values may be keys, and are not quoted.
    fn headers(&mut self, entry: &Entry) -> Option<Value> {
        let section = self.section(&quoted(&entry.key), entry.value.clone())?;
        let (mut headers, mut valid) = (Map::new(), ExtraHeaders::default());
        for entry in section.entries {
            let Some(value) = self.plain_text(&entry) else {
                continue;
            };
            if HeaderName::try_from(&entry.key).is_err() {
                self.error(entry.at, "invalid header name");
            } else if HeaderValue::try_from(&value).is_err() {
                self.error(entry.value.at, "invalid header value");
            } else if let Err(error) = valid.insert(&entry.key, &value) {
                self.error(entry.at, error.message().to_owned());
            } else {
                headers.insert(entry.key, value.into());
            }
        }
        Some(headers.into())
    }

    /// A mapping from names to texts, or to mappings from `keys` to texts.
    fn text_map(&mut self, entry: &Entry, keys: &'static [&'static str]) -> Option<Value> {
        let section = self.section(&quoted(&entry.key), entry.value.clone())?;
        let mut map = Map::new();
        for entry in section.entries {
            if let Yaml::Text(text) = entry.value.value {
                map.insert(entry.key, text.into());
                continue;
            }
            let Some(mut section) = self.section(&quoted(&entry.key), entry.value) else {
                continue;
            };
            let mut texts = Map::new();
            for key in keys {
                if let Some((text, _)) = self.take_text(&mut section, key) {
                    texts.insert((*key).to_owned(), text.into());
                }
            }
            self.report_rest(section, &Keys::only(keys));
            map.insert(entry.key, Value::Object(texts));
        }
        Some(map.into())
    }

    /// Reports a value of the wrong type, without quoting it: it may be a secret. `expected` may
    /// end with `; ` and the fix.
    pub(super) fn wrong_type(&mut self, what: &str, expected: &str, found: &Node) {
        if matches!(found.value, Yaml::Broken) {
            return;
        }
        let (expected, help) = match expected.split_once("; ") {
            Some((expected, help)) => (expected, Some(help.to_owned())),
            None => (expected, None),
        };
        let message = format!("{what} has to be {expected}, but here is {}", found.kind());
        self.report(Problem::error(found.at, message).with_help(help));
    }
}

fn integer(node: &Node) -> Option<Number> {
    number(node).filter(|number| number.is_i64() || number.is_u64())
}

/// A number, or one in quotes: values from the environment are texts.
fn number(node: &Node) -> Option<Number> {
    match &node.value {
        Yaml::Number(number) => Some(number.clone()),
        Yaml::Text(text) => serde_json::from_str(text.trim()).ok(),
        _ => None,
    }
}

// Longer than any call, and short enough to be added to a point in time.
const YEAR: f64 = 365.0 * 24.0 * 3600.0;
