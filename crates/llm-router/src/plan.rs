//! One call: what it has tried, and what it may still try.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use llm_provider::{Call, Capability, Error, ErrorKind, Result};
use tokio::time::Instant;

use crate::affinity::session_of;
use crate::core::Core;
use crate::deployment::{Demand, Lease, Permit, Readiness, State};
use crate::estimate::Estimate;
use crate::names::Resolved;
use crate::pool::{Choice, Pool};
use crate::queue::{QueueOptions, limit_of};
use crate::refusal::Refusal;
use crate::resolve::{resolve, unsupported};
use crate::route::RouteOptions;

/// The attempts of one call; each is chosen when it is needed.
#[derive(Debug)]
pub(crate) struct Plan {
    core: Arc<Core>,
    capability: Capability,
    route: RouteOptions,
    estimate: Option<Estimate>,
    current: Resolved,
    pool: Arc<Pool>,
    demand: Demand,
    session: Option<u64>,
    /// The indices of the deployments tried.
    tried: Vec<u32>,
    /// The failures in the current group.
    failures: usize,
    attempts: u32,
    /// The groups that take over next, in reverse order.
    fallbacks: Vec<String>,
    /// The groups that were tried, in order.
    visited: Vec<String>,
    deadline: Option<Instant>,
    /// Whether the client set the deadline.
    is_clients_deadline: bool,
    /// The failure of the last attempt.
    error: Option<Error>,
}

impl Plan {
    /// Resolves the model of a call.
    pub(crate) fn new(core: &Arc<Core>, call: &Call, route: RouteOptions) -> Result<Self> {
        let capability = call.endpoint.capability();
        let current = resolve(&core.names, call)?;
        let pool = Arc::clone(
            current
                .group
                .pool(capability)
                .ok_or_else(|| unsupported(&current.group, capability))?,
        );
        let limit = [call.timeout, core.options.deadline]
            .into_iter()
            .flatten()
            .min();
        core.budget.deposit();
        let mut plan = Self {
            core: Arc::clone(core),
            capability,
            estimate: None,
            session: None,
            demand: Demand::default(),
            tried: Vec::new(),
            failures: 0,
            attempts: 0,
            fallbacks: Vec::new(),
            visited: Vec::new(),
            deadline: limit.map(after),
            is_clients_deadline: call.timeout.is_some() && call.timeout == limit,
            error: None,
            route,
            current,
            pool,
        };
        plan.enter(call);
        Ok(plan)
    }

    /// Computes what the call demands of the current group.
    fn enter(&mut self, call: &Call) {
        let group = &self.current.group;
        let checks = self.core.options.checks_context_window;
        self.demand = Demand {
            checks_window: checks,
            tags: self.route.tags.clone(),
            ..Demand::default()
        };
        if group.counts_tokens {
            let estimate = *self
                .estimate
                .get_or_insert_with(|| Estimate::of(&call.body));
            self.demand.prompt = estimate.prompt;
            self.demand.tokens = estimate.total;
        }
        let session = self.route.session.as_deref();
        let pins = self.core.affinity.is_some();
        self.session = pins
            .then(|| session_of(&group.name, session, &call.body))
            .flatten();
    }

    /// Admits the call to a deployment, for the next attempt: within the limits, and if necessary
    /// after a wait in the queue.
    ///
    /// # Errors
    /// The failure of the last attempt, or why no deployment can serve the call.
    pub(crate) async fn next(&mut self, call: &Call) -> Result<Lease> {
        loop {
            let refusal = match self.pick() {
                Ok(lease) => return Ok(lease),
                Err(refusal) => refusal,
            };
            let refusal = match self.queue(&refusal) {
                Some(options) => match self.wait(&options, refusal).await {
                    Ok(lease) => return Ok(lease),
                    Err(refusal) => refusal,
                },
                None => refusal,
            };
            let error = match self.error.take() {
                Some(error) => error,
                None => self.refuse(refusal),
            };
            self.fall_back(call, error)?;
        }
    }

