//! A stream that records its usage at its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use llm_provider::{ReplyEvent, Result};

use super::running::Running;
use super::tokens::Tokens;

/// Passes events on, and counts them for the usage record.
pub(super) struct Recorded {
    events: BoxStream<'static, Result<ReplyEvent>>,
    running: Running,
}

impl Recorded {
    pub(super) fn new(events: BoxStream<'static, Result<ReplyEvent>>, running: Running) -> Self {
        Self { events, running }
    }
}

impl Stream for Recorded {
    type Item = Result<ReplyEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = ready!(self.events.as_mut().poll_next(cx));
        match &event {
            Some(Ok(ReplyEvent::Chunk(chunk))) => {
                if chunk.has_output() {
                    self.running.output();
                }
                if let Some(usage) = chunk.usage() {
                    self.running.count(Tokens::from(usage));
                }
            }
            Some(Ok(ReplyEvent::Continued(metadata))) => self.running.continued(metadata),
            Some(Ok(_)) => {}
            Some(Err(error)) => self.running.end(Some(error)),
            None => self.running.end(None),
        }
        Poll::Ready(event)
    }
}
