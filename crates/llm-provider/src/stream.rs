use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;

use crate::endpoint::{Chunk, Endpoint, Normalize};
use crate::records::Records;
use crate::{Document, Error, ErrorKind, Metadata, Record, Reply, Result};

/// A streamed reply.
///
/// A complete stream has one finish reason per choice and, if the upstream counts tokens, a last
/// chunk with the usage and without choices. An interrupted stream ends with an error.
///
/// Timeouts apply only while the stream is polled, since they limit the wait for the upstream. A
/// stream that is held but not polled keeps its connection open: a program that serves slow readers
/// needs another limit, such as the gateway's write timeout. Only the time limits of Replicate's
/// predictions apply in any case.
pub struct ReplyStream {
    /// The metadata that is known when the stream starts.
    pub metadata: Metadata,
    events: BoxStream<'static, Result<ReplyEvent>>,
}

/// An event of a [`ReplyStream`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReplyEvent {
    /// A piece of the reply.
    Chunk(Chunk),
    /// The upstream is working but has no output yet.
    Progress(Progress),
    /// From here on, the reply is another deployment's, which continues it.
    Continued(Box<Metadata>),
}

/// A report from an upstream that has no output yet, such as a model that boots.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// The upstream's name of its state, such as `starting`.
    pub status: String,
    /// The time since the call began.
    pub elapsed: Duration,
}

impl Progress {
    /// Creates a progress event.
    pub fn new(status: impl Into<String>, elapsed: Duration) -> Self {
        Self {
            status: status.into(),
            elapsed,
        }
    }
}

impl ReplyStream {
    /// Creates a stream of `events`.
    pub fn new(
        metadata: Metadata,
        events: impl Stream<Item = Result<ReplyEvent>> + Send + 'static,
    ) -> Self {
        Self {
            metadata,
            events: Box::pin(events.fuse()),
        }
    }

    /// Creates a stream of the chunks in `records`, normalized by `normalizer`
    /// ([`Endpoint::chunks`](crate::Endpoint::chunks)).
    ///
    /// A stream of records that ends before the reply is complete ends with an error of kind
    /// [`ErrorKind::Transport`](crate::ErrorKind::Transport).
    pub fn from_records(
        metadata: Metadata,
        records: impl Stream<Item = Result<Record>> + Send + Unpin + 'static,
        normalizer: Box<dyn Normalize>,
    ) -> Self {
        Self::new(metadata, Records::new(records, normalizer))
    }

    /// Creates a stream of a reply in one piece, for providers that cannot stream.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if replies of the endpoint are not
    /// streamed, and [`ErrorKind::UnexpectedBody`](crate::ErrorKind::UnexpectedBody) if it is not a
    /// reply.
    pub fn from_reply(
        endpoint: &'static dyn Endpoint,
        request: &Document,
        reply: Reply,
    ) -> Result<Self> {
        let Some(normalizer) = endpoint.chunks(request) else {
            let message = format!("replies of {} are not streamed", endpoint.capability());
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        let chunks = endpoint.split(reply.body)?.into_iter();
        let chunks = chunks.map(|chunk| Record::Chunk(chunk.bytes().clone()));
        let records = chunks.chain([Record::End]).map(Ok);
        Ok(Self::from_records(
            reply.metadata,
            futures_util::stream::iter(records),
            normalizer,
        ))
    }

    /// The next event; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<ReplyEvent>> {
        self.events.next().await
    }

    /// The next chunk, skipping progress events; `None` after the last.
    ///
    /// # Errors
    /// The error with which the stream ended.
    pub async fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        while let Some(event) = self.next().await {
            if let ReplyEvent::Chunk(chunk) = event? {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    /// The next piece of text of the first choice, skipping everything else; `None` after the
    /// last.
    ///
    /// # Errors
    /// The error with which the stream ended.
    pub async fn next_text(&mut self) -> Result<Option<String>> {
        while let Some(chunk) = self.next_chunk().await? {
            if let Some(text) = chunk.text()? {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// Replaces the events by those that `change` returns, and keeps the metadata.
    #[must_use]
    pub fn map_events<S>(
        self,
        change: impl FnOnce(BoxStream<'static, Result<ReplyEvent>>) -> S,
    ) -> Self
    where
        S: Stream<Item = Result<ReplyEvent>> + Send + 'static,
    {
        Self::new(self.metadata, change(self.events))
    }
}

impl Stream for ReplyStream {
    type Item = Result<ReplyEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for ReplyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyStream")
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}
