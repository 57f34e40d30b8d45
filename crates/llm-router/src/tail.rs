//! The rest of a stream after the router has committed to a deployment.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use llm_provider::{Chunk, Error, ErrorKind, Metadata, ReplyEvent, ReplyStream, Result};
use tokio::time::{Instant, Sleep, sleep};

use crate::TokenCounts;
use crate::attempt::Opened;
use crate::deployment::Lease;

/// Passes on the events of one deployment, counts its tokens, and ends a stream that stalls.
#[derive(Debug)]
pub(crate) struct Tail {
    held: VecDeque<ReplyEvent>,
    stream: ReplyStream,
    /// The index of the deployment.
    pub(crate) index: u32,
    /// `None` after the end.
    lease: Option<Lease>,
    counts: Option<TokenCounts>,
    idle: Option<Idle>,
}

/// The limit of each wait for an event.
#[derive(Debug)]
struct Idle {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Tail {
    /// The rest of a stream whose first events have been read.
    pub(crate) fn of(opened: Opened, mut lease: Lease) -> Self {
        for event in &opened.early {
            if let ReplyEvent::Chunk(chunk) = event
                && chunk.has_output()
            {
                lease.output();
            }
        }
        Self::new(opened.early, opened.stream, lease)
    }

    pub(crate) fn new(held: VecDeque<ReplyEvent>, stream: ReplyStream, lease: Lease) -> Self {
        let idle = lease.deployment().timeouts.idle.map(|limit| Idle {
            limit,
            sleep: Box::pin(sleep(limit)),
        });
        let mut tail = Self {
            held,
            stream,
            index: lease.index(),
            lease: Some(lease),
            counts: None,
            idle,
        };
        let counts = tail.held.iter().filter_map(|event| match event {
            ReplyEvent::Chunk(chunk) => chunk.usage().map(TokenCounts::from),
            _ => None,
        });
        tail.counts = counts.last();
        tail
    }

    pub(crate) fn metadata(&self) -> Metadata {
        self.stream.metadata.clone()
    }

    fn record(&mut self, chunk: &Chunk) {
        if let Some(usage) = chunk.usage() {
            self.counts = Some(usage.into());
        }
        if let (Some(lease), true) = (&mut self.lease, chunk.has_output()) {
            lease.output();
        }
    }

    fn end(&mut self, error: Option<&Error>) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        match error {
            None => lease.succeeded(self.counts),
            Some(error) => lease.failed(error, true),
        }
    }

    /// Waits for the upstream's next event, but not longer than the limit.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ReplyEvent>>> {
        let event = Pin::new(&mut self.stream).poll_next(cx);
        let Some(idle) = &mut self.idle else {
            return event;
        };
        match event {
            Poll::Ready(event) => {
                idle.sleep.as_mut().reset(Instant::now() + idle.limit);
                Poll::Ready(event)
            }
            Poll::Pending => idle.sleep.as_mut().poll(cx).map(|()| Some(Err(stalled()))),
        }
    }
}

impl Stream for Tail {
    type Item = Result<ReplyEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = self.held.pop_front() {
            return Poll::Ready(Some(Ok(event)));
        }
        if self.lease.is_none() {
            return Poll::Ready(None);
        }
        let event = ready!(self.poll_upstream(cx));
        match &event {
            Some(Ok(ReplyEvent::Chunk(chunk))) => self.record(chunk),
            Some(Ok(_)) => {}
            Some(Err(error)) => self.end(Some(error)),
            None => self.end(None),
        }
        Poll::Ready(event)
    }
}

fn stalled() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "the deployment sent nothing within the idle limit of the stream",
    )
}
