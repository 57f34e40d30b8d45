//! Replicate for polyllm: language models behind predictions, versions and deployments.
//!
//! ```no_run
//! use llm_provider::{Call, Json, Provider, Settings};
//! use llm_types::{ChatRequest, Message};
//! use provider_replicate::Replicate;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // The key comes from REPLICATE_API_KEY or REPLICATE_API_TOKEN.
//! let replicate = Replicate::new(Settings::new())?;
//! let messages = vec![Message::user("What do you know about earth?")];
//! let request = ChatRequest::new("meta/meta-llama-3-8b-instruct", messages);
//! let reply = replicate.chat(Call::new(Json::from_value(request))).await?;
//! println!("{}", reply.body.value()?.text().unwrap_or_default());
//! # Ok(())
//! # }
//! ```
//!
//! # Names
//!
//! | model | becomes |
//! |---|---|
//! | `owner/name` | the official model, or the newest version of any other |
//! | `owner/name:version`, `name:version`, `version` | that version |
//! | `deployments/owner/name` | the deployment |
//!
//! # Parameters
//!
//! The model's own input schema, looked up once, tells what its parameters are called and how low
//! the temperature may be. OpenAI's parameters are translated; those that the model has nothing
//! like are an error that names them, or are left out and reported with
//! [`drop_params`](llm_provider::Call::drop_params). All other parameters (`top_k`, `min_tokens` …)
//! go to the model as they are.
//!
//! # Prompts
//!
//! A model that takes one prompt gets it in the format that it was trained on, found by its name;
//! a model that formats its prompt itself gets the bare text; a model that is not known gets the
//! plain text too. Which of these it was is told in `prompt_template` and `prompt_template_source`
//! of [`Metadata::extra`](llm_provider::Metadata::extra). Templates of one's own are set with
//! LiteLLM's `roles`, `initial_prompt_value`, `final_prompt_value`, `bos_token` and `eos_token`, or
//! with [`Replicate::with_template`].
//!
//! # Never a prediction left running
//!
//! A dropped future or stream cancels its prediction, by a task that
//! [`cleanup::finish`](llm_provider::cleanup::finish) waits for; and every prediction is made with
//! a deadline (`Cancel-After`), should the process die.

mod answer;
mod cancel;
mod chat;
mod client;
mod config;
mod error;
mod input;
mod models;
mod poll;
mod prompt;
mod schema;
mod stream;
mod target;
mod wire;

use std::sync::Arc;

use llm_provider::Registry;

pub use crate::chat::Replicate;
pub use crate::config::{API_BASE_VARIABLES, API_KEY_VARIABLES, DEFAULT_API_BASE};

/// What names of models begin with: `replicate/meta/meta-llama-3-8b-instruct`.
pub const NAME: &str = "replicate";

/// Makes `replicate/…` models known.
pub fn register(registry: &mut Registry) {
    registry.register(NAME, |settings| Ok(Arc::new(Replicate::new(settings)?)));
}
