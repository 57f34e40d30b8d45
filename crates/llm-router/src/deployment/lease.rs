use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use llm_provider::{Error, Metadata, Reply};

use super::state::Permit;
use super::{Deployment, Prices, State, TokenCounts};
use crate::breaker::{is_fault, is_of_model};
use crate::clock::{Nanos, between};
use crate::core::Core;
use crate::observe::{RouterEvent, RouterObserver};
use crate::shared::Health;

/// A deployment that a call uses, with everything that the call holds of it.
///
/// Dropping it returns what is held, however the call ends: by a cancelled future, a panic or an
/// early return. [`succeeded`](Self::succeeded) and [`failed`](Self::failed) also record the
/// outcome.
#[derive(Debug)]
pub(crate) struct Lease {
    core: Arc<Core>,
    observer: Option<Arc<dyn RouterObserver>>,
    state: Arc<State>,
    permit: Permit,
    /// The number of the attempt, from 1.
    attempt: u32,
    prices: Option<Prices>,
    started: Nanos,
    /// The time of the first output.
    first_output: Option<Nanos>,
    /// The estimated tokens so far: of the prompt, and one for each chunk with output.
    estimate: TokenCounts,
    /// What the call is charged when it ends; by default the estimate.
    used: Option<u64>,
    /// The tokens that the upstream reported.
    counted: u64,
    /// What the call showed that the shared state has to know.
    health: Health,
    has_outcome: bool,
}

/// The call that a lease is for.
#[derive(Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) core: Arc<Core>,
    pub(crate) observer: Option<Arc<dyn RouterObserver>>,
    pub(crate) attempt: u32,
    /// What the `*` of the group's name matched.
    pub(crate) matched: Option<&'a str>,
    /// The estimated tokens of the prompt.
    pub(crate) prompt: u64,
}

impl Lease {
    pub(crate) fn new(origin: Origin<'_>, state: Arc<State>, permit: Permit, now: Nanos) -> Self {
        state.requests_minute.add(1, now);
        state.totals.calls.fetch_add(1, Relaxed);
        let deployment = &state.deployment;
        let prices = match origin.matched {
            None => deployment.prices,
            matched => deployment.prices_in(&origin.core.prices, matched),
        };
        let lease = Self {
            core: origin.core,
            observer: origin.observer,
            permit,
            attempt: origin.attempt,
            prices,
            started: now,
            first_output: None,
            estimate: TokenCounts::new(origin.prompt, 0),
            used: None,
            counted: 0,
            health: Health::Same,
            has_outcome: false,
            state,
        };
        lease.emit(|| RouterEvent::Picked {
            group: &lease.deployment().group,
            deployment: lease.id(),
            attempt: lease.attempt,
        });
        lease
    }

    pub(crate) fn deployment(&self) -> &Deployment {
        &self.state.deployment
    }

    pub(crate) fn index(&self) -> u32 {
        self.state.index
    }

    /// Sets the deployment and the number of attempts in the metadata.
    pub(crate) fn describe(&self, metadata: &mut Metadata) {
        metadata.deployment = Some(self.state.deployment.id.clone());
        metadata.attempts = self.attempt;
    }

    /// Records a chunk with output, of about one token.
    pub(crate) fn output(&mut self) {
        self.estimate.completion = self.estimate.completion.saturating_add(1);
        if self.first_output.is_none() {
            let now = self.core.clock.now();
            self.first_output = Some(now);
            self.emit(|| RouterEvent::FirstOutput {
                deployment: self.id(),
                latency: between(self.started, now),
            });
        }
    }

    /// Ends the call with a reply in one piece.
    pub(crate) fn finish(self, mut reply: Reply) -> Reply {
        self.describe(&mut reply.metadata);
        let counts = match &reply.metadata.usage {
            Some(usage) => Some(TokenCounts::from(&**usage)),
            None => reply.body.read_member("usage").ok().flatten(),
        };
        self.succeeded(counts.map(|counts: TokenCounts| counts.with_metadata(&reply.metadata)));
        reply
    }

