use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use llm_provider::{Error, ErrorKind, Metadata, Reply};

use super::state::Permit;
use super::{Deployment, State, TokenCounts};
use crate::breaker::is_fault;
use crate::clock::{Nanos, between};
use crate::core::Core;
use crate::observe::RouterEvent;

/// A deployment that a call uses, with everything that the call holds of it.
///
/// Dropping it returns what is held, however the call ends: by a cancelled future, a panic or an
/// early return. [`succeeded`](Self::succeeded) and [`failed`](Self::failed) also record the
/// outcome.
#[derive(Debug)]
pub(crate) struct Lease {
    core: Arc<Core>,
    state: Arc<State>,
    permit: Permit,
    /// The number of the attempt, from 1.
    attempt: u32,
    started: Nanos,
    /// The time of the first output.
    first_output: Option<Nanos>,
    /// The tokens used so far; an estimate until the upstream reports them.
    used: u64,
}

impl Lease {
    pub(crate) fn new(
        core: Arc<Core>,
        state: Arc<State>,
        permit: Permit,
        attempt: u32,
        now: Nanos,
    ) -> Self {
        state.requests_minute.add(1, now);
        state.totals.calls.fetch_add(1, Relaxed);
        core.emit(|| RouterEvent::Picked {
            group: &state.deployment.group,
            deployment: &state.deployment.id,
            attempt,
        });
        Self {
            core,
            state,
            permit,
            attempt,
            started: now,
            first_output: None,
            used: 0,
        }
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

    /// Records the tokens of the prompt: a call that is abandoned from now on is charged for them.
    pub(crate) fn charge_prompt(&mut self, tokens: u64) {
        self.used = tokens;
    }

    /// Records a chunk with output, of about one token.
    pub(crate) fn output(&mut self) {
        self.used = self.used.saturating_add(1);
        if self.first_output.is_none() {
            let now = self.core.clock.now();
            self.first_output = Some(now);
            self.core.emit(|| RouterEvent::FirstOutput {
                deployment: &self.state.deployment.id,
                latency: between(self.started, now),
            });
        }
    }

    /// Ends the call with a reply in one piece.
    pub(crate) fn finish(self, mut reply: Reply) -> Reply {
        self.describe(&mut reply.metadata);
        let counts = reply.body.read_member::<TokenCounts>("usage");
        self.succeeded(counts.ok().flatten());
        reply
    }

    /// Ends the call as a success.
    pub(crate) fn succeeded(mut self, counts: Option<TokenCounts>) {
        let (state, now) = (&self.state, self.core.clock.now());
        let answered = self.first_output.unwrap_or(now);
        state.record_latency(answered.saturating_sub(self.started), now);
        if state.breaker.succeeded(self.permit.is_probe, now) {
            tracing::info!(deployment = state.deployment.id, "deployment recovered");
            self.core.emit(|| RouterEvent::Recovered {
                deployment: &state.deployment.id,
            });
        }
        if let Some(counts) = &counts {
            state.record_counts(counts, now);
        }
        let prices = state.deployment.prices;
        self.core.emit(|| RouterEvent::Finished {
            deployment: &state.deployment.id,
            counts,
            cost: counts.and_then(|counts| prices?.cost(&counts)),
            latency: between(self.started, now),
        });
        match counts {
            Some(counts) => self.used = counts.total(),
            // Without counts of a reply in one piece, the estimate stands.
            None if self.first_output.is_none() => self.permit.tokens = None,
            None => {}
        }
        self.permit.is_probe = false;
    }

    /// Ends the call as a failure. `is_own` is false if the cause was a time limit of the client,
    /// which says nothing about the deployment.
    pub(crate) fn failed(mut self, error: &Error, is_own: bool) {
        let (state, now) = (&self.state, self.core.clock.now());
        state.totals.failures.fetch_add(1, Relaxed);
        self.core.emit(|| RouterEvent::Failed {
            deployment: &state.deployment.id,
            attempt: self.attempt,
            error,
        });
        // The client named the model, so that only the client is affected.
        let is_own =
            is_own && !(state.deployment.is_wildcard() && error.kind() == ErrorKind::NotFound);
        if is_own {
            if is_fault(error) {
                let elapsed = now.saturating_sub(self.started).max(FAILURE_LATENCY);
                state.record_latency(elapsed, now);
            }
            let options = &self.core.options.cooldown;
            let time = state
                .breaker
                .failed(error, self.permit.is_probe, now, options);
            self.permit.is_probe = false;
            if let Some(time) = time {
                self.core.cooled(&state.deployment.id, error.kind(), time);
            }
        }
        if self.first_output.is_none() {
            // No tokens were generated, and prompts of failed calls are not counted.
            self.used = 0;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.permit.is_probe {
            self.state.breaker.abandon_probe();
        }
        if let Some(charge) = self.permit.tokens.take() {
            let now = self.core.clock.now();
            self.state.return_tokens(Some(charge), self.used, now);
        }
        self.state.leave();
    }
}

/// A failure counts as at least as slow as this, so that failing fast attracts no calls.
const FAILURE_LATENCY: Nanos = 1_000_000_000;
