#![doc = include_str!("../README.md")]

mod answer;
mod chat;
mod client;
mod config;
mod error;
mod input;
pub mod manage;
mod models;
mod poll;
mod prompt;
mod run;
mod schema;
mod stream;
mod target;
mod wire;

use std::sync::Arc;

use llm_provider::Registry;

#[cfg(feature = "webhook")]
pub use llm_provider::webhook;

pub use crate::chat::Replicate;
pub use crate::config::{API_BASE_VARIABLES, API_KEY_VARIABLES, DEFAULT_API_BASE};

/// What names of models begin with: `replicate/meta/meta-llama-3-8b-instruct`.
pub const NAME: &str = "replicate";

/// Makes `replicate/…` models known.
pub fn register(registry: &mut Registry) {
    registry.register(NAME, |settings| Ok(Arc::new(Replicate::new(settings)?)));
}
