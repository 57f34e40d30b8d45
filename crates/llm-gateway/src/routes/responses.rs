//! OpenAI's Responses API, without a store.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Response, StatusCode};
use llm_adapters::estimate_tokens;
use llm_adapters::responses::{ResponsesAdapter, ResponsesReplies, ResponsesStream, error_code};
use llm_provider::text::excerpt;
use llm_provider::{ReplyEvent, Result};
use llm_types::ChatResponse;
use llm_types::responses::{ResponsesEvent, ResponsesRequest};
use serde_json::json;

use super::adapted::{self, Exchange, Replies};
use crate::auth::Client;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::headers::random_id;
use crate::response::{self, ResponseBody};
use crate::sse::{self, FrameWriter};

/// Serves a request for a response.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    client: &Client,
    body: &Bytes,
) -> Result<Response<ResponseBody>, ApiError> {
    let request: ResponsesRequest = adapted::read(body)?;
    let exchange = ResponsesAdapter::new().convert(request)?;
    let exchange = Exchange {
        chat: exchange.chat,
        ignored: exchange.ignored,
        replies: exchange.replies.with_id(random_id("resp_")),
    };
    adapted::serve(shared, client, exchange).await
}

/// Counts the tokens of a prompt, without a call to the upstream.
pub(super) fn input_tokens(body: &Bytes) -> Result<Response<ResponseBody>, ApiError> {
    let request: ResponsesRequest = adapted::read(body)?;
    let chat = ResponsesAdapter::new().convert(request)?.chat;
    let count = estimate_tokens(&chat);
    Ok(response::json_of(&json!({
        "object": "response.input_tokens", "input_tokens": count,
    })))
}

/// The error of a request for a stored response: none is stored.
pub(super) fn not_found(id: &str) -> ApiError {
    let id = excerpt(id);
    let message = format!("the response \"{id}\" does not exist; responses are not stored");
    ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
        .with_code("response_not_found")
}

impl Replies for ResponsesReplies {
    type Writer = ResponsesWriter;

    fn with_estimate(self, tokens: u64) -> Self {
        self.with_input_tokens(tokens)
    }

    fn response(self, chat: ChatResponse) -> Result<Response<ResponseBody>, ApiError> {
        Ok(response::json_of(&self.reply(chat)?))
    }

    fn writer(self) -> ResponsesWriter {
        ResponsesWriter {
            stream: self.stream(),
            has_failed: false,
        }
    }
}

/// Writes the events of a response.
pub(super) struct ResponsesWriter {
    stream: ResponsesStream,
    has_failed: bool,
}

impl FrameWriter for ResponsesWriter {
    fn event(&mut self, event: &ReplyEvent) -> Result<Option<Bytes>> {
        let ReplyEvent::Chunk(chunk) = event else {
            return Ok(sse::progress(event));
        };
        // That of the last chunk counts.
        self.stream.set_completed_at(now());
        let chunk = adapted::chunk(chunk)?;
        let events = self.stream.push(chunk);
        let has_failed = &mut self.has_failed;
        let events = events.inspect(|event| *has_failed |= event.name() == "response.failed");
        Ok(Some(frames(events)))
    }

    fn end(&mut self) -> Bytes {
        frames(self.stream.finish())
    }

    fn failure(&mut self, error: ApiError) -> Bytes {
        let chat = error.error();
        let code = error_code(error.status().as_u16(), chat.error.code().as_deref());
        frames(self.stream.fail(code, &chat.error.message))
    }

    /// The first events, so that a silent model does not delay them, and then comments: the API has
    /// no event for it.
    fn keep_alive(&mut self) -> Bytes {
        let start = frames(self.stream.start(now()));
        if start.is_empty() {
            sse::comment("keep-alive")
        } else {
            start
        }
    }

    fn has_failed(&self) -> bool {
        self.has_failed
    }
}

fn frames(events: impl Iterator<Item = ResponsesEvent>) -> Bytes {
    sse::named_events(events, ResponsesEvent::name)
}

/// The seconds of Unix time.
fn now() -> u64 {
    let age = SystemTime::now().duration_since(UNIX_EPOCH);
    age.map_or(0, |age| age.as_secs())
}
