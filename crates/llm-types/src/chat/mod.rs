//! Chat completions: requests, responses and the chunks of a stream.

mod accumulate;
mod chunk;
mod content;
mod delta;
mod format;
mod logprobs;
mod message;
mod params;
mod request;
mod response;
mod split;
mod stream;
mod summary;
mod tools;

pub use accumulate::Accumulator;
pub use chunk::{ChatChunk, ChunkChoice};
pub use content::{
    Content, ContentPart, FilePart, ImageDetail, ImageUrl, ImageUrlPart, InputAudio,
    InputAudioPart, RefusalPart, TextPart,
};
pub use delta::{CustomCallDelta, Delta, FunctionCallDelta, ToolCallDelta};
pub use format::{JsonSchemaFormat, ResponseFormat};
pub use logprobs::{ChatLogprobs, Logprobs, TokenLogprob, TokenLogprobs, TopLogprob};
pub use message::{Message, Role};
pub use params::{
    LogprobsParam, Modality, ReasoningEffort, ServiceTier, Stop, StreamOptions, Verbosity,
};
pub use request::ChatRequest;
pub use response::{AssistantMessage, ChatResponse, Choice, FinishReason};
pub use stream::{ChunkError, StreamItem};
pub use summary::ChunkSummary;
pub use tools::{
    CustomCall, CustomTool, CustomToolDefinition, FunctionCall, FunctionDefinition, FunctionTool,
    Tool, ToolCall, ToolChoice, ToolType,
};
