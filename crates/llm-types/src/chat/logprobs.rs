//! Log probabilities of tokens, in the shapes that upstreams send.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::tagged::{by_form, from_map, unexpected};
use crate::{field::Field, number::Number};

/// Log probabilities, in one of the shapes that Together sends; the first is OpenAI's.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Logprobs {
    /// OpenAI's `{content: [{token, logprob, …}]}`.
    Content(ChatLogprobs),
    /// `{tokens, token_logprobs, …}`, as in completions.
    Tokens(TokenLogprobs),
    /// A bare number for the only token of a chunk.
    Number(Number),
}

impl Logprobs {
    /// Converts to OpenAI's shape. `token` is the text that a bare number describes.
    ///
    /// Tokens without a log probability, such as the first of a prompt, are left out.
    pub fn into_openai(self, token: &str) -> ChatLogprobs {
        match self {
            Self::Content(logprobs) => logprobs,
            Self::Tokens(logprobs) => logprobs.into_openai(),
            Self::Number(logprob) => {
                ChatLogprobs::new(vec![TokenLogprob::new(token, logprob, Vec::new())])
            }
        }
    }

    /// Joins these with those of the text that follows, in the shape of OpenAI's completions.
    #[must_use]
    pub fn append(self, text: &str, more: Self, more_text: &str) -> Self {
        let mut this = self.into_tokens(text);
        let more = more.into_tokens(more_text);
        append(&mut this.tokens, more.tokens);
        append(&mut this.token_logprobs, more.token_logprobs);
        append(&mut this.top_logprobs, more.top_logprobs);
        append(&mut this.text_offset, more.text_offset);
        this.extra.extend(more.extra);
        Self::Tokens(this)
    }

    /// Converts to the shape of OpenAI's completions. `token` is the text that a bare number
    /// describes.
    pub fn into_tokens(self, token: &str) -> TokenLogprobs {
        match self {
            Self::Content(logprobs) => logprobs.into_tokens(),
            Self::Tokens(mut logprobs) => {
                for position in logprobs.top_logprobs.value_mut().into_iter().flatten() {
                    if position.is_array() {
                        *position = top_map(top_logprobs(position.take()));
                    }
                }
                logprobs
            }
            Self::Number(logprob) => TokenLogprobs {
                tokens: Field::Value(vec![token.to_owned()]),
                token_logprobs: Field::Value(vec![Some(logprob)]),
                ..TokenLogprobs::default()
            },
        }
    }
}

impl<'de> Deserialize<'de> for Logprobs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| match value {
            Value::Number(number) => Number::deserialize(number)
                .map(Self::Number)
                .map_err(|error| error.to_string()),
            Value::Object(map) if map.contains_key("tokens") => from_map(&map).map(Self::Tokens),
            Value::Object(map) => from_map(&map).map(Self::Content),
            other => Err(unexpected("an object or a number", &other)),
        })
    }
}

/// OpenAI's shape.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChatLogprobs {
    /// The tokens of the content.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub content: Field<Vec<TokenLogprob>>,
    /// The tokens of the refusal.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub refusal: Field<Vec<TokenLogprob>>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ChatLogprobs {
    /// Creates log probabilities of content; `refusal` is null.
    pub fn new(content: Vec<TokenLogprob>) -> Self {
        Self {
            content: Field::Value(content),
            refusal: Field::Null,
            extra: Map::new(),
        }
    }

    /// Appends those of the tokens that follow.
    pub fn append(&mut self, more: Self) {
        append(&mut self.content, more.content);
        append(&mut self.refusal, more.refusal);
        self.extra.extend(more.extra);
    }

    fn into_tokens(self) -> TokenLogprobs {
        let (mut tokens, mut logprobs, mut tops) = (Vec::new(), Vec::new(), Vec::new());
        for token in self.content.into_value().unwrap_or_default() {
            tokens.push(token.token);
            logprobs.push(Some(token.logprob));
            tops.push(top_map(token.top_logprobs.into_value().unwrap_or_default()));
        }
        TokenLogprobs {
            tokens: Field::Value(tokens),
            token_logprobs: Field::Value(logprobs),
            top_logprobs: Field::Value(tops),
            ..TokenLogprobs::default()
        }
    }
}

