use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use super::{Deployment, RateLimits, TokenCounts};
use crate::average::{MovingLatency, PerMinute, as_f64};
use crate::breaker::Breaker;
use crate::clock::Nanos;
use crate::limits::{Charge, Gcra, Rate};
use crate::queue::Queue;
use crate::shared::{End, Health, Level, Settlement, Subject};

/// A deployment and what is known of it.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) deployment: Deployment,
    /// Identifies the deployment in its router, and in those that take over its state.
    pub(crate) index: u32,
    /// The queue of its group.
    pub(crate) queue: Arc<Queue>,
    /// Identifies the deployment in a shared state.
    pub(crate) key: Arc<str>,
    live: Arc<Live>,
}

/// What is known of a deployment. Only atomics change: a call takes no lock.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) breaker: Breaker,
    requests: Option<Gcra>,
    tokens: Option<Gcra>,
    in_flight: AtomicU32,
    peak: MovingLatency,
    mean: MovingLatency,
    pub(crate) requests_minute: PerMinute,
    pub(crate) tokens_minute: PerMinute,
    pub(crate) totals: Totals,
}

/// What happened since the router was created.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) calls: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) prompt: AtomicU64,
    pub(crate) cached: AtomicU64,
    pub(crate) completion: AtomicU64,
    pub(crate) reasoning: AtomicU64,
}

/// What a call needs of a deployment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Demand {
    /// The estimated tokens of the prompt.
    pub(crate) prompt: u64,
    /// The estimated tokens of the prompt and the reply.
    pub(crate) tokens: u64,
    /// Whether deployments with a smaller context window are left out.
    pub(crate) checks_window: bool,
    /// Whether the model has to continue a message of the assistant.
    pub(crate) is_continuation: bool,
    /// If not empty, the deployment has one of these tags.
    pub(crate) tags: Vec<String>,
}

/// Whether a deployment can serve a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Readiness {
    /// Now.
    Ready,
    /// Not before this time, because of a rate limit.
    At(Nanos),
    /// When another call ends.
    Busy,
    /// Not before this time, because it is cooling down; 0 while a probe is under way.
    Cooling(Nanos),
    /// Never: the call needs more tokens than are allowed in a minute.
    TooLarge,
    /// Never: the prompt exceeds the context window.
    Overflow,
    /// Never: the model does not continue messages.
    CannotContinue,
    /// Never: it has none of the tags.
    Untagged,
}

/// What a call holds of a deployment while it runs.
#[derive(Debug)]
pub(crate) struct Permit {
    pub(crate) is_probe: bool,
    pub(crate) tokens: Option<Charge>,
    /// What the shared state charged, if it admitted the call.
    pub(crate) shared: Option<SharedCharge>,
}

/// The charge of a call in the shared state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedCharge {
    tokens: u64,
    /// [`Level::tokens_paid`] after the charge.
    paid: u64,
}

impl Deref for State {
    type Target = Live;

    fn deref(&self) -> &Live {
        &self.live
    }
}

impl Live {
    fn new(limits: &RateLimits) -> Self {
        Self {
            requests: rate(limits.rpm).map(Gcra::new),
            tokens: rate(limits.tpm).map(Gcra::new),
            breaker: Breaker::default(),
            in_flight: AtomicU32::new(0),
            peak: MovingLatency::default(),
            mean: MovingLatency::default(),
            requests_minute: PerMinute::default(),
            tokens_minute: PerMinute::default(),
            totals: Totals::default(),
        }
    }
}

impl State {
    pub(crate) fn new(
        deployment: Deployment,
        index: u32,
        queue: Arc<Queue>,
        key: Arc<str>,
    ) -> Self {
        let live = Arc::new(Live::new(&deployment.limits));
        Self {
            deployment,
            index,
            queue,
            key,
            live,
        }
    }

    /// The state of `deployment`, which continues this one.
    pub(crate) fn continued(
        &self,
        deployment: Deployment,
        queue: Arc<Queue>,
        key: Arc<str>,
    ) -> Self {
        Self {
            deployment,
            index: self.index,
            queue,
            key,
            live: Arc::clone(&self.live),
        }
    }

