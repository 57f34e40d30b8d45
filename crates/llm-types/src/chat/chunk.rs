//! The chunks of a stream.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::delta::Delta;
use super::logprobs::Logprobs;
use super::params::ServiceTier;
use super::response::FinishReason;
use crate::{field::Field, lenient, number::Number, usage::Usage};

/// A piece of a chat completion.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChatChunk {
    /// The id of the response, the same in all its chunks.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub id: String,
    /// Always `chat.completion.chunk`.
    #[serde(default = "object", deserialize_with = "read_object")]
    pub object: String,
    /// The creation time of the response, in seconds of Unix time.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub created: Number,
    /// The model.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub model: String,
    /// The pieces of the choices; empty in the chunk that has only the usage.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub choices: Vec<ChunkChoice>,
    /// The token usage: set in one of the last chunks, null in the others.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub usage: Field<Usage>,
    /// The service tier that was used.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub service_tier: Field<ServiceTier>,
    /// The version of the engine.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub system_fingerprint: Field<String>,
    /// All other members, such as `obfuscation`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ChatChunk {
    /// Creates a chunk without choices.
    pub fn new(
        id: impl Into<String>,
        created: impl Into<Number>,
        model: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            object: object(),
            created: created.into(),
            model: model.into(),
            choices: Vec::new(),
            usage: Field::Absent,
            service_tier: Field::Absent,
            system_fingerprint: Field::Absent,
            extra: Map::new(),
        }
    }

    /// Adds a choice.
    #[must_use]
    pub fn with_choice(mut self, choice: ChunkChoice) -> Self {
        self.choices.push(choice);
        self
    }

    /// Sets the token usage.
    #[must_use]
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = Field::Value(usage);
        self
    }

    /// The content that the chunk adds to the first choice.
    pub fn text(&self) -> Option<&str> {
        self.choices.first()?.delta.content.as_str()
    }

    /// Removes nulls on which clients fail, in the deltas and in their tool calls
    /// (async-openai#560, goose#8991).
    pub fn drop_nulls(&mut self) {
        for choice in &mut self.choices {
            choice.delta.drop_nulls();
        }
    }
}

/// A piece of a choice.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChunkChoice {
    /// The index of the choice.
    #[serde(default, deserialize_with = "lenient::index")]
    pub index: u32,
    /// The delta: what is added.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub delta: Delta,
    /// The log probabilities of the added tokens.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub logprobs: Field<Logprobs>,
    /// The finish reason; null until the choice ends.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub finish_reason: Field<FinishReason>,
    /// All other members, such as Together's `text` and `seed`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ChunkChoice {
    /// Creates a piece of a choice; `finish_reason` is null.
    pub fn new(index: u32, delta: Delta) -> Self {
        Self {
            index,
            delta,
            logprobs: Field::Absent,
            finish_reason: Field::Null,
            extra: Map::new(),
        }
    }

    /// Creates the end of a choice, with an empty delta.
    pub fn finish(index: u32, finish_reason: FinishReason) -> Self {
        let mut choice = Self::new(index, Delta::default());
        choice.finish_reason = Field::Value(finish_reason);
        choice
    }
}

fn object() -> String {
    "chat.completion.chunk".to_owned()
}

/// Some servers send null.
fn read_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::deserialize(deserializer).map(|read| read.unwrap_or_else(object))
}
