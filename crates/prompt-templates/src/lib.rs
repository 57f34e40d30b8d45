//! Renders chat messages as prompt text, in the format that each model was trained on.
//!
//! ```
//! use prompt_templates::{PromptMessage, Options, match_model};
//!
//! let messages = [PromptMessage::system("Be brief."), PromptMessage::user("What is Rust?")];
//! let family = match_model("meta/meta-llama-3-8b-instruct").family.ok_or("unknown model")?;
//! let prompt = family.render(&messages, &Options::new())?;
//! assert!(prompt.starts_with("<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crate is pure: no clock, no network, no files. Without features it is `no_std` + `alloc` and
//! has no dependencies.
//!
//! - [`Family`] is a built-in format, written by hand and checked against the official template.
//!   [`match_model`] finds a model's family by name, or reports that the model is unknown.
//! - [`CustomTemplate`] is a template in LiteLLM's form, and [`TemplateRegistry`] maps model names to
//!   templates.
//! - `ChatTemplate` (feature `jinja`) renders Hugging Face chat templates like transformers.
//! - [`Template`] is any of these, and [`Options`] apply to all.
//! - [`Prompts`] is the template configuration of an account with a completion server.
//!
//! Content cannot forge a turn; see [`ControlTokens`]. Messages that a format does not support are
//! rejected by default; see [`Strictness`].
//!
//! # Features
//!
//! None is on by default.
//!
//! - `serde`: [`CustomTemplate`] and [`Prompts`] from YAML or JSON in LiteLLM's keys.
//! - `jinja`: `ChatTemplate` and its `Context`, with minijinja.
//! - `openai`: [`PromptMessage`] from `&llm_types::Message`.
//!
//! Requires Rust 1.95. Before version 1.0, a minor version may change the API.
#![cfg_attr(doctest, doc = include_str!("../README.md"))]
#![no_std]

extern crate alloc;
#[cfg(any(feature = "jinja", test))]
extern crate std;

mod control;
mod custom;
mod error;
mod family;
#[cfg(feature = "jinja")]
mod jinja;
mod json;
#[cfg(feature = "serde")]
mod litellm;
mod matching;
mod message;
mod now;
#[cfg(feature = "openai")]
mod openai;
mod options;
mod prompt;
mod prompts;
mod python;
mod registry;
mod template;

pub use custom::{CustomTemplate, RoleMarkers};
pub use error::{Error, ErrorKind};
pub use family::{Family, SystemRole};
#[cfg(feature = "jinja")]
pub use jinja::{ChatTemplate, Context, RenderLimits};
pub use matching::{MatchReason, ModelMatch, match_model};
pub use message::{PromptContent, PromptMessage, PromptPart, PromptRole, PromptToolCall};
pub use now::Now;
pub use options::{ControlTokens, Images, Options, Strictness};
pub use prompts::Prompts;
pub use registry::{NameMatch, RegisteredTemplate, TemplateRegistry};
pub use template::Template;
