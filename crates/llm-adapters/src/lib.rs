#![doc = include_str!("../README.md")]
//!
//! Start with [`messages::MessagesAdapter`], [`responses::ResponsesAdapter`] and
//! [`estimate_tokens`].

mod error;
mod estimate;
mod format;
mod ignored;
pub mod messages;
mod partial;
mod pieces;
pub mod responses;

pub use error::{Error, ErrorKind};
pub use estimate::{count_tokens, estimate_tokens};
pub use ignored::Ignored;
