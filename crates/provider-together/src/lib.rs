#![doc = include_str!("../README.md")]
//!
//! Start with [`Together`] and [`register`].

mod client;
mod config;
mod error;
mod messages;
mod model_facts;
mod prompt;
mod wire;

use std::sync::Arc;

use llm_provider::Registry;

pub use crate::client::Together;
pub use crate::config::{API_BASE_VARIABLES, API_KEY_VARIABLES, DEFAULT_API_BASE, NAME, spec};

/// Registers the provider of `together_ai/…` models.
pub fn register(registry: &mut Registry) {
    registry.register(spec(), |settings| Ok(Arc::new(Together::new(settings)?)));
}
