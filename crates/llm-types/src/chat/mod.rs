//! Chat completions: requests, responses and the chunks of a stream.

mod chunk;
mod content;
mod format;
mod logprobs;
mod message;
mod request;
mod response;
mod summary;
mod tools;

pub use chunk::{
    ChatChunk, ChunkChoice, ChunkError, CustomCallDelta, Delta, FunctionCallDelta, StreamItem,
    ToolCallDelta,
};
pub use content::{
    Content, ContentPart, FilePart, ImageDetail, ImageUrl, ImageUrlPart, InputAudio,
    InputAudioPart, RefusalPart, TextPart,
};
pub use format::{JsonSchemaFormat, ResponseFormat};
pub use logprobs::{ChatLogprobs, Logprobs, TokenLogprob, TokenLogprobs, TopLogprob};
pub use message::{Message, Role};
pub use request::{
    ChatRequest, LogprobsParam, Modality, ReasoningEffort, ServiceTier, Stop, StreamOptions,
    Verbosity,
};
pub use response::{AssistantMessage, ChatResponse, Choice, FinishReason};
pub use summary::ChunkSummary;
pub use tools::{
    CustomCall, CustomTool, CustomToolDefinition, FunctionCall, FunctionDefinition, FunctionTool,
    Tool, ToolCall, ToolChoice, ToolType,
};
