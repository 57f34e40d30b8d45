//! Removes private data from what an upstream sent.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use serde_json::Value;

use super::exchanges::Exchange;
use super::http::Response;

/// Replaces keys, names of the account, ids and timestamps, each id by the same text wherever it occurs.
pub(super) struct Scrubber {
    secrets: Vec<String>,
    /// The names of the account and of its users.
    names: BTreeSet<String>,
    ids: BTreeMap<String, String>,
    /// Words of the requests, which are ours.
    kept: BTreeSet<String>,
}

impl Scrubber {
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let secrets = secrets.into_iter().filter(|secret| !secret.is_empty());
        Self {
            secrets: secrets.map(str::to_owned).collect(),
            names: BTreeSet::new(),
            ids: BTreeMap::new(),
            kept: BTreeSet::new(),
        }
    }

    /// Keeps the words of a request, such as its model's name.
    pub(super) fn keep(&mut self, exchange: &Exchange) {
        let text = exchange.body.as_ref().map(Value::to_string);
        let words = text.iter().flat_map(|text| pieces(text, is_alphanumeric));
        self.kept.extend(words.map(|(word, _)| word.to_owned()));
    }

    /// Finds names and ids in a response, before any text is rewritten.
    pub(super) fn learn(&mut self, response: &Response, names_account: bool) {
        let lines = response.text.lines();
        let data = lines.filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?).ok());
        let values: Vec<Value> = response.json().into_iter().chain(data).collect();
        for value in &values {
            self.learn_value("", value, names_account);
        }
    }

    fn learn_value(&mut self, key: &str, value: &Value, is_person: bool) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    let is_person = is_person || PEOPLE.contains(&key.as_str());
                    self.learn_value(key, value, is_person);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.learn_value(key, item, is_person);
                }
            }
            Value::String(text) if is_person && NAMES.contains(&key) => {
                // The last part of an address such as https://github.com/NAME is a name, too.
                let last = text.rsplit('/').next().unwrap_or(text);
                let names = [text.as_str(), last].into_iter();
                self.names
                    .extend(names.filter(|name| name.len() > 1).map(str::to_owned));
            }
            Value::String(text) if is_id(key, text) => {
                self.id(text);
            }
            _ => {}
        }
    }

    fn id(&mut self, text: &str) -> String {
        if self.kept.contains(text) {
            return text.to_owned();
        }
        let next = self.ids.len() + 1;
        let id = self.ids.entry(text.to_owned());
        id.or_insert_with(|| format!("id-{next}")).clone()
    }

    /// Rewrites a JSON value that is a member named `key`.
    pub(super) fn value(&mut self, key: &str, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    self.value(key, value);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(key, item)),
            Value::String(text) => *text = self.text(text),
            Value::Number(number) if is_time(key, number.as_f64()) => *value = Value::from(TIME),
            _ => {}
        }
    }

    /// Rewrites a line of an event stream.
    pub(super) fn line(&mut self, line: &str) -> Value {
        let data = line.strip_prefix("data:").unwrap_or_default();
        match serde_json::from_str(data) {
            Ok(mut value @ (Value::Object(_) | Value::Array(_))) => {
                self.value("", &mut value);
                Value::from(format!("data: {value}"))
            }
            _ => Value::from(self.text(line)),
        }
    }

    /// Rewrites a text.
    pub(super) fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret, "***");
        }
        for (id, replacement) in &self.ids {
            text = replaced(&text, id, replacement);
        }
        for name in self.names.iter().rev() {
            text = replaced(&text, name, "account");
        }
        let words = pieces(&text, |c| is_alphanumeric(c) || "-_.@:+*".contains(c));
        words
            .into_iter()
            .map(|(word, is_word)| match is_word {
                true => self.word(word),
                false => word.to_owned(),
            })
            .collect()
    }

    fn word(&mut self, word: &str) -> String {
        if word.contains("***") {
            return "***".to_owned(); // a key of which the upstream shows a part
        }
        if word
            .split_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
        {
            return "user@example.com".to_owned();
        }
        if is_date(word) {
            let rest = word.get(10..).unwrap_or_default();
            let zero = |c: char| if c.is_ascii_digit() { '0' } else { c };
            return format!("2000-01-01{}", rest.chars().map(zero).collect::<String>());
        }
        let parts: Vec<_> = word.split('.').map(str::parse::<u8>).collect();
        if parts.len() == 4 && parts.iter().all(Result::is_ok) {
            return "192.0.2.1".to_owned();
        }
        let whole = pieces(word, |c| is_alphanumeric(c) || c == '-');
        let whole = whole.into_iter().map(|(piece, _)| {
            if is_uuid(piece) {
                return self.id(piece);
            }
            let runs = pieces(piece, is_alphanumeric);
            let runs = runs.into_iter().map(|(run, _)| {
                // The id of an event starts with a time.
                if run.len() == 10 && is_seconds(run.parse().ok()) {
                    return TIME.to_string();
                }
                match is_opaque(run) {
                    true => self.id(run),
                    false => run.to_owned(),
                }
            });
            runs.collect()
        });
        whole.collect()
    }

    /// Fails if a text contains something private.
    pub(super) fn verify(&self, text: &str) -> Result<()> {
        for secret in &self.secrets {
            // Also parts that an upstream might repeat.
            let parts = [
                Some(secret.as_str()),
                secret.get(..8),
                secret.len().checked_sub(8).and_then(|at| secret.get(at..)),
            ];
            let long = parts.into_iter().flatten().filter(|part| part.len() >= 8);
            if long.into_iter().any(|part| text.contains(part)) {
                bail!("the text still has a part of the key");
            }
        }
        if self
            .names
            .iter()
            .any(|name| replaced(text, name, "") != text)
        {
            bail!("the text still has a name of the account");
        }
        if self
            .ids
            .keys()
            .any(|id| id.len() >= 8 && replaced(text, id, "") != text)
        {
            bail!("the text still has an id");
        }
        Ok(())
    }
}

