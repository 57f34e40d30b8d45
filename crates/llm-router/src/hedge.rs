//! Hedged calls: a second deployment gets the call when the first one is slow.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use llm_provider::{Call, Result};
use tokio::time::{Instant, timeout};

use crate::attempt::Attempt;
use crate::deployment::Lease;
use crate::plan::Plan;

/// When a call is also sent to a second deployment of its group.
///
/// The first answer is used: a reply, or the first output of a stream. The other attempt is cancelled,
/// and its tokens are not counted, although its upstream may bill them. Hedged attempts count as
/// retries in the limit of additional attempts. While a stream waits for its first output,
/// its progress events are held back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct HedgeOptions {
    /// How long the first deployment may take; by default the time within which 95 % of the group's
    /// calls answer, once 20 have been measured.
    pub after: Option<Duration>,
}

impl HedgeOptions {
    /// Sets how long the first deployment may take.
    #[must_use]
    pub fn with_after(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.after = time.into();
        self
    }
}

/// Sends a call to the deployment of `lease`, and if it is slow, to another one as well.
///
/// `prepare` makes an attempt, and `run` carries it out. The result is that of the deployment returned;
/// a failure of the other one has been recorded.
pub(crate) async fn race<T, F: Future<Output = Result<T>>>(
    plan: &mut Plan,
    lease: Lease,
    call: &Call,
    prepare: impl Fn(&Plan, &Lease, &Call) -> Attempt,
    run: impl Fn(Attempt) -> F,
) -> (Lease, Result<T>) {
    let begin = Instant::now();
    let mut first = pin!(run(prepare(plan, &lease, call)));
    let Some(limit) = plan.hedge_after() else {
        let result = first.await;
        if result.is_ok() {
            plan.record_latency(begin.elapsed());
        }
        return (lease, result);
    };
    if let Ok(result) = timeout(limit, &mut first).await {
        if result.is_ok() {
            plan.record_latency(begin.elapsed());
        }
        return (lease, result);
    }
    let Some(other) = plan.hedge(&lease).await else {
        let result = first.await;
        plan.record_latency(begin.elapsed());
        return (lease, result);
    };
    // Boxed, so that calls that are not hedged stay small.
    let second = Box::pin(run(prepare(plan, &other, call)));
    let (winner, loser, result) = match select(first, second).await {
        Either::Left((Ok(value), _)) => (lease, other, Ok(value)),
        Either::Right((Ok(value), _)) => (other, lease, Ok(value)),
        Either::Left((Err(error), second)) => {
            plan.failed_in_race(lease, &error);
            return (other, second.await);
        }
        Either::Right((Err(error), first)) => {
            plan.failed_in_race(other, &error);
            return (lease, first.await);
        }
    };
    // The first one takes at least as long.
    plan.record_latency(begin.elapsed());
    loser.lost_race();
    (winner, result)
}
