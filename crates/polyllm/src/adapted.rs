//! Anthropic's Messages API and OpenAI's Responses API, as requests of a [`Client`].
//!
//! ```no_run
//! use polyllm::types::messages::{InputMessage, MessagesRequest};
//!
//! # async fn example() -> polyllm::Result<()> {
//! let client = polyllm::Client::from_env()?;
//! let messages = [InputMessage::new("user", "What is Rust?")];
//! let request = MessagesRequest::new("together_ai/openai/gpt-oss-20b", 100, messages);
//! let message = client.messages(request).await?;
//! println!("{:?}", message.stop_reason);
//! # Ok(())
//! # }
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use llm_adapters::messages::{MessagesAdapter, MessagesReplies, MessagesStream};
use llm_adapters::responses::{ResponsesAdapter, ResponsesReplies, ResponsesStream};
use llm_adapters::{Ignored, estimate_tokens};
use llm_types::messages::{MessagesEvent, MessagesRequest, MessagesResponse};
use llm_types::responses::{ResponsesEvent, ResponsesRequest, ResponsesResponse};
use llm_types::{ChatChunk, ChatRequest, ChatResponse};

use crate::{ChatBuilder, Client, Error, ErrorKind, Metadata, ReplyStream, RequestBuilder, Result};

/// A request of the Messages API.
pub type MessagesBuilder<'c> = AdaptedBuilder<'c, MessagesAdapter>;

/// A request of the Responses API.
pub type ResponsesBuilder<'c> = AdaptedBuilder<'c, ResponsesAdapter>;

/// A request of another API, which is converted to a chat. Await it for the response, or
/// [`stream`](Self::stream) the reply.
#[must_use = "nothing happens until it is sent"]
pub struct AdaptedBuilder<'c, A: Api> {
    client: &'c Client,
    adapter: A,
    request: A::Request,
    drop_params: bool,
    timeout: Option<Duration>,
}

/// A response, and what is known of it besides.
#[derive(Debug)]
#[non_exhaustive]
pub struct AdaptedReply<R> {
    /// The response.
    pub response: R,
    /// Facts about the call.
    pub metadata: Metadata,
    /// The members of the request that have no equivalent in chats and were ignored.
    pub ignored: Ignored,
}

impl<'c, A: Api> AdaptedBuilder<'c, A> {
    pub(crate) fn new(client: &'c Client, request: A::Request) -> Self {
        Self {
            client,
            adapter: A::default(),
            request,
            drop_params: client.drops_params(),
            timeout: None,
        }
    }

    /// Sets the adapter, which has the options of the conversion.
    pub fn with_adapter(mut self, adapter: A) -> Self {
        self.adapter = adapter;
        self
    }

    /// Sets whether parameters that the provider does not support are left out.
    pub fn with_drop_params(mut self, drop_params: bool) -> Self {
        self.drop_params = drop_params;
        self
    }

    /// Sets the time limit; see [`RequestBuilder::with_timeout`].
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends the request and waits for the complete response.
    ///
    /// # Errors
    /// Those of a chat. [`ErrorKind::InvalidRequest`] and [`ErrorKind::Unsupported`], with the
    /// member's path, if the request cannot be converted.
    pub async fn send(self) -> Result<A::Response> {
        self.reply().await.map(|reply| reply.response)
    }

    /// Sends the request and waits for the complete response, with its metadata.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn reply(self) -> Result<AdaptedReply<A::Response>> {
        let (chat, ignored, replies) = self.convert()?;
        let reply = chat.reply().await?;
        let response = A::reply(replies, reply.read()?).map_err(error)?;
        Ok(AdaptedReply {
            response,
            metadata: reply.metadata,
            ignored,
        })
    }

    /// Sends the request and returns the events of the response as they arrive.
    ///
    /// # Errors
    /// Those of [`send`](Self::send) until the provider has accepted the request.
    pub async fn stream(self) -> Result<EventStream<A>> {
        let (chat, ignored, replies) = self.convert()?;
        Ok(EventStream {
            chunks: chat.stream().await?,
            ignored,
            events: Some(A::events(replies)),
            ready: VecDeque::new(),
        })
    }

    fn convert(self) -> Result<(ChatBuilder<'c>, Ignored, A::Replies)> {
        let exchange = self.adapter.convert(self.request);
        let (mut chat, ignored, replies) = exchange.map_err(error)?;
        let model = std::mem::take(&mut chat.model);
        // The builder decides whether the reply is streamed.
        chat.stream = None;
        let mut chat = RequestBuilder::new(self.client, model, chat);
        if let Some(timeout) = self.timeout {
            chat = chat.with_timeout(timeout);
        }
        Ok((chat.with_drop_params(self.drop_params), ignored, replies))
    }
}

/// Sends the request, as [`send`](AdaptedBuilder::send) does.
impl<'c, A: Api> IntoFuture for AdaptedBuilder<'c, A> {
    type Output = Result<A::Response>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// The events of a streamed response.
pub struct EventStream<A: Api> {
    chunks: ReplyStream,
    ignored: Ignored,
    /// Converts the chunks; `None` after the last event.
    events: Option<A::Events>,
    ready: VecDeque<A::Event>,
}

impl<A: Api> EventStream<A> {
    /// The metadata that is known when the stream starts.
    pub fn metadata(&self) -> &Metadata {
        &self.chunks.metadata
    }