/// A token of the output.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenLogprob {
    /// The token.
    pub token: String,
    /// Its log probability.
    pub logprob: Number,
    /// Its bytes, which need not be UTF-8.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub bytes: Field<Vec<u8>>,
    /// The most likely tokens at this position.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub top_logprobs: Field<Vec<TopLogprob>>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl TokenLogprob {
    /// Creates a token with its alternatives.
    pub fn new(
        token: impl Into<String>,
        logprob: impl Into<Number>,
        top_logprobs: Vec<TopLogprob>,
    ) -> Self {
        let token = token.into();
        Self {
            bytes: bytes(&token),
            token,
            logprob: logprob.into(),
            top_logprobs: Field::Value(top_logprobs),
            extra: Map::new(),
        }
    }
}

/// An alternative token.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TopLogprob {
    /// The token.
    pub token: String,
    /// Its log probability.
    pub logprob: Number,
    /// Its bytes, which need not be UTF-8.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub bytes: Field<Vec<u8>>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl TopLogprob {
    /// Creates an alternative token.
    pub fn new(token: impl Into<String>, logprob: impl Into<Number>) -> Self {
        let token = token.into();
        Self {
            bytes: bytes(&token),
            token,
            logprob: logprob.into(),
            extra: Map::new(),
        }
    }
}

/// The shape of completions, which Together also uses for chat.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenLogprobs {
    /// The tokens.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub tokens: Field<Vec<String>>,
    /// Their log probabilities; the first token of a prompt has none.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub token_logprobs: Field<Vec<Option<Number>>>,
    /// The most likely tokens at each position: a map, or a list of `{token, logprob}`.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub top_logprobs: Field<Vec<Value>>,
    /// The offset of each token in the text.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub text_offset: Field<Vec<u64>>,
    /// All other members, such as `token_ids`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl TokenLogprobs {
    fn into_openai(self) -> ChatLogprobs {
        let tokens = self.tokens.into_value().unwrap_or_default();
        let logprobs = self.token_logprobs.into_value().unwrap_or_default();
        let tops = self.top_logprobs.into_value().unwrap_or_default();
        let tops = tops
            .into_iter()
            .map(top_logprobs)
            .chain(std::iter::repeat_with(Vec::new));
        let tokens = tokens.into_iter().zip(logprobs).zip(tops);
        ChatLogprobs::new(
            tokens
                .filter_map(|((token, logprob), top)| Some(TokenLogprob::new(token, logprob?, top)))
                .collect(),
        )
    }
}

/// One position of `top_logprobs`: `[{token, logprob}]`, `{token: logprob}` (HELM#1828), or null.
fn top_logprobs(position: Value) -> Vec<TopLogprob> {
    match position {
        Value::Array(list) => list
            .into_iter()
            .filter_map(|top| TopLogprob::deserialize(top).ok())
            .map(|top| TopLogprob::new(top.token, top.logprob))
            .collect(),
        Value::Object(map) => map
            .into_iter()
            .filter_map(|(token, logprob)| {
                Some(TopLogprob::new(token, Number::deserialize(logprob).ok()?))
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// One position of `top_logprobs` as in OpenAI's completions: a map.
fn top_map(tops: Vec<TopLogprob>) -> Value {
    let entry = |top: TopLogprob| Some((top.token, serde_json::to_value(top.logprob).ok()?));
    Value::Object(tops.into_iter().filter_map(entry).collect())
}

/// The bytes of a token. A text with a replacement character is incomplete, and its bytes are
/// unknown.
fn bytes(token: &str) -> Field<Vec<u8>> {
    let is_complete = !token.contains(char::REPLACEMENT_CHARACTER);
    Field::nullable(is_complete.then(|| token.as_bytes().to_vec()))
}

fn append<T>(list: &mut Field<Vec<T>>, more: Field<Vec<T>>) {
    match (list, more) {
        (Field::Value(list), Field::Value(more)) => list.extend(more),
        (list, more) if more.is_value() => *list = more,
        _ => {}
    }
}
