use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use sse_codec::{EventStream, OwnedEvent, StreamError};

use llm_provider::endpoint::{Normalize, Step};
use llm_provider::{Chunk, Error, ErrorKind, ReplyEvent, Result};

/// Reads an answer from an OpenAI-like event stream: events become chunks, `[DONE]` ends it.
pub(crate) struct Chunks<S> {
    events: EventStream<S>,
    normalizer: Box<dyn Normalize>,
    ended: bool,
}

impl<S> Chunks<S> {
    pub(crate) fn new(body: S, normalizer: Box<dyn Normalize>) -> Self {
        Self {
            events: EventStream::new(body),
            normalizer,
            ended: false,
        }
    }

    fn read(&mut self, event: &OwnedEvent) -> Result<Option<Chunk>> {
        if event.data.trim_ascii_start().starts_with(b"[DONE]") {
            return self.end(true);
        }
        match self.normalizer.read(&event.data) {
            Ok(Step::Chunk(chunk)) => Ok(Some(chunk)),
            Ok(Step::Skip) => Ok(None),
            // The connection broke in the middle of an event.
            Err(error) if event.is_incomplete() && error.kind() == ErrorKind::UnexpectedBody => {
                self.end(false)
            }
            Err(error) => Err(error),
        }
    }

    fn end(&mut self, is_complete: bool) -> Result<Option<Chunk>> {
        self.ended = true;
        self.normalizer.end(is_complete)
    }
}

impl<S> Stream for Chunks<S>
where
    S: Stream<Item = Result<Bytes>> + Unpin,
{
    type Item = Result<ReplyEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while !this.ended {
            let read = match ready!(this.events.poll_next_unpin(cx)) {
                Some(Ok(event)) => this.read(&event),
                Some(Err(StreamError::Inner(error))) => Err(error),
                Some(Err(error)) => {
                    let message = "the upstream's event stream cannot be read";
                    Err(Error::new(ErrorKind::UnexpectedBody, message).with_source(error))
                }
                None => this.end(false),
            };
            match read {
                Ok(None) => {}
                Ok(Some(chunk)) => return Poll::Ready(Some(Ok(ReplyEvent::Chunk(chunk)))),
                Err(error) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }
}

impl<S> fmt::Debug for Chunks<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
