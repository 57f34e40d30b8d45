//! An attempt within its time limits.

use std::time::Duration;

use llm_provider::{Call, Error, ErrorKind, Reply, ReplyStream, Result};
use tokio::time::{Instant, timeout_at};

use crate::deployment::Lease;
use crate::plan::Plan;

/// Sends a call to the deployment of `lease`, for a reply in one piece.
pub(crate) async fn send(plan: &Plan, lease: &Lease, call: &Call) -> Result<Reply> {
    let deployment = lease.deployment();
    let end = plan.end_of(deployment.timeouts.total);
    let call = adapt(plan, lease, call, end);
    within(end, deployment.provider.send(call)).await
}

/// Sends a call to the deployment of `lease`, for a stream, whose head has to arrive before `end`.
pub(crate) async fn open(
    plan: &Plan,
    lease: &Lease,
    call: &Call,
    end: Option<Instant>,
) -> Result<ReplyStream> {
    let call = adapt(plan, lease, call, end);
    let mut stream = within(end, lease.deployment().provider.stream(call)).await?;
    lease.describe(&mut stream.metadata);
    Ok(stream)
}

fn adapt(plan: &Plan, lease: &Lease, call: &Call, end: Option<Instant>) -> Call {
    let mut call = lease.deployment().adapt(call, plan.matched());
    if let Some(end) = end {
        let left = end.saturating_duration_since(Instant::now());
        call.timeout = Some(left.max(Duration::from_millis(1)));
    }
    call
}

/// Waits for `future` up to `end`. Without an end, no timer is needed.
pub(crate) async fn within<T>(
    end: Option<Instant>,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    match end {
        None => future.await,
        Some(end) => match timeout_at(end, future).await {
            Ok(result) => result,
            Err(_) => Err(timed_out()),
        },
    }
}

pub(crate) fn timed_out() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "the deployment did not answer within its time limit",
    )
}
