//! The OpenAI wire, as far as OpenAI-compatible upstreams share it.
//!
//! A provider hands its differences to an [`OpenAiClient`] as a [`Dialect`] and is done.

mod chat;
mod client;
mod completion;
mod dialect;
mod embedding;
mod exchange;
mod models;
mod rerank;
mod stream;

pub use client::OpenAiClient;
pub use dialect::{Dialect, Translated, Translation, read_error};
