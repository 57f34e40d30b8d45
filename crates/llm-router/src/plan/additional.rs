//! Additional attempts while one is running, or after its first output.

use std::time::Duration;

use llm_provider::{Capability, Error, Result};

use super::Plan;
use super::shared::{Answer, Question};
use crate::deployment::Lease;
use crate::quantile::Latencies;

impl Plan {
    /// Whether slow calls are sent to a second deployment.
    pub(crate) fn hedges(&self) -> bool {
        self.core.options.hedge.is_some() && self.pool.len() > 1
    }

    /// How long an attempt may take until the call is sent to a second deployment.
    pub(crate) fn hedge_after(&self) -> Option<Duration> {
        let options = self.core.options.hedge.filter(|_| self.hedges())?;
        options.after.or_else(|| self.latencies().p95())
    }

    /// Records how long a call of the group took, for the time after which calls are hedged.
    pub(crate) fn record_latency(&self, latency: Duration) {
        if self.hedges() {
            self.latencies().add(latency);
        }
    }

    fn latencies(&self) -> &Latencies {
        let group = &self.current.group;
        if self.is_streamed {
            &group.first_outputs
        } else {
            &group.replies
        }
    }

    /// A second deployment for a call that the one of `first` is serving.
    pub(crate) async fn hedge(&mut self, first: &Lease) -> Option<Lease> {
        if !self.core.budget.withdraw() {
            return None;
        }
        self.tried.push(first.index());
        // The session stays at the first deployment.
        let lease = match Box::pin(self.ask(Question::default())).await {
            Some(Answer::Admitted(lease)) => Some(*lease),
            Some(_) => None,
            None => {
                let now = self.core.clock.now();
                let picked = self.choose(now).ok();
                picked.map(|(state, permit)| self.lease(state, permit, now))
            }
        };
        self.tried.pop();
        if lease.is_none() {
            self.core.budget.put_back();
        }
        lease
    }

    /// Ends the attempt of a hedged call that failed while the other one runs.
    pub(crate) fn failed_in_race(&mut self, lease: Lease, error: &Error) {
        self.tried.push(lease.index());
        self.failures += 1;
        lease.failed(error, true);
    }

    /// Whether a stream that breaks is continued by another deployment.
    pub(crate) fn continues(&self) -> bool {
        self.core.options.continues && self.pool.len() > 1
    }

    /// The deployment that continues a stream after the failure of another one.
    ///
    /// # Errors
    /// `error`, if there is none.
    pub(crate) async fn resume(&mut self, failed: u32, error: Error) -> Result<Lease> {
        self.tried.push(failed);
        self.failures += 1;
        if !self.has_retry(&error) {
            return Err(error);
        }
        self.demand.is_continuation = self.capability == Capability::Chat;
        match self.pick().await {
            Ok(lease) => {
                let deployment = lease.deployment().id.as_str();
                tracing::debug!(deployment, %error, "a stream broke; another deployment continues it");
                Ok(lease)
            }
            Err(_) => Err(error),
        }
    }
}
