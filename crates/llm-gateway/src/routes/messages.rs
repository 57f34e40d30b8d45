//! Anthropic's Messages API.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Response, StatusCode};
use llm_adapters::messages::{
    MessagesAccumulator, MessagesAdapter, MessagesReplies, MessagesStream, replaced_arguments,
};
use llm_provider::endpoint::NativeMessages;
use llm_provider::text::excerpt;
use llm_provider::{Capability, ReplyEvent, Result};
use llm_types::messages::{MessagesEvent, MessagesRequest, TokenCount};
use llm_types::{ChatResponse, StreamOptions};

use super::adapted::{self, Exchange, Replies};
use super::native;
use crate::api::messages_error;
use crate::auth::Client;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::headers::{self, random_id};
use crate::learned::{Ends, Watch};
use crate::response::{self, ResponseBody};
use crate::spend::{self, RateCharge};
use crate::sse::{self, FrameWriter};

/// Serves a request for a message.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    client: &Client,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response<ResponseBody>, ApiError> {
    if let Some(body) = native::body(shared, client, Capability::Messages, body) {
        return native::serve(shared, client, headers, &NativeMessages, body).await;
    }
    let (exchange, is_cut) = convert(shared, client, headers, body)?;
    match is_cut {
        true => cut(shared, client, exchange).await,
        false => adapted::serve(shared, client, exchange).await,
    }
}

/// The exchange, and whether the gateway has to end a message in one piece at a stop sequence.
fn convert(
    shared: &Shared,
    client: &Client,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(Exchange<MessagesReplies>, bool), ApiError> {
    let request: MessagesRequest = adapted::read(body)?;
    // Several deployments may have different engines.
    let is_alone = shared.router.count_of(&request.model, Capability::Chat) == 1;
    let ends = match is_alone {
        true => shared.learned.ends(&request.model),
        false => Ends::Mixed,
    };
    let has_stops = request
        .stop_sequences
        .iter()
        .flatten()
        .any(|stop| !stop.is_empty());
    // Clients of this API read the stop sequence that ended a message.
    let adapter = MessagesAdapter::new()
        .with_files(adapted::takes_files(shared, client, &request.model))
        .with_local_stops(has_stops && !matches!(ends, Ends::Natural | Ends::Sequence));
    let exchange = adapter.convert(request)?;
    let replies = exchange
        .replies
        .with_id(random_id("msg_"))
        .with_named_natural_ends(ends == Ends::Natural);
    let mut chat = exchange.chat;
    let is_cut = replies.has_local_stops() && !chat.is_stream();
    if is_cut {
        chat.stream = Some(true);
        chat.stream_options = Some(StreamOptions::new().with_include_usage(true));
    }
    let converted = (chat, exchange.ignored, replies);
    let is_prefill = exchange.is_prefill;
    let mut exchange = Exchange::new(shared, client, headers, converted)?;
    exchange.call.is_prefill = is_prefill;
    Ok((exchange, is_cut))
}

/// Serves a message in one piece that the gateway ends at a stop sequence: from a stream, which is
/// cancelled there.
async fn cut(
    shared: &Arc<Shared>,
    client: &Client,
    exchange: Exchange<MessagesReplies>,
) -> Result<Response<ResponseBody>, ApiError> {
    let Exchange {
        call,
        mut route,
        watch,
        ignored,
        replies,
        ..
    } = exchange;
    let running = spend::admit(shared, client, &call, &mut route, RateCharge::WithChoice).await?;
    let bill = running.rates();
    let chunks = pin!(shared.router.stream_with(call, route));
    let mut chunks = running
        .stream(chunks)
        .await
        .map_err(|error| bill.error(error))?;
    let mut message = MessagesAccumulator::default();
    let mut stream = replies.stream();
    while let Some(event) = chunks.next().await {
        if let ReplyEvent::Chunk(chunk) = event? {
            let chunk = adapted::chunk(&chunk)?;
            watch.chunk(&chunk);
            message.extend(stream.push(chunk));
        }
        if stream.is_cut() {
            break;
        }
    }
    message.extend(stream.finish());
    let message = message
        .into_response()
        .map_err(|error| ApiError::new(StatusCode::BAD_GATEWAY, "api_error", error.message))?;
    let mut response = response::json_of(&message);
    headers::describe(response.headers_mut(), &chunks.metadata);
    bill.describe(&mut response);
    adapted::describe(response.headers_mut(), &ignored);
    Ok(response)
}

/// Counts the tokens of a prompt, without a call to the upstream: clients count at every turn.
pub(super) async fn count_tokens(
    shared: &Shared,
    client: &Client,
    body: &Bytes,
) -> Result<Response<ResponseBody>, ApiError> {
    let request: MessagesRequest = adapted::read(body)?;
    let files = adapted::takes_files(shared, client, &request.model);
    let adapter = MessagesAdapter::new().with_files(files);
    let chat = adapter.convert_prompt(request)?;
    let count = adapted::count_tokens(shared, client, &chat).await?;
    Ok(response::json_of(&TokenCount::new(count)))
}

impl Replies for MessagesReplies {
    type Writer = MessagesWriter;

    fn with_estimate(self, tokens: u64) -> Self {
        self.with_input_tokens(tokens)
    }

    async fn response(self, chat: ChatResponse) -> Result<Response<ResponseBody>, ApiError> {
        let replaced = replaced_arguments(&chat).join(", ");
        let mut response = response::json_of(&self.reply(chat)?);
        if !replaced.is_empty() {
            let name = headers::REPLACED_ARGUMENTS;
            headers::insert(response.headers_mut(), name, Some(&excerpt(&replaced)));
        }
        Ok(response)
    }

    fn writer(self, watch: Watch) -> MessagesWriter {
        MessagesWriter {
            stream: self.stream(),
            watch,
            has_failed: false,
        }
    }
}

/// Writes the events of a message.
pub(super) struct MessagesWriter {
    stream: MessagesStream,
    watch: Watch,
    has_failed: bool,
}

impl FrameWriter for MessagesWriter {
    fn event(&mut self, event: &ReplyEvent) -> Result<Option<Bytes>> {
        let ReplyEvent::Chunk(chunk) = event else {
            return Ok(sse::progress(event));
        };
        let chunk = adapted::chunk(chunk)?;
        self.watch.chunk(&chunk);
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

    fn has_ended(&self) -> bool {
        self.has_failed || self.stream.is_cut()
    }
}

fn frames(events: impl Iterator<Item = MessagesEvent>) -> Bytes {
    sse::named_events(events, MessagesEvent::name)
}
