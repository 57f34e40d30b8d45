//! Text completions, the predecessor of chat.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::chat::{FinishReason, Logprobs, LogprobsParam, Stop, StreamOptions};
use crate::{field::Field, input::TextInput, lenient, number::Number, usage::Usage};

/// A request for a text completion.
///
/// As in [`ChatRequest`](crate::ChatRequest), `null` parameters are left out when written, and
/// parameters not named here are in `extra`.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompletionRequest {
    /// The model.
    pub model: String,
    /// The text to go on from.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub prompt: Field<TextInput>,
    /// How many answers to choose the best of.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub best_of: Option<u64>,
    /// Whether to repeat the prompt before the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo: Option<bool>,
    /// Makes tokens less likely the more often they occurred, -2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<Number>,
    /// Changes of likelihood by token id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logit_bias: Option<Map<String, Value>>,
    /// Of how many tokens in each place to tell the log probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<LogprobsParam>,
    /// The most tokens to write.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_tokens: Option<u64>,
    /// How many answers.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub n: Option<u64>,
    /// Makes tokens less likely that occurred at all, -2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<Number>,
    /// The seed of the sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<Number>,
    /// Where to stop writing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// Whether to answer as a stream of chunks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// What the stream is to tell besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
    /// The text that comes after the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// How random the sampling is, 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Number>,
    /// The share of likelihood to sample from, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<Number>,
    /// The end user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Parameters not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl CompletionRequest {
    /// A request with nothing but the required.
    pub fn new(model: impl Into<String>, prompt: impl Into<TextInput>) -> Self {
        Self {
            model: model.into(),
            prompt: Field::Value(prompt.into()),
            ..Self::default()
        }
    }

    /// Sets the most tokens to write.
    pub fn with_max_tokens(mut self, tokens: u64) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// Sets where to stop writing.
    pub fn with_stop(mut self, stop: impl Into<Stop>) -> Self {
        self.stop = Some(stop.into());
        self
    }

    /// Asks for a stream, or not.
    pub fn with_stream(mut self, stream: bool) -> Self {
        self.stream = Some(stream);
        self
    }

    /// Sets how random the sampling is.
    pub fn with_temperature(mut self, temperature: impl Into<Number>) -> Self {
        self.temperature = Some(temperature.into());
        self
    }

    /// Sets a parameter that has no member here.
    pub fn with_extra(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(key.into(), value.into());
        self
    }

    /// Whether a stream is asked for.
    pub fn is_stream(&self) -> bool {
        self.stream == Some(true)
    }
}

/// A text completion, or a chunk of one: OpenAI streams the same object.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompletionResponse {
    /// The id of the answer.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub id: String,
    /// `text_completion` with OpenAI; Together has names of its own.
    #[serde(default = "object")]
    pub object: String,
    /// When it was made, in seconds of Unix time.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub created: Number,
    /// The model that answered; some of Together's chunks do not tell.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub model: Field<String>,
    /// The answers, or pieces of them.
    #[serde(deserialize_with = "choices")]
    pub choices: Vec<CompletionChoice>,
    /// The token counts.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub usage: Field<Usage>,
    /// The build of the engine.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub system_fingerprint: Field<String>,
    /// Members not named above, as the `finish_reason` that Together's schema puts here.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl CompletionResponse {
    /// A response without choices.
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
    pub fn with_choice(mut self, choice: CompletionChoice) -> Self {
        self.choices.push(choice);
        self
    }

    /// Sets the token counts.
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.usage = Field::Value(usage);
        self
    }
}

/// One answer, or a piece of it.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompletionChoice {
    /// The text, or more of it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub text: String,
    /// Its place among the answers.
    #[serde(default, deserialize_with = "lenient::index")]
    pub index: u32,
    /// The log probabilities of its tokens: with OpenAI [`Logprobs::Tokens`], in Together's chunks
    /// a bare number too.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub logprobs: Field<Logprobs>,
    /// Why it ended; null in a chunk until it does.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub finish_reason: Field<FinishReason>,
    /// Members not named above, as Together's `seed` and `delta`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl CompletionChoice {
    /// An answer, or a piece of it when there is no reason; `logprobs` is null.
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

/// Choices without `index`, as Together's schema has them, are numbered in their order.
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
