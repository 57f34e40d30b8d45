#![doc = include_str!("../README.md")]

mod client;

pub use llm_provider::{
    ApiKey, ChatEvent, ChatStream, Error, ErrorKind, Registry, Result, Settings,
};
pub use prompt_templates::CustomTemplate;

pub use llm_provider as provider;
#[cfg(feature = "router")]
pub use llm_router as router;
pub use llm_types as types;
pub use prompt_templates as templates;
#[cfg(feature = "replicate")]
pub use provider_replicate as replicate;
#[cfg(feature = "together")]
pub use provider_together as together;

pub use crate::client::{Chat, Client};

/// The providers of the enabled features.
pub fn registry() -> Registry {
    #[allow(unused_mut, reason = "without provider features nobody is registered")]
    let mut registry = Registry::new();
    #[cfg(feature = "replicate")]
    provider_replicate::register(&mut registry);
    #[cfg(feature = "together")]
    provider_together::register(&mut registry);
    registry
}

/// Answers a chat, with keys and addresses from the environment.
///
/// # Errors
/// Those of the provider; [`ErrorKind::NotFound`] when the model name names none and
/// [`ErrorKind::Auth`] when its key is not set.
pub async fn completion(
    model: &str,
    messages: impl IntoIterator<Item = types::Message>,
) -> Result<types::ChatResponse> {
    Client::from_env()?
        .chat(model)
        .with_messages(messages)
        .send()
        .await
}
