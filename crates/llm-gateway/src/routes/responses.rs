//! OpenAI's Responses API.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::Response;
use http::header::HeaderMap;
use llm_adapters::responses::{ResponsesAdapter, ResponsesReplies, ResponsesStream, error_code};
use llm_provider::endpoint::NativeResponses;
use llm_provider::{Capability, Document, ReplyEvent, Result};
use llm_types::ChatResponse;
use llm_types::responses::{ResponsesEvent, ResponsesRequest};
use serde_json::json;

use super::adapted::{self, Exchange, Replies};
use super::kept::{Keeper, Kept};
use super::native;
use crate::auth::Client;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::headers::random_id;
use crate::learned::Watch;
use crate::response::{self, ResponseBody};
use crate::spend::{self, RateCharge};
use crate::sse::{self, FrameWriter};

/// Serves a request for a response.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    client: &Client,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response<ResponseBody>, ApiError> {
    if let Some(mut body) = native::body(shared, client, Capability::Responses, body)
        && !needs_state(shared, &body)
    {
        // What the upstream keeps would not be bound to the client's key.
        body.set("store", false);
        return native::serve(shared, client, headers, &NativeResponses, body).await;
    }
    let mut request: ResponsesRequest = adapted::read(body)?;
    let kept = Kept::new(shared, client, &mut request).await?;
    let (exchange, is_background) = convert(shared, client, headers, request, kept)?;
    match is_background {
        true => start(shared, client, exchange).await,
        false => adapted::serve(shared, client, exchange).await,
    }
}

/// The exchange, and whether its call runs in the background.
fn convert(
    shared: &Shared,
    client: &Client,
    headers: &HeaderMap,
    mut request: ResponsesRequest,
    kept: Option<Kept>,
) -> Result<(Exchange<KeptReplies>, bool), ApiError> {
    let kept = kept.map(|kept| (kept.history, kept.keeper));
    let (history, keeper) = kept.unwrap_or_default();
    let is_background = request.background == Some(true) && keeper.is_some();
    if is_background {
        if request.is_stream() {
            let message = "a response in the background cannot be streamed: leave out `stream`, and \
                           retrieve the response";
            return Err(ApiError::invalid(message).with_param("stream"));
        }
        request.background = None;
    }
    let files = adapted::takes_files(shared, client, &request.model);
    let adapter = ResponsesAdapter::new().with_files(files);
    let exchange = adapter.convert_continued(request, history)?;
    let replies = exchange
        .replies
        .with_id(random_id("resp_"))
        .with_created_at(now())
        .with_member("store", keeper.is_some())
        .with_member("background", is_background);
    let replies = Box::new(replies);
    let replies = KeptReplies { replies, keeper };
    let converted = (exchange.chat, exchange.ignored, replies);
    let exchange = Exchange::new(shared, client, headers, converted)?;
    Ok((exchange, is_background))
}

/// Starts a call in the background.
async fn start(
    shared: &Arc<Shared>,
    client: &Client,
    exchange: Exchange<KeptReplies>,
) -> Result<Response<ResponseBody>, ApiError> {
    let Exchange {
        call,
        mut route,
        ignored,
        replies,
        ..
    } = exchange;
    let keeper = replies.keeper.ok_or_else(ApiError::internal)?;
    shared.router.check_model(&call.model())?;
    let running = spend::admit(shared, client, &call, &mut route, RateCharge::Now).await?;
    let mut response = keeper
        .run(shared, *replies.replies, call, route, running)
        .await?;
    adapted::describe(response.headers_mut(), &ignored);
    Ok(response)
}

/// Whether the gateway has to keep the response, or what it continues: then it is not the upstream's.
fn needs_state(shared: &Shared, body: &Document) -> bool {
    let keeps = shared.options.stored_responses.is_some();
    body.has_value("previous_response_id")
        || body.get("background") == Some(b"true")
        || keeps && body.get("store") != Some(b"false")
}

/// Counts the tokens of a prompt, with those of the responses that it continues, without a call to the
/// upstream.
pub(super) async fn input_tokens(
    shared: &Shared,
    client: &Client,
    body: &Bytes,
) -> Result<Response<ResponseBody>, ApiError> {
    let mut request: ResponsesRequest = adapted::read(body)?;
    let files = adapted::takes_files(shared, client, &request.model);
    let adapter = ResponsesAdapter::new().with_files(files);
    let chat = match Kept::new(shared, client, &mut request).await? {
        None => adapter.convert(request)?.chat,
        Some(kept) => adapter.convert_continued(request, kept.history)?.chat,
    };
    let count = adapted::count_tokens(shared, client, &chat).await?;
    Ok(response::json_of(&json!({
        "object": "response.input_tokens", "input_tokens": count,
    })))
}

