//! Hugging Face chat templates, rendered as transformers renders them.

mod config;
mod context;
mod control;
mod engine;
mod environment;
mod messages;
mod methods;
mod python;
mod source;
mod strings;
mod template;
mod variant;
mod widths;

pub use context::Context;
pub use engine::Limits;
pub use template::ChatTemplate;
