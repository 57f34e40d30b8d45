//! The chunks of a stream.

use serde::{Deserialize, Serialize};
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
    /// The id of the answer, the same in all its chunks.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub id: String,
    /// Always `chat.completion.chunk`.
    #[serde(default = "object")]
    pub object: String,
    /// When the answer was begun, in seconds of Unix time.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub created: Number,
    /// The model that answers.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub model: String,
    /// Pieces of the answers; empty in the chunk that only tells the token counts.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub choices: Vec<ChunkChoice>,
    /// The token counts: of a value in one of the last chunks, null in others.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub usage: Field<Usage>,
    /// The class of service that is given.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub service_tier: Field<ServiceTier>,
    /// The build of the engine.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub system_fingerprint: Field<String>,
    /// Members not named above, as `obfuscation`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ChatChunk {
    /// A chunk without choices.
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
    pub fn with_choice(mut self, choice: ChunkChoice) -> Self {
        self.choices.push(choice);
        self
    }

    /// Sets the token counts.
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = Field::Value(usage);
        self
    }

    /// What the chunk adds to the first answer's content.
    pub fn text(&self) -> Option<&str> {
        self.choices.first()?.delta.content.as_str()
    }

    /// Removes the nulls that clients break on: in the deltas, and in their tool calls
    /// (async-openai#560, goose#8991).
    pub fn drop_nulls(&mut self) {
        for choice in &mut self.choices {
            choice.delta.drop_nulls();
        }
    }
}

/// A piece of one answer.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChunkChoice {
    /// The place of the answer among the answers.
    #[serde(default, deserialize_with = "lenient::index")]
    pub index: u32,
    /// What is added.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub delta: Delta,
    /// The log probabilities of the added tokens.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub logprobs: Field<Logprobs>,
    /// Why the answer ended; null until it does.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub finish_reason: Field<FinishReason>,
    /// Members not named above, as Together's `text` and `seed`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ChunkChoice {
    /// A piece of an answer; `finish_reason` is null.
    pub fn new(index: u32, delta: Delta) -> Self {
        Self {
            index,
            delta,
            logprobs: Field::Absent,
            finish_reason: Field::Null,
            extra: Map::new(),
        }
    }

    /// The end of an answer, with an empty delta.
    pub fn finish(index: u32, finish_reason: FinishReason) -> Self {
        let mut choice = Self::new(index, Delta::default());
        choice.finish_reason = Field::Value(finish_reason);
        choice
    }
}

fn object() -> String {
    "chat.completion.chunk".to_owned()
}
