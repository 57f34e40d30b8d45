//! Anthropic's Messages API.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use llm_adapters::estimate_tokens;
use llm_adapters::messages::{MessagesAdapter, MessagesReplies, MessagesStream};
use llm_provider::{ReplyEvent, Result};
use llm_types::ChatResponse;
use llm_types::messages::{MessagesEvent, MessagesRequest, TokenCount};

use super::adapted::{self, Exchange, Replies};
use crate::api::messages_error;
use crate::auth::Client;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::headers::random_id;
use crate::response::{self, ResponseBody};
use crate::sse::{self, FrameWriter};

/// Serves a request for a message.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    client: &Client,
    body: &Bytes,
) -> Result<Response<ResponseBody>, ApiError> {
    let request: MessagesRequest = adapted::read(body)?;
    let exchange = MessagesAdapter::new().convert(request)?;
    let exchange = Exchange {
        chat: exchange.chat,
        ignored: exchange.ignored,
        replies: exchange.replies.with_id(random_id("msg_")),
    };
    adapted::serve(shared, client, exchange).await
}

/// Counts the tokens of a prompt, without a call to the upstream: clients count at every turn.
pub(super) fn count_tokens(body: &Bytes) -> Result<Response<ResponseBody>, ApiError> {
    let request: MessagesRequest = adapted::read(body)?;
    let chat = MessagesAdapter::new().convert_prompt(request)?;
    Ok(response::json_of(&TokenCount::new(estimate_tokens(&chat))))
}

impl Replies for MessagesReplies {
    type Writer = MessagesWriter;

    fn with_estimate(self, tokens: u64) -> Self {
        self.with_input_tokens(tokens)
    }

    fn response(self, chat: ChatResponse) -> Result<Response<ResponseBody>, ApiError> {
        Ok(response::json_of(&self.reply(chat)?))
    }

    fn writer(self) -> MessagesWriter {
        MessagesWriter {
            stream: self.stream(),
            has_failed: false,
        }
    }
}

/// Writes the events of a message.
pub(super) struct MessagesWriter {
    stream: MessagesStream,
    has_failed: bool,
}

impl FrameWriter for MessagesWriter {
    fn event(&mut self, event: &ReplyEvent) -> Result<Option<Bytes>> {
        let ReplyEvent::Chunk(chunk) = event else {
            return Ok(sse::progress(event));
        };
        let chunk = adapted::chunk(chunk)?;
        let events = self.stream.push(chunk);
        let has_failed = &mut self.has_failed;
        let events =
            events.inspect(|event| *has_failed |= matches!(event, MessagesEvent::Error(_)));
        Ok(Some(frames(events)))
    }

    fn end(&mut self) -> Bytes {
        frames(self.stream.finish())
    }

    fn failure(&mut self, error: ApiError) -> Bytes {
        frames(self.stream.fail(messages_error(&error).error))
    }

    /// A `ping`, after `message_start`: a silent model must not delay the start.
    fn keep_alive(&mut self) -> Bytes {
        let start: Vec<_> = self.stream.start().collect();
        frames(start.into_iter().chain(self.stream.ping()))
    }

    fn has_failed(&self) -> bool {
        self.has_failed
    }
}

fn frames(events: impl Iterator<Item = MessagesEvent>) -> Bytes {
    sse::named_events(events, MessagesEvent::name)
}
