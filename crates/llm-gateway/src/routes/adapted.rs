//! APIs other than OpenAI's chat, on top of chat: the steps that they share.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::header::HeaderMap;
use llm_adapters::{Ignored, estimate_tokens};
use llm_provider::endpoint::Chat;
use llm_provider::{Call, Chunk, Document, Endpoint, Error, ErrorKind, Provider, Result};
use llm_types::{ChatChunk, ChatRequest, ChatResponse, parse};
use serde::de::DeserializeOwned;

use super::endpoint::{check_model, streamed, unreadable};
use crate::auth::Client;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::headers;
use crate::response::ResponseBody;
use crate::sse::FrameWriter;

/// A request that was converted to a chat request.
pub(super) struct Exchange<R> {
    pub(super) chat: ChatRequest,
    pub(super) ignored: Ignored,
    pub(super) replies: R,
}

/// Converts the replies to a request.
pub(super) trait Replies: Sized + Send + 'static {
    type Writer: FrameWriter;

    /// Sets the estimate of the prompt's tokens.
    fn with_estimate(self, tokens: u64) -> Self;

    /// The response to a reply in one piece.
    fn response(self, chat: ChatResponse) -> Result<Response<ResponseBody>, ApiError>;

    /// The writer of a streamed reply.
    fn writer(self) -> Self::Writer;
}

/// Reads the body of a request.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    parse(body).map_err(|error| {
        let invalid = ApiError::invalid(format!("the request cannot be read: {error}"));
        match error.path() {
            "" => invalid,
            path => invalid.with_param(path),
        }
    })
}

/// Sends a converted request.
pub(super) async fn serve<R: Replies>(
    shared: &Arc<Shared>,
    client: &Client,
    exchange: Exchange<R>,
) -> Result<Response<ResponseBody>, ApiError> {
    let Exchange {
        chat,
        ignored,
        replies,
    } = exchange;
    let replies = replies.with_estimate(estimate_tokens(&chat));
    let mut call = Call::new(&Chat, Document::new(&chat)).with_drop_params(shared.drop_params);
    Chat.check(&call.body)?;
    check_model(client, &mut call)?;
    let mut response = if chat.is_stream() {
        streamed(Arc::clone(shared), call, replies.writer()).await?
    } else {
        let reply = shared.router.send(call).await?;
        let chat: ChatResponse = reply.body.read().map_err(|_| unreadable())?;
        let mut response = replies.response(chat)?;
        headers::describe(response.headers_mut(), &reply.metadata);
        response
    };
    describe(response.headers_mut(), &ignored);
    Ok(response)
}

/// Reads a chunk of a stream.
pub(super) fn chunk(chunk: &Chunk) -> Result<ChatChunk> {
    parse(chunk.bytes()).map_err(|error| {
        let message = "the upstream sent a chunk that is not a chunk of a chat";
        Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
    })
}

fn describe(headers: &mut HeaderMap, ignored: &Ignored) {
    let names = (!ignored.is_empty()).then(|| ignored.to_string());
    headers::insert(headers, headers::IGNORED, names.as_deref());
}
