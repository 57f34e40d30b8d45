//! The log probabilities of an answer's tokens, in the shapes that are seen.

use serde::de::{Deserializer, Error as DeError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{field::Field, number::Number, parse::kind, tagged::from_map};

/// Log probabilities in one of the shapes that Together sends; OpenAI's is the first.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Logprobs {
    /// OpenAI's `{content: [{token, logprob, …}]}`.
    Content(ChatLogprobs),
    /// `{tokens, token_logprobs, …}`, as in completions.
    Tokens(TokenLogprobs),
    /// A bare number for the only token of a chunk.
    Number(Number),
}

impl<'de> Deserialize<'de> for Logprobs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => Number::deserialize(number)
                .map(Self::Number)
                .map_err(D::Error::custom),
            Value::Object(map) if map.contains_key("tokens") => from_map(&map).map(Self::Tokens),
            Value::Object(map) => from_map(&map).map(Self::Content),
            other => Err(D::Error::custom(format_args!(
                "expected an object or a number, found {}",
                kind(&other)
            ))),
        }
    }
}

/// OpenAI's shape.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ChatLogprobs {
    /// The tokens of the content.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub content: Field<Vec<TokenLogprob>>,
    /// The tokens of the refusal.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub refusal: Field<Vec<TokenLogprob>>,
    /// Members not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A token of the answer.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TokenLogprob {
    /// The token.
    pub token: String,
    /// Its log probability.
    pub logprob: Number,
    /// Its bytes, which need not be UTF-8.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub bytes: Field<Vec<u8>>,
    /// The most likely tokens in this place.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub top_logprobs: Field<Vec<TopLogprob>>,
    /// Members not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A token that might have been.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TopLogprob {
    /// The token.
    pub token: String,
    /// Its log probability.
    pub logprob: Number,
    /// Its bytes, which need not be UTF-8.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub bytes: Field<Vec<u8>>,
    /// Members not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The shape of completions, which Together also uses for chat.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct TokenLogprobs {
    /// The tokens.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub tokens: Field<Vec<String>>,
    /// Their log probabilities; the first token of a prompt has none.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub token_logprobs: Field<Vec<Option<Number>>>,
    /// The most likely tokens in each place: a map, or a list of `{token, logprob}`.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub top_logprobs: Field<Vec<Value>>,
    /// Where each token begins in the text.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub text_offset: Field<Vec<u64>>,
    /// Members not named above, such as `token_ids`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
