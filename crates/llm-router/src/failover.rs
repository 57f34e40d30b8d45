//! Streams: another deployment can take over until the router commits to one.

use std::collections::VecDeque;

use futures_util::{StreamExt, stream};
use llm_provider::{Call, Error, Metadata, ReplyEvent, ReplyStream, Result};

use crate::attempt::{Attempt, Opened};
use crate::continuation::Continuation;
use crate::deployment::Lease;
use crate::hedge;
use crate::plan::{Plan, filtered};
use crate::tail::Tail;

/// The maximum number of chunks without output that are held back before the router commits a
/// stream to its deployment.
///
/// A stream starts with one such chunk per choice, so few streams reach it.
pub const MAX_HELD_CHUNKS: usize = 128;

/// The maximum number of bytes of chunks without output that are held back, not counting the last
/// chunk.
pub const MAX_HELD_BYTES: usize = 64 << 10;

/// A streamed call that can move to another deployment until output has been passed on.
///
/// Chunks without output, such as one with only a role, are held back until then: a client that has
/// seen them cannot be given the chunks of another reply. Their number and size are limited, since
/// an upstream may send them endlessly. Beyond [`MAX_HELD_CHUNKS`] or [`MAX_HELD_BYTES`], the
/// router commits to the deployment and passes its chunks on. Such a reply is unusual but valid, so
/// this is not an error; only the failover is lost.
#[derive(Debug)]
pub(crate) struct Failover {
    plan: Plan,
    call: Call,
    current: Option<Current>,
    held: VecDeque<ReplyEvent>,
    held_bytes: usize,
}

/// The stream of the attempt under way.
#[derive(Debug)]
struct Current {
    lease: Lease,
    opened: Opened,
}

/// The next step of a stream before the router commits.
enum Next {
    /// A progress event, which is passed on at once.
    Progress(ReplyEvent),
    /// The rest of the stream: the router has committed to its deployment.
    Tail(Box<Tail>),
}

impl Failover {
    pub(crate) fn new(plan: Plan, call: Call) -> Self {
        Self {
            plan,
            call,
            current: None,
            held: VecDeque::new(),
            held_bytes: 0,
        }
    }

    /// Waits for the first event, so that the metadata is that of the deployment that serves the
    /// call, and an earlier failure is an error of the call.
    pub(crate) async fn start(mut self) -> Result<ReplyStream> {
        match self.next().await? {
            Next::Tail(tail) => {
                let metadata = tail.metadata();
                Ok(match self.continuation() {
                    Some(continuation) => {
                        let stage = Stage::Committed(tail, Some(continuation));
                        ReplyStream::new(metadata, stream::unfold(stage, Stage::next))
                    }
                    // No other deployment can take over any more: the rest is the upstream's own
                    // stream.
                    None => ReplyStream::new(metadata, *tail),
                })
            }
            Next::Progress(first) => {
                let current = self.current.as_ref();
                let metadata = current.map(|current| current.opened.stream.metadata.clone());
                let metadata: Metadata = metadata.unwrap_or_default();
                let rest = stream::unfold(Stage::Open(Box::new(self)), Stage::next);
                let first = stream::iter([Ok(first)]);
                Ok(ReplyStream::new(metadata, first.chain(rest)))
            }
        }
    }

    async fn next(&mut self) -> Result<Next> {
        loop {
            let Some(current) = &mut self.current else {
                self.current = Some(self.open().await?);
                continue;
            };
            match current.opened.next().await {
                Ok(Some(ReplyEvent::Chunk(chunk)))
                    if chunk.is_finish() && self.plan.replaces(chunk.body()) =>
                {
                    self.fail(filtered())?;
                }
                Ok(Some(ReplyEvent::Chunk(chunk))) => {
                    if chunk.has_output() {
                        current.lease.output();
                    }
                    self.held_bytes += chunk.bytes().len();
                    let commits = chunk.has_output() || self.is_full();
                    self.held.push_back(ReplyEvent::Chunk(chunk));
                    if commits && let Some(current) = self.current.take() {
                        return Ok(Next::Tail(self.commit(current)));
                    }
                }
                Ok(Some(event)) => return Ok(Next::Progress(event)),
                // A reply without output is still a reply.
                Ok(None) => {
                    if let Some(current) = self.current.take() {
                        return Ok(Next::Tail(self.commit(current)));
                    }
                }
                Err(error) => self.fail(error)?,
            }
        }
    }

    /// Ends the attempt under way.
    ///
    /// # Errors
    /// The failure, if there is no other attempt.
    fn fail(&mut self, error: Error) -> Result<()> {
        self.held.clear();
        self.held_bytes = 0;
        match self.current.take() {
            Some(current) => self.plan.failed(&self.call, current.lease, error),
            None => Ok(()),
        }
    }

    /// What is needed to continue the stream if it breaks, where that is wanted and possible.
    fn continuation(self) -> Option<Box<Continuation>> {
        if !self.plan.continues() {
            return None;
        }
        Continuation::new(self.plan, self.call).map(Box::new)
    }

    fn commit(&mut self, current: Current) -> Box<Tail> {
        let held = std::mem::take(&mut self.held);
        Box::new(Tail::new(held, current.opened.stream, current.lease))
    }

    /// Whether the chunk that is being added is the last one to be held back.
    fn is_full(&self) -> bool {
        self.held.len() + 1 >= MAX_HELD_CHUNKS || self.held_bytes > MAX_HELD_BYTES
    }

    async fn open(&mut self) -> Result<Current> {
        loop {
            let lease = self.plan.next(&self.call).await?;
            let (plan, call) = (&mut self.plan, &self.call);
            let prepare = Attempt::streamed;
            let (lease, opened) = if plan.hedges() {
                hedge::race(plan, lease, call, prepare, Attempt::open_to_output).await
            } else {
                let attempt = prepare(plan, &lease, call);
                (lease, attempt.open().await)
            };
            match opened {
                Ok(mut opened) => {
                    lease.describe(&mut opened.stream.metadata);
                    return Ok(Current { lease, opened });
                }
                Err(error) => self.plan.failed(&self.call, lease, error)?,
            }
        }
    }
}

/// A stream that has passed a progress event on, or that can be continued.
enum Stage {
    Open(Box<Failover>),
    Committed(Box<Tail>, Option<Box<Continuation>>),
    Ended,
}

impl Stage {
    async fn next(self) -> Option<(Result<ReplyEvent>, Self)> {
        let (mut tail, continuation) = match self {
            Self::Open(mut failover) => match failover.next().await {
                Ok(Next::Progress(event)) => return Some((Ok(event), Self::Open(failover))),
                Ok(Next::Tail(tail)) => (tail, failover.continuation()),
                Err(error) => return Some((Err(error), Self::Ended)),
            },
            Self::Committed(tail, continuation) => (tail, continuation),
            Self::Ended => return None,
        };
        let Some(mut continuation) = continuation else {
            let event = tail.next().await?;
            return Some((event, Self::Committed(tail, None)));
        };
        loop {
            let event = match tail.next().await? {
                Ok(ReplyEvent::Chunk(chunk)) => match continuation.pass(chunk) {
                    Some(chunk) => ReplyEvent::Chunk(chunk),
                    None => continue,
                },
                Ok(event) => event,
                Err(error) => {
                    tail = match continuation.resume(tail.index, error).await {
                        Ok(tail) => tail,
                        Err(error) => return Some((Err(error), Self::Ended)),
                    };
                    ReplyEvent::Continued(Box::new(tail.metadata()))
                }
            };
            return Some((Ok(event), Self::Committed(tail, Some(continuation))));
        }
    }
}
