//! `tokenizer_config.json`: its chat templates and special tokens.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind};

/// The relevant parts of a `tokenizer_config.json`.
pub(super) struct Config {
    /// The sources by name; a single one is `default`.
    pub(super) templates: Vec<(String, String)>,
    /// `bos_token`, `eos_token`, …
    pub(super) tokens: BTreeMap<String, String>,
    /// The text of all tokens that are marked as special.
    pub(super) special: Vec<String>,
}

impl Config {
    pub(super) fn parse(json: &str) -> Result<Self, Error> {
        let config: Map<String, Value> = serde_json::from_str(json).map_err(|error| {
            let line = error.line();
            invalid("it is not a JSON object")
                .at_line(Some(line))
                .caused_by(error)
        })?;
        let mut tokens = BTreeMap::new();
        for name in TOKENS {
            if let Some(token) = token(name, config.get(name))? {
                tokens.insert(name.to_owned(), token);
            }
        }
        let mut special: Vec<String> = tokens.values().cloned().collect();
        let added = config
            .get("added_tokens_decoder")
            .and_then(Value::as_object);
        for added in added.into_iter().flat_map(Map::values) {
            if let (Some(true), Some(content)) =
                (added["special"].as_bool(), added["content"].as_str())
            {
                special.push(content.to_owned());
            }
        }
        Ok(Self {
            templates: templates(config.get("chat_template"))?,
            tokens,
            special,
        })
    }
}

/// A token's text: a string, or an object with the string as `content`.
fn token(name: &str, value: Option<&Value>) -> Result<Option<String>, Error> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Object(token)) => match token.get("content") {
            Some(Value::String(text)) => Ok(Some(text.clone())),
            _ => Err(invalid(format!("{name} has no text as its content"))),
        },
        Some(_) => Err(invalid(format!("{name} is neither text nor an object"))),
    }
}

fn templates(value: Option<&Value>) -> Result<Vec<(String, String)>, Error> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(source)) => Ok(vec![("default".to_owned(), source.clone())]),
        Some(Value::Array(named)) => named.iter().map(named_template).collect(),
        Some(_) => Err(invalid("chat_template is neither text nor a list")),
    }
}

fn named_template(value: &Value) -> Result<(String, String), Error> {
    match (value["name"].as_str(), value["template"].as_str()) {
        (Some(name), Some(source)) => Ok((name.to_owned(), source.to_owned())),
        _ => Err(invalid(
            "a chat_template in the list has no name or no template",
        )),
    }
}

pub(super) fn invalid(detail: impl Into<alloc::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, detail)
}

/// The special tokens that transformers passes to the template.
const TOKENS: [&str; 7] = [
    "bos_token",
    "cls_token",
    "eos_token",
    "mask_token",
    "pad_token",
    "sep_token",
    "unk_token",
];
