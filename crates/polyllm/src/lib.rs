#![doc = include_str!("../README.md")]
//!
//! Start with [`Client`], [`completion()`], [`ChatBuilder`], [`Functions`], [`AccumulatingStream`],
//! [`Settings`] and [`Error`].

mod accumulating_stream;
#[cfg(feature = "adapters")]
pub mod adapted;
#[cfg(feature = "blocking")]
pub mod blocking;
mod chat;
mod client;
mod functions;
#[cfg(any(doc, doctest))]
pub mod guide;
mod patterns;
mod request;
#[cfg(feature = "schema")]
mod structured;

pub use llm_provider::{
    ApiKey, Chunk, Error, ErrorKind, Metadata, Provider, Registry, Reply, ReplyEvent, ReplyStream,
    Result, Settings,
};
pub use llm_types::{
    ChatRequest, ChatResponse, Content, FunctionDefinition, Message, ResponseFormat, Stop, Tool,
    ToolChoice,
};
#[cfg(feature = "jinja")]
pub use prompt_templates::ChatTemplate;
pub use prompt_templates::{CustomTemplate, Template};

#[cfg(feature = "adapters")]
pub use llm_adapters as adapters;
#[cfg(feature = "gateway")]
pub use llm_gateway as gateway;
pub use llm_provider as provider;
#[cfg(feature = "router")]
pub use llm_router as router;
pub use llm_types as types;
pub use prompt_templates as templates;
#[cfg(feature = "openai")]
pub use provider_openai as openai;
#[cfg(feature = "replicate")]
pub use provider_replicate as replicate;
#[cfg(feature = "together")]
pub use provider_together as together;
#[cfg(feature = "schema")]
pub use schemars;

pub use crate::accumulating_stream::AccumulatingStream;
pub use crate::client::Client;
pub use crate::functions::{Conversation, Functions};
pub use crate::request::{
    ChatBuilder, CompletionBuilder, EmbeddingBuilder, RequestBuilder, RerankBuilder,
};

/// The providers of the enabled features.
pub fn registry() -> Registry {
    #[allow(unused_mut, reason = "without provider features it stays empty")]
    let mut registry = Registry::new();
    #[cfg(feature = "openai")]
    provider_openai::register(&mut registry);
    #[cfg(feature = "replicate")]
    provider_replicate::register(&mut registry);
    #[cfg(feature = "together")]
    provider_together::register(&mut registry);
    registry
}

/// Sends a chat, with keys and addresses from the environment.
///
/// # Errors
/// Those of the provider and of [`Client::from_env`]; [`ErrorKind::NotFound`] if the model name has
/// no known provider, and [`ErrorKind::Auth`] if the provider's key is not set.
pub async fn completion(
    model: &str,
    messages: impl IntoIterator<Item = Message>,
) -> Result<ChatResponse> {
    Client::from_env()?
        .chat(model)
        .with_messages(messages)
        .send()
        .await
}

/// Completes a text, with keys and addresses from the environment.
///
/// # Errors
/// Those of [`completion`].
pub async fn text_completion(
    model: &str,
    prompt: impl Into<types::TextInput>,
) -> Result<types::completions::CompletionResponse> {
    Client::from_env()?.complete(model, prompt).send().await
}

/// Converts texts to vectors, with keys and addresses from the environment.
///
/// # Errors
/// Those of [`completion`].
pub async fn embedding(
    model: &str,
    input: impl Into<types::TextInput>,
) -> Result<types::embeddings::EmbeddingResponse> {
    Client::from_env()?.embed(model, input).send().await
}

/// Sorts documents by relevance to a query and returns the best `top_n`, or all, with keys and
/// addresses from the environment.
///
/// # Errors
/// Those of [`completion`].
pub async fn rerank<D: Into<types::rerank::RerankDocument>>(
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