    pub(crate) fn readiness(&self, demand: &Demand, now: Nanos) -> Readiness {
        if let Some(never) = self.refusal(demand) {
            return never;
        }
        match self.breaker.ready_at(now) {
            Some(0) => {}
            until => return Readiness::Cooling(until.unwrap_or(0)),
        }
        let requests = self.requests.as_ref().map(|gcra| gcra.ready_at(1));
        let tokens = self
            .tokens
            .as_ref()
            .map(|gcra| gcra.ready_at(demand.tokens));
        let mut ready = 0;
        for limit in [requests, tokens].into_iter().flatten() {
            match limit {
                Some(at) => ready = ready.max(at),
                None => return Readiness::TooLarge,
            }
        }
        if ready > now {
            return Readiness::At(ready);
        }
        match self.is_full() {
            true => Readiness::Busy,
            false => Readiness::Ready,
        }
    }

    /// Whether it serves as many parallel calls as it may.
    pub(crate) fn is_full(&self) -> bool {
        let max = self.deployment.limits.max_parallel_requests;
        max.is_some_and(|max| self.in_flight() >= max)
    }

    /// Why this deployment never serves such a call.
    fn refusal(&self, demand: &Demand) -> Option<Readiness> {
        let Deployment {
            tags,
            context_window,
            prefill,
            ..
        } = &self.deployment;
        if demand.is_continuation && prefill.is_none() {
            return Some(Readiness::CannotContinue);
        }
        if !demand.tags.is_empty() && !demand.tags.iter().any(|tag| tags.contains(tag)) {
            return Some(Readiness::Untagged);
        }
        let overflows = context_window.is_some_and(|window| demand.prompt > window);
        (demand.checks_window && overflows).then_some(Readiness::Overflow)
    }

    /// Takes everything that a call holds, or nothing.
    pub(crate) fn admit(&self, demand: &Demand, now: Nanos) -> Option<Permit> {
        self.enter()?;
        let permit = self.take(demand, now);
        if permit.is_none() {
            self.leave();
        }
        permit
    }

    fn take(&self, demand: &Demand, now: Nanos) -> Option<Permit> {
        let tokens = match &self.tokens {
            Some(gcra) => Some(gcra.take(demand.tokens, now)?),
            None => None,
        };
        let take_request = |gcra: &Gcra| gcra.take(1, now);
        let has_request = self
            .requests
            .as_ref()
            .is_none_or(|gcra| take_request(gcra).is_some());
        let is_probe = if has_request {
            self.breaker.enter(now)
        } else {
            None
        };
        if is_probe.is_none() {
            self.return_tokens(tokens, 0, now);
        }
        is_probe.map(|is_probe| Permit {
            is_probe,
            tokens,
            shared: None,
        })
    }

    /// What the shared state is asked for a call.
    pub(crate) fn subject(&self, demand: &Demand) -> Subject {
        let limits = &self.deployment.limits;
        Subject {
            key: Arc::clone(&self.key),
            rpm: rate(limits.rpm),
            tpm: rate(limits.tpm),
            tokens: demand.tokens,
        }
    }

    /// Takes over what the shared state knows.
    pub(crate) fn adopt(&self, level: &Level, now: Nanos) {
        if let Some(gcra) = &self.requests {
            gcra.adopt(nanos_of(level.requests_owed), 0, now);
        }
        if let Some(gcra) = &self.tokens {
            gcra.adopt(nanos_of(level.tokens_owed), 0, now);
        }
        self.breaker.adopt(level.cooldown, now);
        self.requests_minute.set(level.requests, now);
        self.tokens_minute.set(level.tokens, now);
    }

    /// Takes what a call holds that the shared state has admitted; `None` if there are too many
    /// parallel calls here.
    pub(crate) fn admit_shared(
        &self,
        demand: &Demand,
        level: &Level,
        is_probe: bool,
        now: Nanos,
    ) -> Option<Permit> {
        let charge = SharedCharge {
            tokens: demand.tokens,
            paid: level.tokens_paid,
        };
        self.enter()?;
        // The lease counts its request.
        self.requests_minute
            .set(level.requests.saturating_sub(1), now);
        if is_probe {
            self.breaker.begin_probe();
        }
        let tokens = self.tokens.as_ref().map(|gcra| {
            let owed = nanos_of(level.tokens_owed);
            gcra.adopt(owed, demand.tokens, now)
        });
        Some(Permit {
            is_probe,
            tokens,
            shared: Some(charge),
        })
    }

