#![doc = include_str!("../README.md")]
//!
//! Start with [`OpenAi`], [`OpenAiClient`], [`Dialect`] and [`register`].

mod client;
mod config;
mod error;
mod generation;
mod models;
mod provider;
mod stream;
mod wire;

use std::sync::Arc;

use llm_provider::Registry;

pub use crate::client::OpenAiClient;
pub use crate::config::{API_BASE_VARIABLES, API_KEY_VARIABLES, DEFAULT_API_BASE, NAME, spec};
pub use crate::error::{is_context_overflow, read_error};
pub use crate::provider::OpenAi;
pub use crate::wire::Dialect;

/// Registers the provider of `openai/…` models.
pub fn register(registry: &mut Registry) {
    registry.register(spec(), |settings| Ok(Arc::new(OpenAi::new(settings)?)));
}
