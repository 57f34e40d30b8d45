//! Anthropic's Messages API on top of chat completions.
//!
//! [`MessagesAdapter`] converts a request. The result, a [`MessagesExchange`], has the chat request
//! and a [`MessagesReplies`], which converts the reply: in one piece, or chunk by chunk with
//! [`MessagesStream`].

mod accumulate;
mod assistant;
mod blocks;
mod cut;
mod document;
mod error;
mod ids;
mod replies;
mod request;
mod signature;
mod stop;
mod stream;
mod tools;
mod turns;
mod usage;
mod user;

pub use accumulate::MessagesAccumulator;
pub use error::{chat_error, error_type};
pub use replies::{MessagesReplies, replaced_arguments};
pub use request::{AnthropicTools, InlineSystem, MessagesAdapter, MessagesExchange};
pub use stream::MessagesStream;