    /// The end of a call that the shared state has admitted and that is not sent.
    pub(crate) fn unsent(&self, demand: &Demand, level: &Level, is_probe: bool) -> End {
        let charge = SharedCharge {
            tokens: demand.tokens,
            paid: level.tokens_paid,
        };
        let mut end = self.end(Some(charge), Some(0));
        if is_probe {
            end.health = Health::Unprobed;
        }
        end
    }

    /// The end of a call for the shared state; `used` are its tokens, if its charge is corrected.
    pub(crate) fn end(&self, charge: Option<SharedCharge>, used: Option<u64>) -> End {
        let mut end = End::new(&self.key);
        if let (Some(charge), Some(rate), Some(used)) =
            (charge, rate(self.deployment.limits.tpm), used)
        {
            end.tokens = Some(Settlement {
                rate,
                cost: charge.tokens,
                paid: charge.paid,
                used,
            });
        }
        end
    }

    /// Counts a call that begins; `None` if there are `max_parallel_requests` already.
    fn enter(&self) -> Option<()> {
        let Some(max) = self.deployment.limits.max_parallel_requests else {
            self.in_flight.fetch_add(1, SeqCst);
            return Some(());
        };
        let add = |calls: u32| (calls < max).then_some(calls + 1);
        self.in_flight
            .fetch_update(SeqCst, SeqCst, add)
            .ok()
            .map(drop)
    }

    /// Counts a call that ends, and lets the first one in the queue try.
    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, SeqCst);
        self.queue.wake();
    }

    pub(crate) fn return_tokens(&self, charge: Option<Charge>, used: u64, now: Nanos) {
        if let (Some(gcra), Some(charge)) = (&self.tokens, charge) {
            gcra.settle(charge, used, now);
        }
    }

    pub(crate) fn record_latency(&self, latency: Nanos, now: Nanos) {
        self.peak.add(latency, now, PEAK_DECAY, true);
        self.mean.add(latency, now, MEAN_DECAY, false);
    }

    pub(crate) fn record_counts(&self, counts: &TokenCounts, now: Nanos) {
        self.tokens_minute.add(counts.total(), now);
        self.totals.prompt.fetch_add(counts.prompt, Relaxed);
        self.totals.cached.fetch_add(counts.cached, Relaxed);
        self.totals.completion.fetch_add(counts.completion, Relaxed);
        self.totals.reasoning.fetch_add(counts.reasoning, Relaxed);
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(SeqCst)
    }

    /// The peak latency in nanoseconds; 0 if nothing is known.
    pub(crate) fn peak_latency(&self, now: Nanos) -> f64 {
        self.peak.get(now, PEAK_DECAY)
    }

    /// The mean latency in nanoseconds; 0 if nothing is known.
    pub(crate) fn mean_latency(&self, now: Nanos) -> f64 {
        self.mean.get(now, MEAN_DECAY)
    }

    /// The requests and tokens that would be admitted now, where they are limited.
    pub(crate) fn left(&self, now: Nanos) -> (Option<u64>, Option<u64>) {
        let left = |gcra: &Option<Gcra>| gcra.as_ref().map(|gcra| gcra.left(now));
        (left(&self.requests), left(&self.tokens))
    }

    /// The share of the limits that the current minute has used; without limits, the tokens and
    /// requests as a share of very high ones.
    pub(crate) fn utilization(&self, now: Nanos) -> f64 {
        let limits = &self.deployment.limits;
        let share = |used: &PerMinute, limit: Option<u64>| {
            as_f64(used.get(now)) / as_f64(limit.unwrap_or(UNLIMITED).max(1))
        };
        let tokens = share(&self.tokens_minute, limits.tpm);
        tokens.max(share(&self.requests_minute, limits.rpm))
    }
}

fn nanos_of(micros: u64) -> Nanos {
    micros.saturating_mul(1000)
}

const PEAK_DECAY: Nanos = 10_000_000_000;
const MEAN_DECAY: Nanos = 60_000_000_000;
const UNLIMITED: u64 = 1_000_000_000;

fn rate(limit: Option<u64>) -> Option<Rate> {
    limit.map(Rate::per_minute)
}
