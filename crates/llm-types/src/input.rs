//! [`TextInput`]: the input of completions and embeddings.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::tagged::{by_form, elements, unexpected};

/// The input of a model that takes no messages, in OpenAI's four forms.
///
/// Written in the form in which it was read. Together's completions accept only the first form, its
/// embeddings the first two.
#[allow(clippy::exhaustive_enums)] // OpenAI's schema has these four forms
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum TextInput {
    /// One text.
    Text(String),
    /// Several texts, each processed separately.
    Texts(Vec<String>),
    /// One text as token ids.
    Tokens(Vec<u64>),
    /// Several texts as token ids, each processed separately.
    TokenLists(Vec<Vec<u64>>),
}

impl TextInput {
    /// The number of texts.
    pub fn count(&self) -> usize {
        match self {
            Self::Text(_) | Self::Tokens(_) => 1,
            Self::Texts(texts) => texts.len(),
            Self::TokenLists(lists) => lists.len(),
        }
    }
}

impl From<&str> for TextInput {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for TextInput {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<const N: usize> From<[&str; N]> for TextInput {
    fn from(texts: [&str; N]) -> Self {
        Self::Texts(texts.map(str::to_owned).into())
    }
}

impl From<Vec<&str>> for TextInput {
    fn from(texts: Vec<&str>) -> Self {
        Self::Texts(texts.into_iter().map(str::to_owned).collect())
    }
}

impl From<Vec<String>> for TextInput {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

/// The first element decides the form of a list; the error names the first element that differs.
impl<'de> Deserialize<'de> for TextInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| {
            let list = match value {
                Value::String(text) => return Ok(Self::Text(text)),
                Value::Array(list) => list,
                other => {
                    let expected = "a string, or an array of strings or of token ids";
                    return Err(unexpected(expected, &other));
                }
            };
            match list.first() {
                Some(Value::Number(_)) => elements(list).map(Self::Tokens),
                Some(Value::Array(_)) => elements(list).map(Self::TokenLists),
                _ => elements(list).map(Self::Texts),
            }
        })
    }
}
