use std::collections::VecDeque;

use futures_util::{StreamExt, stream};
use llm_provider::{Call, ReplyEvent, ReplyStream, Result, StreamingOperation};

use crate::router::Attempts;

/// A streamed call that may move to another deployment until content has been passed on.
///
/// Chunks that only announce an answer (a role, no content) are held back until then, since a
/// client that has seen them cannot be given another answer's.
#[derive(Debug)]
pub(crate) struct Failover<R: StreamingOperation> {
    attempts: Attempts,
    call: Call<R>,
    current: Option<ReplyStream<R::Chunk>>,
    held: VecDeque<ReplyEvent<R::Chunk>>,
    committed: bool,
    ended: bool,
}

impl<R: StreamingOperation> Failover<R> {
    pub(crate) fn new(attempts: Attempts, call: Call<R>) -> Self {
        let held = VecDeque::new();
        Self {
            attempts,
            call,
            current: None,
            held,
            committed: false,
            ended: false,
        }
    }

    /// Waits for the first sign of life, so that the metadata is that of who answers and a
    /// failure before it is an error of the call.
    pub(crate) async fn start(mut self) -> Result<ReplyStream<R::Chunk>> {
        let first = self.next().await.transpose()?;
        let metadata = self
            .current
            .as_ref()
            .map(|stream| stream.metadata.clone())
            .unwrap_or_default();
        if self.committed
            && let Some(current) = self.current.take()
        {
            // Nobody else can take over any more: the rest is the upstream's own stream.
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

    async fn next(&mut self) -> Option<Result<ReplyEvent<R::Chunk>>> {
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
                    self.committed = R::has_output(&chunk);
                    self.held.push_back(ReplyEvent::Chunk(chunk));
                }
                Some(Err(error)) if !self.committed => {
                    let id = current.metadata.deployment.take().unwrap_or_default();
                    if let Err(error) = self.attempts.failed(&id, error) {
                        return Some(Err(error));
                    }
                    self.current = None;
                    self.held.clear();
                }
                None => {
                    // An answer without content is an answer all the same.
                    self.committed = true;
                    self.ended = true;
                }
                event => return event,
            }
        }
    }

    async fn open(&mut self) -> Result<()> {
        loop {
            let (deployment, attempt) = self.attempts.next()?;
            let call = deployment.adapt(&self.call)?;
            match R::stream(&*deployment.provider, call).await {
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
