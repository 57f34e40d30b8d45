use std::collections::VecDeque;

use futures_util::{StreamExt, stream};
use llm_provider::{Call, ReplyEvent, ReplyStream, Result};

use crate::attempts::Attempts;

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
    attempts: Attempts,
    call: Call,
    current: Option<ReplyStream>,
    held: VecDeque<ReplyEvent>,
    held_bytes: usize,
    committed: bool,
    ended: bool,
}

impl Failover {
    pub(crate) fn new(attempts: Attempts, call: Call) -> Self {
        let held = VecDeque::new();
        Self {
            attempts,
            call,
            current: None,
            held,
            held_bytes: 0,
            committed: false,
            ended: false,
        }
    }

    /// Waits for the first event, so that the metadata is that of the deployment that serves the
    /// call, and an earlier failure is an error of the call.
    pub(crate) async fn start(mut self) -> Result<ReplyStream> {
        let first = self.next().await.transpose()?;
        let metadata = self
            .current
            .as_ref()
            .map(|stream| stream.metadata.clone())
            .unwrap_or_default();
        if self.committed
            && let Some(current) = self.current.take()
        {
            // No other deployment can take over any more: the rest is the upstream's own stream.
            let begun = stream::iter(first.into_iter().chain(self.held).map(Ok));
            return Ok(ReplyStream::new(metadata, begun.chain(current)));
        }
        let rest = stream::unfold(Some(self), |state| async move {
            let mut failover = state?;
            match failover.next().await? {
                Ok(event) => Some((Ok(event), Some(failover))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(ReplyStream::new(
            metadata,
            stream::iter(first.map(Ok)).chain(rest),
        ))
    }

    async fn next(&mut self) -> Option<Result<ReplyEvent>> {
        loop {
            if self.committed
                && let Some(event) = self.held.pop_front()
            {
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            let Some(current) = &mut self.current else {
                if let Err(error) = self.open().await {
                    return Some(Err(error));
                }
                continue;
            };
            match current.next().await {
                Some(Ok(ReplyEvent::Chunk(chunk))) if !self.committed => {
                    self.held_bytes += chunk.bytes().len();
                    self.committed = chunk.has_output() || self.is_full();
                    self.held.push_back(ReplyEvent::Chunk(chunk));
                }
                Some(Err(error)) if !self.committed => {
                    let id = current.metadata.deployment.take().unwrap_or_default();
                    if let Err(error) = self.attempts.failed(&id, error) {
                        return Some(Err(error));
                    }
                    self.current = None;
                    self.held.clear();
                    self.held_bytes = 0;
                }
                None => {
                    // A reply without output is still a reply.
                    self.committed = true;
                    self.ended = true;
                }
                event => return event,
            }
        }
    }

    /// Whether the chunk that is being added is the last one to be held back.
    fn is_full(&self) -> bool {
        self.held.len() + 1 >= MAX_HELD_CHUNKS || self.held_bytes > MAX_HELD_BYTES
    }

    async fn open(&mut self) -> Result<()> {
        loop {
            let (deployment, attempt) = self.attempts.next()?;
            match deployment
                .provider
                .stream(deployment.adapt(&self.call))
                .await
            {
                Ok(mut stream) => {
                    stream.metadata.deployment = Some(deployment.id.clone());
                    stream.metadata.attempts = attempt;
                    self.current = Some(stream);
                    return Ok(());
                }
                Err(error) => self.attempts.failed(&deployment.id, error)?,
            }
        }
    }
}
