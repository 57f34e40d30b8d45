//! The operations of a provider as types, for code that treats them all alike.

use futures_core::future::BoxFuture;
use llm_types::completions::{CompletionRequest, CompletionResponse};
use llm_types::embeddings::{EmbeddingRequest, EmbeddingResponse};
use llm_types::rerank::{RerankRequest, RerankResponse};
use llm_types::{ChatChunk, ChatRequest, ChatResponse, ChunkSummary};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Call, Capability, Json, Provider, Reply, ReplyStream, Result};

/// A request type, and with it the operation of [`Provider`] that answers it.
///
/// A router, a gateway or a client is written once, for any `R: Operation`.
pub trait Operation: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The answer in one piece.
    type Response: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;

    /// What a provider needs for it.
    const CAPABILITY: Capability;

    /// Asks `provider` for the answer in one piece.
    fn send(
        provider: &dyn Provider,
        call: Call<Self>,
    ) -> BoxFuture<'_, Result<Reply<Self::Response>>>;
}

/// An [`Operation`] whose answer can also come in chunks.
pub trait StreamingOperation: Operation {
    /// A piece of the answer.
    type Chunk: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;

    /// Asks `provider` for the answer in chunks.
    fn stream(
        provider: &dyn Provider,
        call: Call<Self>,
    ) -> BoxFuture<'_, Result<ReplyStream<Self::Chunk>>>;

    /// Whether a chunk says anything, beyond announcing that an answer begins.
    fn has_output(chunk: &Json<Self::Chunk>) -> bool;
}

impl Operation for ChatRequest {
    type Response = ChatResponse;
    const CAPABILITY: Capability = Capability::Chat;

    fn send(
        provider: &dyn Provider,
        call: Call<Self>,
    ) -> BoxFuture<'_, Result<Reply<Self::Response>>> {
        provider.chat(call)
    }
}

impl StreamingOperation for ChatRequest {
    type Chunk = ChatChunk;

    fn stream(
        provider: &dyn Provider,
        call: Call<Self>,
    ) -> BoxFuture<'_, Result<ReplyStream<ChatChunk>>> {
        provider.chat_stream(call)
    }

    fn has_output(chunk: &Json<ChatChunk>) -> bool {
        ChunkSummary::parse(chunk.bytes()).is_ok_and(|chunk| chunk.has_output())
    }
}

impl Operation for CompletionRequest {
    type Response = CompletionResponse;
    const CAPABILITY: Capability = Capability::Completions;

    fn send(
        provider: &dyn Provider,
        call: Call<Self>,
    ) -> BoxFuture<'_, Result<Reply<Self::Response>>> {
        provider.complete(call)
    }
}

impl StreamingOperation for CompletionRequest {
    type Chunk = CompletionResponse;

    fn stream(
        provider: &dyn Provider,
        call: Call<Self>,
    ) -> BoxFuture<'_, Result<ReplyStream<CompletionResponse>>> {
        provider.complete_stream(call)
    }

    fn has_output(chunk: &Json<CompletionResponse>) -> bool {
        let says = |chunk: &CompletionResponse| {
            let mut choices = chunk.choices.iter();
            choices.any(|choice| !choice.text.is_empty())
        };
        chunk.value().is_ok_and(says)
    }
}

impl Operation for EmbeddingRequest {
    type Response = EmbeddingResponse;
    const CAPABILITY: Capability = Capability::Embeddings;

    fn send(
        provider: &dyn Provider,
        call: Call<Self>,
    ) -> BoxFuture<'_, Result<Reply<Self::Response>>> {
        provider.embed(call)
    }
}

impl Operation for RerankRequest {
    type Response = RerankResponse;
    const CAPABILITY: Capability = Capability::Rerank;

    fn send(
        provider: &dyn Provider,
        call: Call<Self>,
    ) -> BoxFuture<'_, Result<Reply<Self::Response>>> {
        provider.rerank(call)
    }
}