/// Converts the replies to a request, and keeps the response if the client wants it.
struct KeptReplies {
    /// Boxed, since what waits for the reply holds it several times.
    replies: Box<ResponsesReplies>,
    keeper: Option<Keeper>,
}

impl Replies for KeptReplies {
    type Writer = ResponsesWriter;

    fn with_estimate(mut self, tokens: u64) -> Self {
        self.replies = Box::new(self.replies.with_input_tokens(tokens));
        self
    }

    async fn response(self, chat: ChatResponse) -> Result<Response<ResponseBody>, ApiError> {
        let mut response = self.replies.with_completed_at(now()).reply(chat)?;
        if let Some(keeper) = self.keeper {
            Box::pin(keeper.keep(&mut response)).await;
        }
        Ok(response::json_of(&response))
    }

    fn writer(self, watch: Watch) -> ResponsesWriter {
        ResponsesWriter {
            stream: self.replies.stream(),
            keeper: self.keeper,
            storing: None,
            watch,
            has_failed: false,
        }
    }
}

/// Writes the events of a response.
pub(super) struct ResponsesWriter {
    stream: ResponsesStream,
    keeper: Option<Keeper>,
    storing: Option<Storing>,
    watch: Watch,
    has_failed: bool,
}

/// The end of a stream, which waits until its response is stored: the client may continue the
/// response as soon as it has the last event.
struct Storing {
    /// The frame of the last event.
    last: BoxFuture<'static, Bytes>,
    /// The frames after it.
    rest: Bytes,
}

impl ResponsesWriter {
    /// The frames of events, without the last one if its response has to be stored first.
    fn frames(&mut self, events: Vec<ResponsesEvent>) -> Bytes {
        let mut events = events;
        let is_last = |event: &ResponsesEvent| LAST.contains(&event.name());
        if events.last().is_some_and(is_last)
            && let Some(keeper) = self.keeper.take()
            && let Some(mut last) = events.pop()
        {
            let frame = async move {
                if let Some(response) = &mut last.response {
                    keeper.keep(response).await;
                }
                frames([last].into_iter())
            };
            self.storing = Some(Storing {
                last: Box::pin(frame),
                rest: Bytes::new(),
            });
        }
        frames(events.into_iter())
    }

    /// The frames of the last events, and the end that the Open Responses specification requires.
    /// OpenAI's clients accept it.
    fn ended(&mut self, events: Vec<ResponsesEvent>) -> Bytes {
        let frames = self.frames(events);
        match &mut self.storing {
            Some(storing) => {
                storing.rest = Bytes::from_static(DONE);
                frames
            }
            None => [&*frames, DONE].concat().into(),
        }
    }
}

impl FrameWriter for ResponsesWriter {
    fn event(&mut self, event: &ReplyEvent) -> Result<Option<Bytes>> {
        let ReplyEvent::Chunk(chunk) = event else {
            return Ok(sse::progress(event));
        };
        // That of the last chunk counts.
        self.stream.set_completed_at(now());
        let chunk = adapted::chunk(chunk)?;
        self.watch.chunk(&chunk);
        let events: Vec<_> = self.stream.push(chunk).collect();
        self.has_failed |= events.iter().any(|event| event.name() == FAILED);
        Ok(Some(match self.has_failed {
            true => self.ended(events),
            false => self.frames(events),
        }))
    }

    fn end(&mut self) -> Bytes {
        let events = self.stream.finish().collect();
        self.ended(events)
    }

    fn failure(&mut self, error: ApiError) -> Bytes {
        let chat = error.error();
        let events = self.stream.fail(failure_code(&error), &chat.error.message);
        let events = events.collect();
        self.ended(events)
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

    fn has_ended(&self) -> bool {
        self.has_failed
    }

    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(storing) = &mut self.storing else {
            return Poll::Ready(None);
        };
        let last = ready!(storing.last.as_mut().poll(cx));
        let rest = std::mem::take(&mut storing.rest);
        self.storing = None;
        Poll::Ready(Some([&*last, &*rest].concat().into()))
    }
}

fn frames(events: impl Iterator<Item = ResponsesEvent>) -> Bytes {
    sse::named_events(events, ResponsesEvent::name)
}

/// The code of a response that failed with this error.
pub(super) fn failure_code(error: &ApiError) -> &'static str {
    let chat = error.error();
    let code = chat.error.code();
    error_code(error.status().as_u16(), code.as_deref())
}

/// The seconds of Unix time.
pub(super) fn now() -> u64 {
    let age = SystemTime::now().duration_since(UNIX_EPOCH);
    age.map_or(0, |age| age.as_secs())
}

const FAILED: &str = "response.failed";
/// The events that end a stream.
const LAST: [&str; 3] = ["response.completed", "response.incomplete", FAILED];
const DONE: &[u8] = b"data: [DONE]\n\n";
