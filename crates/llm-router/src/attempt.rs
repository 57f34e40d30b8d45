//! An attempt within its time limits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use llm_provider::{Call, Error, ErrorKind, Provider, Reply, ReplyEvent, ReplyStream, Result};
use tokio::time::{Instant, timeout_at};

use crate::deployment::Lease;
use crate::failover::{MAX_HELD_BYTES, MAX_HELD_CHUNKS};
use crate::plan::{Plan, after};

/// A call to one deployment, ready to be sent.
#[derive(Debug)]
pub(crate) struct Attempt {
    provider: Arc<dyn Provider>,
    call: Call,
    /// The latest time of the reply, or of the first output of a stream.
    end: Option<Instant>,
}

/// The stream of an attempt.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) stream: ReplyStream,
    /// The events that were read while the attempt was compared with another one.
    pub(crate) early: VecDeque<ReplyEvent>,
    end: Option<Instant>,
}

impl Attempt {
    /// A call for a reply in one piece.
    pub(crate) fn whole(plan: &Plan, lease: &Lease, call: &Call) -> Self {
        Self::new(plan, lease, call, lease.deployment().timeouts.total)
    }

    /// A call for a stream.
    pub(crate) fn streamed(plan: &Plan, lease: &Lease, call: &Call) -> Self {
        Self::new(plan, lease, call, lease.deployment().timeouts.first_output)
    }

    /// A call that continues a stream. The deadline of the call ended with the first output.
    pub(crate) fn continued(plan: &Plan, lease: &Lease, call: &Call) -> Self {
        let end = lease.deployment().timeouts.first_output.map(after);
        Self::until(end, plan, lease, call)
    }

    fn new(plan: &Plan, lease: &Lease, call: &Call, limit: Option<Duration>) -> Self {
        Self::until(plan.end_of(limit), plan, lease, call)
    }

    fn until(end: Option<Instant>, plan: &Plan, lease: &Lease, call: &Call) -> Self {
        let deployment = lease.deployment();
        let mut call = deployment.adapt(call, plan.matched(), plan.is_strict());
        if let Some(end) = end {
            let left = end.saturating_duration_since(Instant::now());
            call.timeout = Some(left.max(Duration::from_millis(1)));
        }
        if let Some(drops) = deployment.drop_params
            && !plan.is_strict()
        {
            call.drop_params = drops;
        }
        if call.is_prefill {
            for (key, value) in deployment.prefill.iter().flatten() {
                call.body.set(key.clone(), value);
            }
        }
        let provider = Arc::clone(&deployment.provider);
        Self {
            provider,
            call,
            end,
        }
    }

    /// Waits for the reply.
    pub(crate) async fn send(self) -> Result<Reply> {
        within(self.end, self.provider.send(self.call)).await
    }

    /// Waits for the head of the stream.
    pub(crate) async fn open(self) -> Result<Opened> {
        let end = self.end;
        let stream = within(end, self.provider.stream(self.call)).await?;
        Ok(Opened {
            stream,
            early: VecDeque::new(),
            end,
        })
    }

    /// Waits for the first output of the stream.
    pub(crate) async fn open_to_output(self) -> Result<Opened> {
        let mut opened = self.open().await?;
        let mut bytes = 0;
        while opened.early.len() < MAX_HELD_CHUNKS && bytes <= MAX_HELD_BYTES {
            let Some(event) = opened.read().await? else {
                break;
            };
            let has_output = match &event {
                ReplyEvent::Chunk(chunk) => {
                    bytes += chunk.bytes().len();
                    chunk.has_output()
                }
                _ => false,
            };
            opened.early.push_back(event);
            if has_output {
                break;
            }
        }
        Ok(opened)
    }
}

impl Opened {
    /// The next event before the first output; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<ReplyEvent>> {
        match self.early.pop_front() {
            Some(event) => Ok(Some(event)),
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> Result<Option<ReplyEvent>> {
        let next = async { self.stream.next().await.transpose() };
        within(self.end, next).await
    }
}

/// Waits for `future` up to `end`. Without an end, no timer is needed.
async fn within<T>(end: Option<Instant>, future: impl Future<Output = Result<T>>) -> Result<T> {
    match end {
        None => future.await,
        Some(end) => match timeout_at(end, future).await {
            Ok(result) => result,
            Err(_) => Err(timed_out()),
        },
    }
}

fn timed_out() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "the deployment did not answer within its time limit",
    )
}
