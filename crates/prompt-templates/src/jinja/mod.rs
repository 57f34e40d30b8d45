//! Hugging Face chat templates, rendered as transformers renders them.

mod budget;
mod config;
mod context;
mod control;
mod convert;
mod engine;
mod environment;
mod expression;
mod filters;
mod formats;
mod generator;
mod lexer;
mod lists;
mod messages;
mod methods;
mod namespace;
mod operand;
mod operators;
mod parser;
mod python;
mod slices;
mod source;
mod statement;
mod strings;
mod template;
mod tests;
mod text;
mod variant;

pub use context::Context;
pub use engine::RenderLimits;
pub use template::ChatTemplate;
