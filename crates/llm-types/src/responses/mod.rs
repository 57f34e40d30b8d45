//! OpenAI's Responses API: requests, responses and the events of a stream.
//!
//! The items of a response are items of the next request, so both have the same types. Like the rest
//! of the crate, they keep unknown members, unknown item types and the three states of a member
//! ([`Field`]).
//!
//! [`Field`]: crate::Field

mod event;
mod item;
mod part;
mod request;
mod response;
mod tool;

pub use event::ResponsesEvent;
pub use item::{
    CallOutputItem, CustomToolCallItem, FunctionCallItem, Item, ItemContent, ItemStatus,
    MessageItem, ReasoningItem,
};
pub use part::{InputFilePart, InputImagePart, ItemPart, OutputTextPart, PartText};
pub use request::{ReasoningConfig, ResponsesInput, ResponsesRequest, TextConfig, TextFormat};
pub use response::{
    InputTokensDetails, ResponsesResponse, ResponsesStatus, ResponsesTokensDetails, ResponsesUsage,
};
pub use tool::{NamespaceTool, ResponsesCustomTool, ResponsesFunctionTool, ResponsesTool};
