#![doc = include_str!("../README.md")]
//!
//! Start with [`Replicate`] and [`register`].

mod client;
mod config;
mod guard;
mod input;
mod list;
mod models;
mod parameters;
mod prompt;
mod reply;
mod run;
mod stream;

use std::sync::Arc;

use llm_provider::Registry;

pub use replicate_api as manage;
#[cfg(feature = "webhook")]
pub use replicate_api::webhook;
pub use replicate_api::{API_BASE_VARIABLES, API_KEY_VARIABLES, DEFAULT_API_BASE};

pub use crate::client::Replicate;
pub use crate::config::spec;

/// The prefix of model names: `replicate/meta/meta-llama-3-8b-instruct`.
pub const NAME: &str = replicate_api::NAME;

/// Registers the provider of `replicate/…` models.
pub fn register(registry: &mut Registry) {
    registry.register(spec(), |settings| Ok(Arc::new(Replicate::new(settings)?)));
}