    /// Ends an attempt that failed. The next one, if there is one, is up to [`next`](Self::next).
    ///
    /// # Errors
    /// The failure, if there is no other attempt.
    pub(crate) fn failed(&mut self, call: &Call, lease: Lease, error: Error) -> Result<()> {
        let is_late = self
            .deadline
            .is_some_and(|deadline| deadline <= Instant::now());
        let is_clients = is_late && self.is_clients_deadline && error.kind() == ErrorKind::Timeout;
        self.tried.push(lease.index());
        self.failures += 1;
        let id = lease.deployment().id.clone();
        lease.failed(&error, !is_clients);
        if is_late {
            return Err(error);
        }
        if self.has_retry(&error) {
            // The last failure is returned to the caller, who reports it.
            tracing::warn!(deployment = id, %error, "deployment failed; trying another");
            self.error = Some(error);
            return Ok(());
        }
        self.fall_back(call, error)
    }

    /// Whether another deployment of the group is tried after `error`.
    fn has_retry(&self, error: &Error) -> bool {
        let retries = self.core.options.retries.retries(error.kind());
        error.is_retryable_elsewhere()
            && self.failures <= retries
            && self.failures < self.pool.len()
            && self.core.budget.withdraw()
    }

    /// Moves to the next group that can take over after `error`.
    ///
    /// # Errors
    /// `error`, if there is none.
    fn fall_back(&mut self, call: &Call, error: Error) -> Result<()> {
        let fallbacks = &self.core.options.fallbacks;
        let from = self.current.group.name.clone();
        let Some(next) = fallbacks.of(&from, &error) else {
            return Err(error);
        };
        self.fallbacks.extend(next.iter().rev().cloned());
        self.visited.push(from.clone());
        while let Some(name) = self.fallbacks.pop() {
            if self.visited.len() > fallbacks.max {
                break;
            }
            let Some(next) = self.core.names.resolve(&name) else {
                continue;
            };
            let pool = next.group.pool(self.capability).map(Arc::clone);
            let (Some(pool), false) = (pool, self.visited.contains(&next.group.name)) else {
                continue;
            };
            tracing::warn!(group = from, to = next.group.name, %error, "falling back");
            self.core.emit(|| crate::RouterEvent::FellBack {
                from: &from,
                to: &next.group.name,
                error: &error,
            });
            (self.current, self.pool) = (next, pool);
            self.failures = 0;
            self.error = Some(error);
            self.enter(call);
            return Ok(());
        }
        Err(error)
    }

    /// Picks a deployment: that of the session, else the one that the strategy prefers.
    fn pick(&mut self) -> Result<Lease, Refusal> {
        let now = self.core.clock.now();
        let picked = self
            .pinned(now)
            .map(|(state, permit)| (Arc::clone(state), permit));
        let (state, permit) = match picked {
            Some(picked) => picked,
            None => {
                let choice = Choice {
                    strategy: &*self.core.strategy,
                    demand: &self.demand,
                    tried: &self.tried,
                    now,
                };
                let (state, permit) = self.pool.pick(&choice, &mut Rng::new())?;
                (Arc::clone(state), permit)
            }
        };
        self.pin(state.index, now);
        self.attempts += 1;
        let core = Arc::clone(&self.core);
        let mut lease = Lease::new(core, state, permit, self.attempts, now);
        lease.charge_prompt(self.demand.prompt);
        Ok(lease)
    }

    /// The deployment of the session, if it can serve the call now.
    fn pinned(&self, now: u64) -> Option<(&Arc<State>, Permit)> {
        let index = self.core.affinity.as_ref()?.get(self.session?, now)?;
        if !self.pool.contains(index) || self.tried.contains(&index) {
            return None;
        }
        let state = self.core.states.get(usize::try_from(index).ok()?)?;
        let is_ready = state.readiness(&self.demand, now) == Readiness::Ready;
        let permit = is_ready.then(|| state.admit(&self.demand, now)).flatten()?;
        Some((state, permit))
    }

    /// Pins the session to a deployment, unless its own is only at its limits.
    fn pin(&self, index: u32, now: u64) {
        let (Some(affinity), Some(session)) = (&self.core.affinity, self.session) else {
            return;
        };
        let current = affinity.get(session, now).filter(|pinned| *pinned != index);
        let pinned = current.and_then(|pinned| self.core.states.get(usize::try_from(pinned).ok()?));
        let is_kept = pinned.is_some_and(|state| {
            let readiness = state.readiness(&self.demand, now);
            !self.tried.contains(&state.index)
                && matches!(readiness, Readiness::At(_) | Readiness::Busy)
        });
        if !is_kept {
            affinity.pin(session, index, now);
        }
    }

    /// The queue in which the call waits; `None` if it does not.
    fn queue(&self, refusal: &Refusal) -> Option<QueueOptions> {
        let waits = self.error.is_none() && refusal.is_temporary();
        self.core.options.queue.clone().filter(|_| waits)
    }

