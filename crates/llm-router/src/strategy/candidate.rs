use std::fmt;
use std::time::Duration;

use crate::Deployment;
use crate::clock::Nanos;
use crate::deployment::State;

/// A deployment that can serve a call, and what is known of it.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    state: &'a State,
    now: Nanos,
}

impl<'a> Candidate<'a> {
    pub(crate) fn new(state: &'a State, now: Nanos) -> Self {
        Self { state, now }
    }

    /// What is configured.
    pub fn deployment(&self) -> &'a Deployment {
        &self.state.deployment
    }

    /// The calls that it is serving.
    pub fn in_flight(&self) -> u32 {
        self.state.in_flight()
    }

    /// The average time to the first output, or to a reply in one piece, of about the last minute.
    /// Zero if nothing is known.
    pub fn mean_latency(&self) -> Duration {
        duration(self.state.mean_latency(self.now))
    }

    /// Like [`mean_latency`](Self::mean_latency), but a slow reply counts in full at once, and is
    /// forgotten within about ten seconds.
    pub fn peak_latency(&self) -> Duration {
        duration(self.state.peak_latency(self.now))
    }

    /// The requests sent in the current minute.
    pub fn requests_per_minute(&self) -> u64 {
        self.state.requests_minute.get(self.now)
    }

    /// The tokens used in the current minute, as far as they are reported.
    pub fn tokens_per_minute(&self) -> u64 {
        self.state.tokens_minute.get(self.now)
    }

    /// The share of its limits that the current minute has used, from 0 to 1; among deployments
    /// without limits, a tiny number that grows with use.
    pub fn utilization(&self) -> f64 {
        self.state.utilization(self.now)
    }
}

fn duration(nanos: f64) -> Duration {
    Duration::try_from_secs_f64(nanos / 1e9).unwrap_or(Duration::MAX)
}

impl fmt::Debug for Candidate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("deployment", &self.state.deployment.id)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
