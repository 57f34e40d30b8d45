//! OpenAI's Responses API on top of chat completions.
//!
//! [`ResponsesAdapter`] converts a request. The result, a [`ResponsesExchange`], has the chat request
//! and a [`ResponsesReplies`], which converts the reply: in one piece, or chunk by chunk with
//! [`ResponsesStream`].

mod custom;
mod echo;
mod error;
mod ids;
mod input;
mod items;
mod output;
mod parts;
mod replies;
mod request;
mod stream;
mod tool_names;
mod tools;
mod usage;

pub use error::error_code;
pub use replies::ResponsesReplies;
pub use request::{ResponsesAdapter, ResponsesExchange};
pub use stream::ResponsesStream;