    async fn wait(&mut self, options: &QueueOptions, refusal: Refusal) -> Result<Lease, Refusal> {
        let now = self.core.clock.now();
        let priority = self
            .route
            .priority
            .unwrap_or(self.core.options.default_priority);
        let queue = Arc::clone(&self.current.group.queue);
        let Some(place) = queue.join(options, priority, now) else {
            return Err(refusal);
        };
        self.core.emit(|| crate::RouterEvent::Queued {
            group: &self.current.group.name,
        });
        let limit = limit_of(options, self.deadline);
        let mut refusal = refusal;
        loop {
            let mut until = limit;
            if place.is_first() {
                refusal = match self.pick() {
                    Ok(lease) => {
                        place.served(self.core.clock.now());
                        return Ok(lease);
                    }
                    Err(refusal) => refusal,
                };
                if !refusal.is_temporary() {
                    return Err(refusal);
                }
                let ready = refusal.ready_at().map(|at| self.core.clock.instant(at));
                // Do not wait for a deployment that is ready only after the limit.
                if refusal.is_only_limited() && ready.is_some_and(|ready| ready > limit) {
                    return Err(refusal);
                }
                until = ready.map_or(limit, |ready| ready.min(limit));
            }
            if Instant::now() >= limit {
                return Err(refusal);
            }
            place.wait(until).await;
        }
    }

    fn refuse(&self, refusal: Refusal) -> Error {
        let group = &self.current.group.name;
        let error = refusal.into_error(group, self.core.clock.now());
        self.core.emit(|| crate::RouterEvent::Refused {
            group,
            error: &error,
        });
        error
    }

    /// What the `*` of the group's name matched.
    pub(crate) fn matched(&self) -> Option<&str> {
        self.current.matched.as_deref()
    }

    /// The end of an attempt that begins now and may take `limit`.
    pub(crate) fn end_of(&self, limit: Option<Duration>) -> Option<Instant> {
        let own = limit.map(after);
        [own, self.deadline].into_iter().flatten().min()
    }
}

fn after(time: Duration) -> Instant {
    // The sum with a longer time might overflow.
    Instant::now() + time.min(YEAR)
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use llm_provider::endpoint::Chat;
    use llm_provider::{Capabilities, Document, Provider};

    use super::*;
    use crate::{
        Deployment, LatencyBased, LeastBusy, PeakEwma, RateLimits, Router, SimpleShuffle, Strategy,
        TokenCounts, UsageBased,
    };

    #[derive(Debug)]
    struct Idle;

    impl Provider for Idle {
        fn name(&self) -> &'static str {
            "idle"
        }

        fn capabilities(&self) -> Capabilities {
            Capabilities::ALL
        }
    }

    /// 100 deployments with every limit.
    fn core(strategy: Arc<dyn Strategy>) -> Arc<Core> {
        let limits = RateLimits::default()
            .with_rpm(1_000_000)
            .with_tpm(1_000_000_000)
            .with_max_parallel_requests(1000);
        let deployments = (0..100).map(|number| {
            Deployment::new("group", Arc::new(Idle), "m")
                .with_id(number.to_string())
                .with_limits(limits.clone())
        });
        let router = Router::builder()
            .with_deployments(deployments)
            .with_strategy(strategy)
            .build()
            .unwrap();
        router.core().clone()
    }

    #[test]
    fn a_deployment_is_admitted_picked_and_settled_without_allocation() {
        let strategies: [Arc<dyn Strategy>; 5] = [
            Arc::new(PeakEwma),
            Arc::new(SimpleShuffle),
            Arc::new(LeastBusy),
            Arc::new(LatencyBased),
            Arc::new(UsageBased),
        ];
        let body = Document::from_bytes(r#"{"model":"group","messages":[]}"#);
        let call = Call::new(&Chat, body);
        for strategy in strategies {
            let core = core(strategy);
            let serve = || {
                let mut plan = Plan::new(&core, &call, RouteOptions::default()).unwrap();
                let lease = plan.pick().unwrap();
                lease.succeeded(Some(TokenCounts::new(10, 5)));
            };
            // The first call indexes the body and seeds the random numbers of the thread.
            serve();
            let allocated = allocation_counter::measure(serve);
            assert_eq!(allocated.count_total, 0, "{:?}", core.strategy);
        }
    }
}
