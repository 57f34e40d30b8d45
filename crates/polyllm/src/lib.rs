#![doc = include_str!("../README.md")]

mod client;
mod request;

pub use llm_provider::{
    ApiKey, ChatEvent, ChatStream, CompletionEvent, CompletionStream, Error, ErrorKind, Registry,
    Reply, Result, Settings,
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

pub use crate::client::Client;
pub use crate::request::{Chat, Completion, Embedding, Request, Rerank};

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

/// Goes on from a text, with keys and addresses from the environment.
///
/// # Errors
/// Those of [`completion`].
pub async fn text_completion(
    model: &str,
    prompt: impl Into<types::TextInput>,
) -> Result<types::completions::CompletionResponse> {
    Client::from_env()?.complete(model, prompt).send().await
}

/// Turns texts into vectors, with keys and addresses from the environment.
///
/// # Errors
/// Those of [`completion`].
pub async fn embedding(
    model: &str,
    input: impl Into<types::TextInput>,
) -> Result<types::embeddings::EmbeddingResponse> {
    Client::from_env()?.embed(model, input).send().await
}

/// Sorts documents by how well they answer a query and tells the `top_n` best, or all; with keys
/// and addresses from the environment.
///
/// # Errors
/// Those of [`completion`].
pub async fn rerank<D: Into<types::rerank::Document>>(
    model: &str,
    query: &str,
    documents: impl IntoIterator<Item = D>,
    top_n: impl Into<Option<u64>>,
) -> Result<types::rerank::RerankResponse> {
    let top_n = top_n.into();
    Client::from_env()?
        .rerank(model, query, documents)
        .with_request(|request| request.top_n = top_n)
        .send()
        .await
}