    /// Ends the call as a success.
    pub(crate) fn succeeded(mut self, counts: Option<TokenCounts>) {
        self.has_outcome = true;
        let (state, now) = (&self.state, self.core.clock.now());
        let answered = self.first_output.unwrap_or(now);
        state.record_latency(answered.saturating_sub(self.started), now);
        if state.breaker.succeeded(self.permit.is_probe, now) {
            self.health = Health::Recovered;
            tracing::info!(deployment = self.id(), "deployment recovered");
            self.emit(|| RouterEvent::Recovered {
                deployment: self.id(),
            });
        }
        if let Some(counts) = &counts {
            state.record_counts(counts, now);
            self.counted = counts.total();
        }
        self.emit(|| RouterEvent::Finished {
            deployment: self.id(),
            counts,
            cost: counts.and_then(|counts| self.cost(&counts)),
            latency: between(self.started, now),
        });
        match counts {
            Some(counts) => self.used = Some(counts.total()),
            // Without counts of a reply in one piece, the reservation stands.
            None if self.first_output.is_none() => self.permit.tokens = None,
            None => {}
        }
        self.permit.is_probe = false;
    }

    /// Ends the call as a failure. `is_own` is false if the cause was a time limit of the client,
    /// which says nothing about the deployment.
    pub(crate) fn failed(mut self, error: &Error, is_own: bool) {
        self.has_outcome = true;
        let (state, now) = (&self.state, self.core.clock.now());
        state.totals.failures.fetch_add(1, Relaxed);
        let counts = self
            .first_output
            .map(|_| self.estimate.with_run_time(between(self.started, now)));
        self.emit(|| RouterEvent::Failed {
            deployment: self.id(),
            attempt: self.attempt,
            error,
            counts,
            cost: counts.and_then(|counts| self.cost(&counts)),
        });
        // The client named the model: the others may work.
        let is_of_one = state.deployment.is_wildcard() && is_of_model(error.kind());
        if is_own && !is_of_one {
            self.record_failure(error, now);
        }
        if counts.is_none() {
            // No tokens were generated, and prompts of failed calls are not counted.
            self.used = Some(0);
        }
    }

    /// Ends the attempt since another one was faster.
    pub(crate) fn lost_race(mut self) {
        self.has_outcome = true;
        let now = self.core.clock.now();
        let elapsed = now.saturating_sub(self.started);
        // It is at least as slow.
        self.state.record_latency(elapsed, now);
        self.emit(|| RouterEvent::LostRace {
            deployment: self.id(),
            latency: between(self.started, now),
        });
    }

    fn record_failure(&mut self, error: &Error, now: Nanos) {
        let state = &self.state;
        if is_fault(error) {
            let elapsed = now.saturating_sub(self.started).max(FAILURE_LATENCY);
            state.record_latency(elapsed, now);
        }
        let options = &self.core.options.cooldown;
        let time = state
            .breaker
            .failed(error, self.permit.is_probe, now, options);
        self.health = match time {
            Some(time) => Health::Cooling(state.breaker.shared(time)),
            None if !self.permit.is_probe => Health::Same,
            // The upstream answered, if only with a refusal.
            None if state.breaker.cooldown(now).is_none() => Health::Recovered,
            None => Health::Unprobed,
        };
        self.permit.is_probe = false;
        if let Some(time) = time {
            let (deployment, cause) = (self.id(), error.kind());
            tracing::warn!(deployment, ?cause, ?time, "deployment is cooling down");
            self.emit(|| RouterEvent::Cooled {
                deployment,
                cause,
                time,
            });
        }
    }

    fn abandoned(&self, now: Nanos) {
        let counts = self.estimate.with_run_time(between(self.started, now));
        self.emit(|| RouterEvent::Abandoned {
            deployment: self.id(),
            counts,
            cost: self.cost(&counts),
            latency: between(self.started, now),
        });
    }

    fn cost(&self, counts: &TokenCounts) -> Option<f64> {
        self.prices?.cost(counts)
    }

    fn id(&self) -> &str {
        &self.state.deployment.id
    }

    fn emit<'a>(&self, event: impl FnOnce() -> RouterEvent<'a>) {
        self.core.emit(self.observer.as_ref(), event);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let now = self.core.clock.now();
        if self.permit.is_probe {
            self.state.breaker.abandon_probe();
            self.health = Health::Unprobed;
        }
        let charge = self.permit.tokens.take();
        let used = charge.map(|_| self.used.unwrap_or_else(|| self.estimate.total()));
        self.state.return_tokens(charge, used.unwrap_or(0), now);
        if let Some(shared) = &self.core.shared {
            let mut end = self.state.end(self.permit.shared, used);
            (end.used, end.health) = (self.counted, self.health);
            if !end.is_empty() {
                shared.end(end);
            }
        }
        self.state.leave();
        // Last, since an observer may panic.
        if !self.has_outcome {
            self.abandoned(now);
        }
    }
}

/// The minimum latency that a failure counts as, so that failing fast attracts no calls.
const FAILURE_LATENCY: Nanos = 1_000_000_000;
