#![doc = include_str!("../README.md")]
//!
//! Start with [`ChatRequest`], [`ChatResponse`], [`Message`], [`Tool`], [`StreamItem`],
//! [`Accumulator`], [`RawObject`] and [`parse`].

mod chat;
pub mod completions;
pub mod embeddings;
mod error;
mod field;
mod input;
mod lenient;
pub mod messages;
mod models;
pub mod moderations;
mod number;
mod open_enum;
mod parse;
mod raw;
pub mod rerank;
pub mod responses;
#[cfg(feature = "schema")]
mod schema;
mod tagged;
mod usage;

pub use chat::{
    Accumulator, AssistantMessage, ChatChunk, ChatLogprobs, ChatRequest, ChatResponse, Choice,
    ChunkChoice, ChunkError, ChunkSummary, Content, ContentPart, CustomCall, CustomCallDelta,
    CustomTool, CustomToolDefinition, Delta, FilePart, FinishReason, FunctionCall,
    FunctionCallDelta, FunctionDefinition, FunctionTool, ImageDetail, ImageUrl, ImageUrlPart,
    InputAudio, InputAudioPart, JsonSchemaFormat, Logprobs, LogprobsParam, Message, Modality,
    ReasoningEffort, RefusalPart, ResponseFormat, Role, ServiceTier, Stop, StreamItem,
    StreamOptions, TextPart, TokenLogprob, TokenLogprobs, Tool, ToolCall, ToolCallDelta,
    ToolChoice, ToolType, TopLogprob, Verbosity,
};
pub use error::{ErrorObject, ErrorResponse};
pub use field::Field;
pub use input::TextInput;
pub use models::{Model, ModelList};
pub use number::Number;
pub use parse::{ParseError, parse};
pub use raw::{Edit, Piece, RawIndex, RawItems, RawObject, RawObjects};
#[doc(no_inline)]
pub use serde_json::{Map, Value};
pub use usage::{CompletionTokensDetails, PromptTokensDetails, Usage};