    /// The members of the request that have no equivalent in chats and were ignored.
    pub fn ignored(&self) -> &Ignored {
        &self.ignored
    }

    /// The next event; `None` after the last. An error ends the stream.
    pub async fn next(&mut self) -> Option<Result<A::Event>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            let events = self.events.as_mut()?;
            let chunk = self.chunks.next_chunk().await;
            match chunk.and_then(|chunk| chunk.map(|chunk| chunk.read()).transpose()) {
                Ok(Some(chunk)) => A::push(events, chunk, &mut self.ready),
                Ok(None) => {
                    A::finish(events, &mut self.ready);
                    self.events = None;
                }
                Err(error) => {
                    self.events = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// An API that is converted to chats: [`MessagesAdapter`] or [`ResponsesAdapter`].
pub trait Api: Default + Send + Sync + sealed::Sealed + 'static {
    /// A request.
    type Request: Send + Sync + 'static;
    /// The response in one piece.
    type Response: Send + 'static;
    /// An event of a streamed response.
    type Event: Send + Sync + 'static;
    #[doc(hidden)]
    type Replies: Send + Sync + 'static;
    #[doc(hidden)]
    type Events: Send + Sync + 'static;

    #[doc(hidden)]
    fn convert(&self, request: Self::Request) -> Converted<Self::Replies>;
    #[doc(hidden)]
    fn reply(
        replies: Self::Replies,
        chat: ChatResponse,
    ) -> Result<Self::Response, llm_adapters::Error>;
    #[doc(hidden)]
    fn events(replies: Self::Replies) -> Self::Events;
    #[doc(hidden)]
    fn push(events: &mut Self::Events, chunk: ChatChunk, to: &mut VecDeque<Self::Event>);
    #[doc(hidden)]
    fn finish(events: &mut Self::Events, to: &mut VecDeque<Self::Event>);
}

/// A converted request, and what converts its reply.
type Converted<R> = Result<(ChatRequest, Ignored, R), llm_adapters::Error>;

impl Api for MessagesAdapter {
    type Request = MessagesRequest;
    type Response = MessagesResponse;
    type Event = MessagesEvent;
    type Replies = MessagesReplies;
    type Events = MessagesStream;

    fn convert(&self, request: MessagesRequest) -> Converted<MessagesReplies> {
        let exchange = Self::convert(self, request)?;
        let tokens = estimate_tokens(&exchange.chat);
        let replies = exchange.replies.with_input_tokens(tokens);
        Ok((exchange.chat, exchange.ignored, replies))
    }

    fn reply(
        replies: MessagesReplies,
        chat: ChatResponse,
    ) -> Result<MessagesResponse, llm_adapters::Error> {
        replies.reply(chat)
    }

    fn events(replies: MessagesReplies) -> MessagesStream {
        replies.stream()
    }

    fn push(events: &mut MessagesStream, chunk: ChatChunk, to: &mut VecDeque<MessagesEvent>) {
        to.extend(events.push(chunk));
    }

    fn finish(events: &mut MessagesStream, to: &mut VecDeque<MessagesEvent>) {
        to.extend(events.finish());
    }
}

impl Api for ResponsesAdapter {
    type Request = ResponsesRequest;
    type Response = ResponsesResponse;
    type Event = ResponsesEvent;
    type Replies = ResponsesReplies;
    type Events = ResponsesStream;

    fn convert(&self, request: ResponsesRequest) -> Converted<ResponsesReplies> {
        let exchange = Self::convert(self, request)?;
        let tokens = estimate_tokens(&exchange.chat);
        let replies = exchange.replies.with_input_tokens(tokens);
        Ok((exchange.chat, exchange.ignored, replies))
    }

    fn reply(
        replies: ResponsesReplies,
        chat: ChatResponse,
    ) -> Result<ResponsesResponse, llm_adapters::Error> {
        replies.reply(chat)
    }

    fn events(replies: ResponsesReplies) -> ResponsesStream {
        replies.stream()
    }

    fn push(events: &mut ResponsesStream, chunk: ChatChunk, to: &mut VecDeque<ResponsesEvent>) {
        to.extend(events.push(chunk));
    }

    fn finish(events: &mut ResponsesStream, to: &mut VecDeque<ResponsesEvent>) {
        to.extend(events.finish());
    }
}

mod sealed {
    #[allow(unnameable_types, reason = "no other crate implements it")]
    pub trait Sealed {}

    impl Sealed for super::MessagesAdapter {}
    impl Sealed for super::ResponsesAdapter {}
}

fn error(error: llm_adapters::Error) -> Error {
    let kind = match error.kind() {
        llm_adapters::ErrorKind::InvalidRequest => ErrorKind::InvalidRequest,
        llm_adapters::ErrorKind::Unsupported => ErrorKind::Unsupported,
        _ => ErrorKind::UnexpectedBody,
    };
    Error::new(kind, error.to_string())
        .with_param(error.param().map(str::to_owned))
        .with_code(error.code().map(str::to_owned))
        .with_source(error)
}

/// Leaves out the request, which contains a prompt.
impl<A: Api> fmt::Debug for AdaptedBuilder<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptedBuilder")
            .field("drop_params", &self.drop_params)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl<A: Api> fmt::Debug for EventStream<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("metadata", &self.chunks.metadata)
            .field("ignored", &self.ignored)
            .finish_non_exhaustive()
    }
}
