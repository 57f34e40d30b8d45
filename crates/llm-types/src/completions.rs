//! Text completions, the predecessor of chat.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::chat::{FinishReason, Logprobs, LogprobsParam, Stop, StreamOptions};
use crate::{field::Field, input::TextInput, lenient, number::Number, usage::Usage};

/// A request for a text completion.
///
/// As in [`ChatRequest`](crate::ChatRequest), `null` parameters are left out when written, and
/// parameters without a field are in `extra`.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompletionRequest {
    /// The model.
    pub model: String,
    /// The prompt.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub prompt: Field<TextInput>,
    /// The number of candidates to generate, of which the best are returned.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub best_of: Option<u64>,
    /// Whether to include the prompt in the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo: Option<bool>,
    /// Penalizes tokens by how often they occurred, from -2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<Number>,
    /// Bias by token id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logit_bias: Option<Map<String, Value>>,
    /// For how many tokens per position to return log probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<LogprobsParam>,
    /// The maximum number of tokens to generate.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_tokens: Option<u64>,
    /// The number of choices.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub n: Option<u64>,
    /// Penalizes tokens that occurred at all, from -2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<Number>,
    /// The sampling seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<Number>,
    /// Where to stop generating.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// Whether to stream the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// Options of the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
    /// The text that follows the completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// The sampling temperature, from 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Number>,
    /// The nucleus sampling threshold, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<Number>,
    /// The end user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// All other parameters.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl CompletionRequest {
    /// Creates a request with only the required members.
    pub fn new(model: impl Into<String>, prompt: impl Into<TextInput>) -> Self {
        Self {
            model: model.into(),
            prompt: Field::Value(prompt.into()),
            ..Self::default()
        }
    }

    /// Sets the maximum number of tokens to generate.
    #[must_use]
    pub fn with_max_tokens(mut self, tokens: u64) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// Sets where to stop generating.
    #[must_use]
    pub fn with_stop(mut self, stop: impl Into<Stop>) -> Self {
        self.stop = Some(stop.into());
        self
    }

    /// Sets whether to stream the response.
    #[must_use]
    pub fn with_stream(mut self, stream: bool) -> Self {
        self.stream = Some(stream);
        self
    }

    /// Sets the sampling temperature.
    #[must_use]
    pub fn with_temperature(mut self, temperature: impl Into<Number>) -> Self {
        self.temperature = Some(temperature.into());
        self
    }

    /// Sets a parameter that has no field here.
    #[must_use]
    pub fn with_extra(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(key.into(), value.into());
        self
    }

    /// Whether streaming is requested.
    pub fn is_stream(&self) -> bool {
        self.stream == Some(true)
    }
}

/// A text completion, or a chunk of one: OpenAI streams the same object.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompletionResponse {
    /// The id of the response.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub id: String,
    /// `text_completion` at OpenAI; Together uses other names.
    #[serde(default = "object")]
    pub object: String,
    /// The creation time, in seconds of Unix time.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub created: Number,
    /// The model; some of Together's chunks leave it out.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub model: Field<String>,
    /// The choices, or pieces of them.
    #[serde(deserialize_with = "choices")]
    pub choices: Vec<CompletionChoice>,
    /// The token usage.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub usage: Field<Usage>,
    /// The version of the engine.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub system_fingerprint: Field<String>,
    /// All other members, such as the `finish_reason` in Together's schema.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl CompletionResponse {
    /// Creates a response without choices.
    pub fn new(
        id: impl Into<String>,
        created: impl Into<Number>,
        model: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            object: object(),
            created: created.into(),
            model: Field::Value(model.into()),
            choices: Vec::new(),
            usage: Field::Absent,
            system_fingerprint: Field::Absent,
            extra: Map::new(),
        }
    }

    /// Adds a choice.
    #[must_use]
    pub fn with_choice(mut self, choice: CompletionChoice) -> Self {
        self.choices.push(choice);
        self
    }

    /// Sets the token usage.
    #[must_use]
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = Field::Value(usage);
        self
    }
}

/// A choice, or a piece of one.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompletionChoice {
    /// The text, or a piece of it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub text: String,
    /// The index of the choice.
    #[serde(default, deserialize_with = "lenient::index")]
    pub index: u32,
    /// The log probabilities: [`Logprobs::Tokens`] at OpenAI; in Together's chunks also a bare
    /// number.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub logprobs: Field<Logprobs>,
    /// The finish reason; null in chunks before the last one of the choice.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub finish_reason: Field<FinishReason>,
    /// All other members, such as Together's `seed` and `delta`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl CompletionChoice {
    /// Creates a choice, or a piece of one if there is no finish reason; `logprobs` is null.
    pub fn new(index: u32, text: impl Into<String>, finish_reason: Option<FinishReason>) -> Self {
        Self {
            text: text.into(),
            index,
            logprobs: Field::Null,
            finish_reason: Field::nullable(finish_reason),
            extra: Map::new(),
        }
    }
}

/// Choices without `index`, as in Together's schema, are numbered in order.
fn choices<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<CompletionChoice>, D::Error> {
    let mut choices: Vec<CompletionChoice> = lenient::or_default(deserializer)?;
    if choices.iter().all(|choice| choice.index == 0) {
        for (index, choice) in (0..).zip(&mut choices) {
            choice.index = index;
        }
    }
    Ok(choices)
}

fn object() -> String {
    "text_completion".to_owned()
}
