use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use llm_types::ChatChunk;
use llm_types::completions::CompletionResponse;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, ErrorKind, Json, Metadata, Result};

/// An answer as it arrives, in chunks of `T`.
///
/// Every stream that ends well carries a finish reason for each choice and, where the upstream
/// counts tokens, one last chunk with no choices and the usage. A stream that is cut short ends
/// with an error, never silently.
pub struct ReplyStream<T> {
    /// What is known about the call when the stream starts.
    pub metadata: Metadata,
    events: BoxStream<'static, Result<ReplyEvent<T>>>,
}

/// A chat answer as it arrives.
pub type ChatStream = ReplyStream<ChatChunk>;

/// A piece of a [`ChatStream`].
pub type ChatEvent = ReplyEvent<ChatChunk>;

/// A text completion as it arrives.
pub type CompletionStream = ReplyStream<CompletionResponse>;

/// A piece of a [`CompletionStream`].
pub type CompletionEvent = ReplyEvent<CompletionResponse>;

/// A piece of a [`ReplyStream`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReplyEvent<T> {
    /// A piece of the answer.
    Chunk(Json<T>),
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

impl<T> ReplyStream<T> {
    /// A stream of `events`.
    pub fn new(
        metadata: Metadata,
        events: impl Stream<Item = Result<ReplyEvent<T>>> + Send + 'static,
    ) -> Self {
        Self {
            metadata,
            events: Box::pin(events.fuse()),
        }
    }

    /// The next event; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<ReplyEvent<T>>> {
        self.events.next().await
    }

    /// The same stream with its events changed by `change`, to chunks of the same sort or of
    /// another.
    #[must_use]
    pub fn map_events<U, S>(
        self,
        change: impl FnOnce(BoxStream<'static, Result<ReplyEvent<T>>>) -> S,
    ) -> ReplyStream<U>
    where
        S: Stream<Item = Result<ReplyEvent<U>>> + Send + 'static,
    {
        ReplyStream {
            metadata: self.metadata,
            events: Box::pin(change(self.events).fuse()),
        }
    }
}

impl<T: Serialize + DeserializeOwned> ReplyStream<T> {
    /// The next text that `text` finds in a chunk, past everything else; `None` after the last.
    async fn next_in_chunk(&mut self, text: impl Fn(&T) -> Option<&str>) -> Result<Option<String>> {
        while let Some(event) = self.next().await {
            let ReplyEvent::Chunk(chunk) = event? else {
                continue;
            };
            let chunk = chunk.value().map_err(|error| {
                Error::new(ErrorKind::UnexpectedBody, "a chunk cannot be read").with_source(error)
            })?;
            if let Some(text) = text(chunk).filter(|text| !text.is_empty()) {
                return Ok(Some(text.to_owned()));
            }
        }
        Ok(None)
    }
}

impl ReplyStream<ChatChunk> {
    /// The next piece of text of the first choice, past everything else; `None` after the last.
    ///
    /// # Errors
    /// What the stream ended with.
    pub async fn next_text(&mut self) -> Result<Option<String>> {
        self.next_in_chunk(ChatChunk::text).await
    }
}

impl ReplyStream<CompletionResponse> {
    /// The next piece of text of the first choice, past everything else; `None` after the last.
    ///
    /// # Errors
    /// What the stream ended with.
    pub async fn next_text(&mut self) -> Result<Option<String>> {
        self.next_in_chunk(|chunk| {
            let mut choices = chunk.choices.iter();
            choices
                .find(|choice| choice.index == 0)
                .map(|choice| choice.text.as_str())
        })
        .await
    }
}

impl<T> Stream for ReplyStream<T> {
    type Item = Result<ReplyEvent<T>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(cx)
    }
}

impl<T> fmt::Debug for ReplyStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyStream")
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}
