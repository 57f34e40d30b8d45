use std::fmt;

use futures_core::future::BoxFuture;
use llm_types::completions::{CompletionRequest, CompletionResponse};
use llm_types::embeddings::{EmbeddingRequest, EmbeddingResponse};
use llm_types::rerank::{RerankRequest, RerankResponse};
use llm_types::{ChatRequest, ChatResponse, ModelList};

use crate::{Call, Capabilities, Capability, ChatStream, CompletionStream, Error, Reply, Result};

/// One upstream account of one provider. Object safe: a router holds `Arc<dyn Provider>`.
///
/// The `model` of a request is the name that the upstream knows, without polyllm's provider
/// prefix. Dropping a returned future or stream stops the work upstream.
///
/// A provider implements what its upstream has and says so in
/// [`capabilities`](Self::capabilities); the rest is [`ErrorKind::Unsupported`] by itself, before
/// anything is sent. Generic code calls through [`Operation`](crate::Operation) instead.
///
/// [`ErrorKind::Unsupported`]: crate::ErrorKind::Unsupported
pub trait Provider: Send + Sync + fmt::Debug {
    /// The name that model names are prefixed with, such as `together_ai`.
    fn name(&self) -> &'static str;

    /// What this provider can be asked for.
    fn capabilities(&self) -> Capabilities;

    /// Answers a chat in one piece. `stream` in the request is ignored.
    fn chat(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<Reply<ChatResponse>>> {
        let _ = call;
        unsupported(self.name(), Capability::Chat)
    }

    /// Answers a chat in chunks. `stream` in the request is ignored.
    ///
    /// The future ends when the upstream has taken the request; what fails later is an item of
    /// the stream, and the last one.
    fn chat_stream(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<ChatStream>> {
        let _ = call;
        unsupported(self.name(), Capability::Chat)
    }

    /// Goes on from a text, in one piece. `stream` in the request is ignored.
    fn complete(
        &self,
        call: Call<CompletionRequest>,
    ) -> BoxFuture<'_, Result<Reply<CompletionResponse>>> {
        let _ = call;
        unsupported(self.name(), Capability::Completions)
    }

    /// Goes on from a text, in chunks; else as [`chat_stream`](Self::chat_stream).
    fn complete_stream(
        &self,
        call: Call<CompletionRequest>,
    ) -> BoxFuture<'_, Result<CompletionStream>> {
        let _ = call;
        unsupported(self.name(), Capability::Completions)
    }

    /// Turns texts into vectors, in the encoding asked for.
    fn embed(
        &self,
        call: Call<EmbeddingRequest>,
    ) -> BoxFuture<'_, Result<Reply<EmbeddingResponse>>> {
        let _ = call;
        unsupported(self.name(), Capability::Embeddings)
    }

    /// Sorts documents by how well they answer a query.
    fn rerank(&self, call: Call<RerankRequest>) -> BoxFuture<'_, Result<Reply<RerankResponse>>> {
        let _ = call;
        unsupported(self.name(), Capability::Rerank)
    }

    /// Lists the models that the account can ask for, with whatever the upstream tells of each.
    fn models(&self) -> BoxFuture<'_, Result<ModelList>> {
        unsupported(self.name(), Capability::Models)
    }
}

fn unsupported<T: Send + 'static>(
    provider: &'static str,
    capability: Capability,
) -> BoxFuture<'static, Result<T>> {
    Box::pin(std::future::ready(Err(Error::unsupported(
        provider, capability,
    ))))
}
