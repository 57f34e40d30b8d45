//! Together AI for polyllm: what is different about it, and nothing else.
//!
//! ```no_run
//! use llm_provider::{Call, Json, Provider, Settings};
//! use llm_types::{ChatRequest, Message};
//! use provider_together::Together;
//!
//! # async fn example() -> llm_provider::Result<()> {
//! // The key comes from TOGETHERAI_API_KEY, or one of the other names in `config`.
//! let together = Together::new(Settings::new())?;
//! let messages = vec![Message::user("Write me a poem about the blue sky")];
//! let request = ChatRequest::new("meta-llama/Llama-3.3-70B-Instruct-Turbo", messages);
//! let reply = together.chat(Call::new(Json::from_value(request))).await?;
//! println!("{}", String::from_utf8_lossy(reply.body.bytes()));
//! # Ok(())
//! # }
//! ```
//!
//! Together speaks OpenAI's dialect with an accent: see [`wire`](self) in the source for each
//! difference and where it was seen. The streaming accents are evened out by
//! [`llm_provider::openai`].

mod client;
mod config;
mod error;
mod wire;

use std::sync::Arc;

use llm_provider::Registry;

pub use crate::client::Together;
pub use crate::config::{API_BASE_VARIABLES, API_KEY_VARIABLES, DEFAULT_API_BASE, NAME};

/// Makes `together_ai/…` models known.
pub fn register(registry: &mut Registry) {
    registry.register(NAME, |settings| Ok(Arc::new(Together::new(settings)?)));
}
