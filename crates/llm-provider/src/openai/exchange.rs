//! What is particular about each operation on the OpenAI wire.

use llm_types::completions::{CompletionRequest, CompletionResponse};
use llm_types::embeddings::{EmbeddingRequest, EmbeddingResponse};
use llm_types::rerank::{RerankRequest, RerankResponse};
use llm_types::{ChatRequest, ChatResponse};
use serde_json::{Map, json};

use super::dialect::{Dialect, Translated};
use super::{chat, completion, embedding, rerank};
use crate::{Call, Error, ErrorKind, Json, Metadata, Operation, Result};

/// An operation that is one `POST`.
pub(super) trait Exchange: Operation {
    /// Where it is sent.
    const PATH: &'static str;

    /// The request in the upstream's dialect.
    fn translate<D: Dialect>(dialect: &D, call: &Call<Self>) -> Result<Translated<Self>>;

    /// The answer in OpenAI's dialect; one that needs no change keeps its bytes.
    fn normalize(
        request: &Json<Self>,
        answer: Json<Self::Response>,
        metadata: &mut Metadata,
    ) -> Result<Json<Self::Response>>;
}

impl Exchange for ChatRequest {
    const PATH: &'static str = "/v1/chat/completions";

    fn translate<D: Dialect>(dialect: &D, call: &Call<Self>) -> Result<Translated<Self>> {
        dialect.chat_request(call)
    }

    fn normalize(
        _: &Json<Self>,
        answer: Json<ChatResponse>,
        _: &mut Metadata,
    ) -> Result<Json<ChatResponse>> {
        chat::normalize(answer)
    }
}

impl Exchange for CompletionRequest {
    const PATH: &'static str = "/v1/completions";

    fn translate<D: Dialect>(dialect: &D, call: &Call<Self>) -> Result<Translated<Self>> {
        dialect.completion_request(call)
    }

    fn normalize(
        _: &Json<Self>,
        answer: Json<CompletionResponse>,
        _: &mut Metadata,
    ) -> Result<Json<CompletionResponse>> {
        completion::normalize(answer)
    }
}

impl Exchange for EmbeddingRequest {
    const PATH: &'static str = "/v1/embeddings";

    fn translate<D: Dialect>(dialect: &D, call: &Call<Self>) -> Result<Translated<Self>> {
        dialect.embedding_request(call)
    }

    fn normalize(
        request: &Json<Self>,
        answer: Json<EmbeddingResponse>,
        metadata: &mut Metadata,
    ) -> Result<Json<EmbeddingResponse>> {
        embedding::normalize(request, answer, metadata)
    }
}

impl Exchange for RerankRequest {
    const PATH: &'static str = "/v1/rerank";

    fn translate<D: Dialect>(dialect: &D, call: &Call<Self>) -> Result<Translated<Self>> {
        dialect.rerank_request(call)
    }

    fn normalize(
        _: &Json<Self>,
        answer: Json<RerankResponse>,
        metadata: &mut Metadata,
    ) -> Result<Json<RerankResponse>> {
        rerank::normalize(answer, metadata)
    }
}

/// A body that asks for an answer in one piece.
pub(super) fn unstreamed<R: Exchange>(body: Json<R>) -> Result<Json<R>> {
    // Most bodies say nothing of streams, and are not touched.
    if !body.has_field("stream") && !body.has_field("stream_options") {
        return Ok(body);
    }
    // Options of a stream are refused where there is none.
    body.change([("stream", Some(false.into())), ("stream_options", None)])
}

/// A body that asks for a stream, and for the usage: whoever counts needs it, whoever serves
/// drops it.
pub(super) fn streamed<R: Exchange>(body: Json<R>) -> Result<Json<R>> {
    let usage = json!({ "include_usage": true });
    body.edit(
        [("stream", true.into()), ("stream_options", usage)],
        &Map::new(),
    )
}

/// The error for an answer that is not `what` it should be.
pub(super) fn unexpected(what: &str, error: serde_json::Error) -> Error {
    let message = format!("the upstream answered with something that is not {what}");
    Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
}
