//! Anthropic's Messages API: requests, responses, the events of a stream, and errors.
//!
//! The types follow the API versions 2023-06-01 and 2026-10-21. Like the rest of the crate, they
//! keep unknown members, unknown block types and the three states of a member ([`Field`]).
//!
//! [`Field`]: crate::Field

mod block;
mod error;
mod event;
mod request;
mod response;

pub use block::{
    Block, BlockContent, DocumentBlock, ImageBlock, RedactedThinkingBlock, SearchResultBlock,
    Source, TextBlock, ThinkingBlock, ToolResultBlock, ToolUseBlock,
};
pub use error::{MessagesError, MessagesErrorResponse};
pub use event::{
    BlockDelta, BlockDeltaEvent, BlockStartEvent, BlockStopEvent, InputJsonDelta, MessageDelta,
    MessageDeltaEvent, MessageStartEvent, MessageStopEvent, MessagesEvent, PingEvent,
    SignatureDelta, TextDelta, ThinkingDelta,
};
pub use request::{
    InputMessage, MessagesRequest, MessagesTool, MessagesToolChoice, OutputConfig, OutputFormat,
    ThinkingConfig, ThinkingMode,
};
pub use response::{MessagesResponse, MessagesUsage, OutputTokensDetails, StopReason, TokenCount};