/// Splits a text at each change of `is_in`; each piece comes with whether it is in.
fn pieces(text: &str, is_in: impl Fn(char) -> bool) -> Vec<(&str, bool)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let inside = is_in(first);
        let end = rest.find(|c| is_in(c) != inside).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        pieces.push((piece, inside));
        rest = after;
    }
    pieces
}

/// Replaces a word where no letter or digit is next to it.
fn replaced(text: &str, word: &str, replacement: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, from) = rest.split_at(at);
        let after = from.get(word.len()..).unwrap_or_default();
        result += before;
        let is_alone = !result.ends_with(is_alphanumeric) && !after.starts_with(is_alphanumeric);
        result += if is_alone { replacement } else { word };
        rest = after;
    }
    result + rest
}

fn is_alphanumeric(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

fn is_id(key: &str, text: &str) -> bool {
    let named = key == "id" || key == "uuid" || key.ends_with("_id");
    // A model's id is its name.
    named && !text.is_empty() && !text.contains('/')
}

fn is_time(key: &str, number: Option<f64>) -> bool {
    let named = ["created", "expires", "timestamp", "_at"];
    is_seconds(number) && named.iter().any(|name| key.contains(name))
}

/// Whether a number may be a time of this century, in seconds.
fn is_seconds(number: Option<f64>) -> bool {
    number.is_some_and(|number| (1e9..4e9).contains(&number))
}

/// Whether a word starts with a date and time of RFC 3339.
fn is_date(word: &str) -> bool {
    let form = word.get(..11).unwrap_or_default().chars();
    let form = form.map(|c| if c.is_ascii_digit() { '0' } else { c });
    form.eq("0000-00-00T".chars())
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// Whether a run of letters and digits is too long and mixed for a word.
fn is_opaque(run: &str) -> bool {
    let has = |is: fn(&char) -> bool| run.chars().any(|c| is(&c));
    run.len() >= 16 && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic)
}

/// Members that describe a person or an account.
const PEOPLE: &[&str] = &["account", "created_by", "email", "username"];
/// The members of these that are names.
const NAMES: &[&str] = &["avatar_url", "email", "github_url", "name", "username"];
/// 2000-01-01.
const TIME: u64 = 946_684_800;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_id_has_one_replacement() {
        let mut scrubber = Scrubber::new(["a-secret-key"]);
        let text = json!({"id": "kqr5x", "urls": {"get": "https://x/v1/predictions/kqr5x"}});
        let response = Response {
            status: 200,
            content_type: String::new(),
            text: text.to_string(),
        };
        scrubber.learn(&response, false);
        let mut value = text;
        scrubber.value("", &mut value);
        assert_eq!(
            value,
            json!({"id": "id-1", "urls": {"get": "https://x/v1/predictions/id-1"}})
        );
    }

    #[test]
    fn words_of_each_kind_are_replaced_and_others_kept() {
        let mut scrubber = Scrubber::new(["sk-12345678-abcdef"]);
        for (text, expected) in [
            ("Bearer sk-12345678-abcdef", "Bearer ***"),
            ("Invalid key sk-1****cdef.", "Invalid key ***"),
            ("2026-11-22T07:30:08.123Z", "2000-01-01T00:00:00.000Z"),
            ("mail to a.b@acme.io", "mail to user@example.com"),
            ("id: 1795332608:0", "id: 946684800:0"),
            ("from 10.1.2.3", "from 192.0.2.1"),
            ("ray 8f3e2a1b4c5d6e7f-FRA", "ray id-1-FRA"),
            ("meta-llama-3-8b-instruct", "meta-llama-3-8b-instruct"),
            (
                "Llama-3.3-70B-Instruct-Turbo",
                "Llama-3.3-70B-Instruct-Turbo",
            ),
        ] {
            assert_eq!(scrubber.text(text), expected);
        }
        let mut created = json!({"created": 1_700_000_000, "index": 3});
        scrubber.value("", &mut created);
        assert_eq!(created, json!({"created": 946_684_800, "index": 3}));
    }

    #[test]
    fn what_is_left_is_found() {
        let mut scrubber = Scrubber::new(["sk-12345678-abcdef"]);
        scrubber.names.insert("jo".to_owned());
        assert!(scrubber.verify("the job of joe").is_ok());
        assert!(scrubber.verify("by jo.").is_err());
        assert!(scrubber.verify("sk-12345 and so on").is_err());
        assert_eq!(scrubber.text("by jo, the job"), "by account, the job");
    }
}
