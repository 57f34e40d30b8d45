use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use llm_types::{ChatChunk, ChatRequest, ChatResponse};
use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Json, Result};

/// One upstream account of one provider. Object safe: a router holds `Arc<dyn Provider>`.
///
/// The `model` of a request is the name that the upstream knows, without polyllm's provider
/// prefix. Dropping a returned future or stream stops the work upstream.
pub trait Provider: Send + Sync + fmt::Debug {
    /// The name that model names are prefixed with, such as `together_ai`.
    fn name(&self) -> &'static str;

    /// Answers a chat in one piece. `stream` in the request is ignored.
    fn chat(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<Reply<ChatResponse>>>;

    /// Answers a chat in chunks. `stream` in the request is ignored.
    ///
    /// The future ends when the upstream has taken the request; what fails later is an item of
    /// the stream, and the last one.
    fn chat_stream(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<ChatStream>>;
}

/// A request on its way to a provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call<T> {
    /// The request body, in OpenAI's schema.
    pub body: Json<T>,
    /// Leave out, and report in [`Metadata::dropped_params`], what the provider cannot honour;
    /// otherwise that is an error.
    pub drop_params: bool,
    /// How long the whole call may take; for a stream, how long the first chunk may take.
    pub timeout: Option<Duration>,
}

impl<T> Call<T> {
    /// A call with no time limit of its own.
    pub fn new(body: Json<T>) -> Self {
        Self {
            body,
            drop_params: false,
            timeout: None,
        }
    }

    /// Limits the time.
    #[must_use]
    pub fn with_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Lets the provider leave out what it cannot honour.
    #[must_use]
    pub fn with_drop_params(mut self, drop_params: bool) -> Self {
        self.drop_params = drop_params;
        self
    }
}

/// An answer and what is known about how it came to be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply<T> {
    /// The answer, in OpenAI's schema.
    pub body: Json<T>,
    /// How it came to be.
    pub metadata: Metadata,
}

impl<T> Reply<T> {
    /// Joins an answer and its metadata.
    pub fn new(body: Json<T>, metadata: Metadata) -> Self {
        Self { body, metadata }
    }
}

/// What a provider tells about a call beside the answer.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metadata {
    /// The provider's name.
    pub provider: &'static str,
    /// The model as the upstream knows it.
    pub model: String,
    /// The deployment that a router chose.
    pub deployment: Option<String>,
    /// How many deployments a router tried, this one included; 0 without a router.
    pub attempts: u32,
    /// The upstream's own id for the call: a request id, a prediction id.
    pub upstream_id: Option<String>,
    /// The request parameters that were left out because the provider cannot honour them.
    pub dropped_params: Vec<String>,
    /// What only this provider tells, such as the template family that formatted the prompt.
    pub extra: Map<String, Value>,
}

impl Metadata {
    /// Metadata of a call to `model` of `provider`.
    pub fn new(provider: &'static str, model: impl Into<String>) -> Self {
        Self {
            provider,
            model: model.into(),
            ..Self::default()
        }
    }
}

/// A chat answer as it arrives.
///
/// Every stream that ends well carries a finish reason for each choice and, where the upstream
/// counts tokens, one last chunk with no choices and the usage. A stream that is cut short ends
/// with an error, never silently.
pub struct ChatStream {
    /// What is known about the call when the stream starts.
    pub metadata: Metadata,
    events: BoxStream<'static, Result<ChatEvent>>,
}

/// A piece of a [`ChatStream`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChatEvent {
    /// A piece of the answer.
    Chunk(Json<ChatChunk>),
    /// No answer yet, but the upstream is at work.
    Progress(Progress),
}

/// A sign of life from an upstream that has nothing to say yet, such as a model that boots.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// The upstream's word for what it does, such as `starting`.
    pub status: String,
    /// The time since the call began.
    pub elapsed: Duration,
}

impl Progress {
    /// A sign of life.
    pub fn new(status: impl Into<String>, elapsed: Duration) -> Self {
        Self {
            status: status.into(),
            elapsed,
        }
    }
}

impl ChatStream {
    /// A stream of `events`.
    pub fn new(
        metadata: Metadata,
        events: impl Stream<Item = Result<ChatEvent>> + Send + 'static,
    ) -> Self {
        Self {
            metadata,
            events: Box::pin(events),
        }
    }

    /// The next event; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<ChatEvent>> {
        self.events.next().await
    }

    /// The next piece of text of the first choice, past everything else; `None` after the last.
    ///
    /// # Errors
    /// What the stream ended with.
    pub async fn next_text(&mut self) -> Result<Option<String>> {
        while let Some(event) = self.next().await {
            let ChatEvent::Chunk(chunk) = event? else {
                continue;
            };
            let text = chunk
                .value()
                .map_err(|error| {
                    Error::new(
                        ErrorKind::UnexpectedBody,
                        format!("a chunk is no chunk: {error}"),
                    )
                })?
                .text();
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                return Ok(Some(text.to_owned()));
            }
        }
        Ok(None)
    }

    /// The same stream with its events changed by `change`.
    #[must_use]
    pub fn map_events<S>(
        self,
        change: impl FnOnce(BoxStream<'static, Result<ChatEvent>>) -> S,
    ) -> Self
    where
        S: Stream<Item = Result<ChatEvent>> + Send + 'static,
    {
        Self {
            metadata: self.metadata,
            events: Box::pin(change(self.events)),
        }
    }
}

impl Stream for ChatStream {
    type Item = Result<ChatEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream")
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}
