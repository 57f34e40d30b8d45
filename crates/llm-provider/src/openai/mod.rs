//! The OpenAI wire, as far as OpenAI-compatible upstreams share it.
//!
//! A provider hands its differences to an [`OpenAiClient`] as a [`Dialect`] and is done.

mod client;
mod dialect;
mod response;
mod stream;

pub use client::OpenAiClient;
pub use dialect::{Dialect, Translated, read_error};
