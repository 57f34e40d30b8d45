//! The chunks of a stream.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::logprobs::Logprobs;
use super::message::Role;
use super::request::ServiceTier;
use super::response::FinishReason;
use super::tools::ToolType;
use crate::error::ErrorResponse;
use crate::parse::{ParseError, parse};
use crate::{field::Field, lenient, number::Number, usage::Usage};

/// What an event of a chat stream says.
#[allow(clippy::large_enum_variant)] // chunks are by far the most
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum StreamItem {
    /// A piece of the answer.
    Chunk(ChatChunk),
    /// The stream failed after it had begun.
    Error(ErrorResponse),
    /// `[DONE]`.
    Done,
}

impl StreamItem {
    /// Reads the data of an event.
    ///
    /// An `error` is looked for first, so that it never shows as a chunk that lacks its members
    /// (goose#7663).
    ///
    /// # Errors
    ///
    /// When the data is neither `[DONE]`, nor a chunk, nor an error.
    pub fn parse(data: &[u8]) -> Result<Self, ChunkError> {
        if data.trim_ascii_start().starts_with(b"[DONE]") {
            return Ok(Self::Done);
        }
        let chunk: Result<ChatChunk, ParseError> = parse(data);
        match chunk {
            Ok(chunk) if !is_error(&chunk) => Ok(Self::Chunk(chunk)),
            other => match (ErrorResponse::parse(data), other) {
                (Some(error), _) => Ok(Self::Error(error)),
                (None, Ok(chunk)) => Ok(Self::Chunk(chunk)),
                (None, Err(source)) => Err(ChunkError::new(data, source)),
            },
        }
    }
}

/// Data of a stream that is no chunk; it shows the beginning of the data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChunkError {
    payload: String,
    source: ParseError,
}

impl ChunkError {
    /// The beginning of the data (async-openai#61: without it nobody can tell what came).
    pub fn payload(&self) -> &str {
        &self.payload
    }

    fn new(data: &[u8], source: ParseError) -> Self {
        let text = String::from_utf8_lossy(data);
        let mut payload: String = text.chars().take(PAYLOAD_CHARS).collect();
        if payload.len() < text.len() {
            payload.push('…');
        }
        Self { payload, source }
    }
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a chunk of a chat stream: {}", self.payload)
    }
}

impl StdError for ChunkError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

/// A piece of a chat completion.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
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

/// What a chunk adds to an answer.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Delta {
    /// Who speaks; in the first chunk, with Together in all.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub role: Field<Role>,
    /// More of the answer.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub content: Field<String>,
    /// More of the refusal.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub refusal: Field<String>,
    /// More of the thinking, as Together names it.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub reasoning: Field<String>,
    /// More of the thinking, as DeepSeek and LiteLLM name it.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub reasoning_content: Field<String>,
    /// More of the tool calls.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub tool_calls: Field<Vec<ToolCallDelta>>,
    /// More of the function call, the predecessor of tool calls.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub function_call: Field<FunctionCallDelta>,
    /// Members not named above, as Together's `token_id`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Delta {
    /// The beginning of an answer: the role, and empty content.
    pub fn start() -> Self {
        Self {
            role: Field::Value(Role::Assistant),
            content: "".into(),
            ..Self::default()
        }
    }

    /// More of the answer.
    pub fn content(text: impl Into<String>) -> Self {
        Self {
            content: Field::Value(text.into()),
            ..Self::default()
        }
    }

    /// More of the thinking, under the name that OpenAI's clients know.
    pub fn reasoning_content(text: impl Into<String>) -> Self {
        Self {
            reasoning_content: Field::Value(text.into()),
            ..Self::default()
        }
    }

    /// More of the thinking, under either name.
    pub fn thinking(&self) -> Option<&str> {
        self.reasoning_content
            .as_str()
            .or_else(|| self.reasoning.as_str())
    }

    fn drop_nulls(&mut self) {
        self.role.drop_null();
        self.content.drop_null();
        self.refusal.drop_null();
        self.reasoning.drop_null();
        self.reasoning_content.drop_null();
        self.tool_calls.drop_null();
        self.function_call.drop_null();
        if let Field::Value(call) = &mut self.function_call {
            call.drop_nulls();
        }
        for call in self.tool_calls.value_mut().into_iter().flatten() {
            call.drop_nulls();
        }
    }
}

/// More of a tool call: the first piece has the id and the name, the others arguments.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ToolCallDelta {
    /// The place of the call among the calls.
    #[serde(default, deserialize_with = "lenient::index")]
    pub index: u32,
    /// The id that the tool's message answers to.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub id: Field<String>,
    /// What is called.
    #[serde(default, rename = "type", skip_serializing_if = "Field::is_absent")]
    pub type_: Field<ToolType>,
    /// More of the function's name and arguments.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub function: Field<FunctionCallDelta>,
    /// More of the custom tool's name and input.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub custom: Field<CustomCallDelta>,
    /// Members not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ToolCallDelta {
    /// The first piece of a function call.
    pub fn start(index: u32, id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            index,
            id: Field::Value(id.into()),
            type_: Field::Value(ToolType::Function),
            function: Field::Value(FunctionCallDelta {
                name: Field::Value(name.into()),
                arguments: "".into(),
                extra: Map::new(),
            }),
            ..Self::default()
        }
    }

    /// More of a function's arguments.
    pub fn arguments(index: u32, arguments: impl Into<String>) -> Self {
        Self {
            index,
            function: Field::Value(FunctionCallDelta {
                arguments: Field::Value(arguments.into()),
                ..FunctionCallDelta::default()
            }),
            ..Self::default()
        }
    }

    fn drop_nulls(&mut self) {
        self.id.drop_null();
        self.type_.drop_null();
        self.function.drop_null();
        self.custom.drop_null();
        if let Field::Value(call) = &mut self.function {
            call.drop_nulls();
        }
        if let Field::Value(call) = &mut self.custom {
            call.name.drop_null();
            call.input.drop_null();
        }
    }
}

/// More of a function call.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct FunctionCallDelta {
    /// The function.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub name: Field<String>,
    /// More of the arguments: a piece of JSON text.
    #[serde(
        default,
        deserialize_with = "lenient::arguments",
        skip_serializing_if = "Field::is_absent"
    )]
    pub arguments: Field<String>,
    /// Members not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl FunctionCallDelta {
    fn drop_nulls(&mut self) {
        self.name.drop_null();
        self.arguments.drop_null();
    }
}

/// More of a call of a custom tool.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct CustomCallDelta {
    /// The tool.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub name: Field<String>,
    /// More of the input.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub input: Field<String>,
    /// Members not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Whether a chunk that could be read is in truth an error.
fn is_error(chunk: &ChatChunk) -> bool {
    chunk
        .extra
        .get("error")
        .is_some_and(|error| !error.is_null())
}

fn object() -> String {
    "chat.completion.chunk".to_owned()
}

const PAYLOAD_CHARS: usize = 512;
