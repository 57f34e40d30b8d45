//! The OpenAI wire, as far as OpenAI-compatible upstreams share it.
//!
//! A provider hands its differences to an [`OpenAiClient`] as a [`Dialect`] and is done.

mod as_chat;
mod chat;
mod client;
mod completion;
mod dialect;
mod embedding;
mod exchange;
mod fold;
mod models;
mod rerank;
mod stream;

pub use as_chat::{as_chat, as_chat_stream};
pub use client::OpenAiClient;
pub use dialect::{Dialect, Translated, Translation, read_error};
