//! The contract between polyllm and a model provider.
//!
//! ```
//! use llm_provider::{Call, Json, Provider, Result};
//! use llm_types::{ChatRequest, Message};
//!
//! /// Works with any provider; the router and the gateway are written against this alone.
//! async fn ask(provider: &dyn Provider, model: &str) -> Result<Json<llm_types::ChatResponse>> {
//!     let request = ChatRequest::new(model, vec![Message::user("Hello!")]);
//!     let reply = provider.chat(Call::new(Json::from_value(request))).await?;
//!     Ok(reply.body)
//! }
//! ```
//!
//! - [`Provider`] is what a provider crate implements and what a router holds;
//! - [`Error`] is what goes wrong, typed by [`ErrorKind`];
//! - [`Registry`] finds the provider for a model name, [`Settings`] is what it is built from;
//! - [`HttpClient`], [`retry`] and [`cleanup`] are what all providers need to talk to theirs;
//! - [`openai`] is the wire that OpenAI-compatible providers share.

pub mod cleanup;
mod error;
mod http;
mod json;
mod key;
pub mod openai;
mod provider;
mod registry;
pub mod retry;

pub use crate::error::{Error, ErrorKind, Result};
pub use crate::http::{BaseUrl, Body, HttpClient, with_limit};
pub use crate::json::Json;
pub use crate::key::ApiKey;
pub use crate::provider::{Call, ChatEvent, ChatStream, Metadata, Progress, Provider, Reply};
pub use crate::registry::{Registry, Settings};
