//! The plan of a call: what it has tried, and what it may still try.

mod additional;
mod pick;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use llm_provider::{Call, Capability, Document, Error, ErrorKind, Result};
use tokio::time::Instant;

use crate::affinity::session_of;
use crate::cache::{self, Batch, Scope, Slot};
use crate::core::Core;
use crate::deployment::{Demand, Lease};
use crate::estimate::Estimate;
use crate::fallbacks::Fallbacks;
use crate::names::Resolved;
use crate::observe::RouterEvent;
use crate::pool::Pool;
use crate::queue::{QueueOptions, limit_of};
use crate::rates::denied;
use crate::refusal::Refusal;
use crate::resolve::{require_groups, resolve, unsupported};
use crate::retries::MAX_RETRIES;
use crate::route::RouteOptions;

/// The attempts of one call; each is chosen when it is needed.
#[derive(Debug)]
pub(crate) struct Plan {
    core: Arc<Core>,
    capability: Capability,
    is_streamed: bool,
    route: RouteOptions,
    estimate: Option<Estimate>,
    current: Resolved,
    /// The name of the current group in the request or in a list of fallbacks; `None` if it is its own.
    alias: Option<String>,
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
    is_client_deadline: bool,
    /// The failure of the last attempt.
    error: Option<Error>,
    /// The first choice, if it was made while the reply was looked up.
    early: Option<Box<Result<Lease, Refusal>>>,
}

impl Plan {
    /// Resolves the model of a call.
    pub(crate) fn new(
        core: &Arc<Core>,
        call: &Call,
        route: RouteOptions,
        is_streamed: bool,
    ) -> Result<Self> {
        let capability = call.endpoint.capability();
        let current = resolve(&core.names, call)?;
        if let Some(fallbacks) = &route.fallbacks {
            require_groups(&core.names, fallbacks)?;
        }
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
            is_streamed,
            estimate: None,
            session: None,
            demand: Demand::default(),
            tried: Vec::new(),
            failures: 0,
            attempts: 0,
            fallbacks: Vec::new(),
            visited: Vec::new(),
            deadline: limit.map(after),
            is_client_deadline: call.timeout.is_some() && call.timeout == limit,
            error: None,
            early: None,
            route,
            alias: alias(&call.model(), &current),
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
            tags: group.tags_of(&self.route),
            ..Demand::default()
        };
        let is_observed = !self.core.observers.is_empty() || self.route.observer.is_some();
        if group.counts_tokens || is_observed {
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
            let refusal = match self.pick().await {
                Ok(lease) => return Ok(lease),
                Err(_) if self.is_denied() => return Err(denied()),
                Err(refusal) => refusal,
            };
            let refusal = match self.queue(&refusal) {
                Some(options) => match Box::pin(self.wait(&options, refusal)).await {
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

    /// Ends an attempt that failed. [`next`](Self::next) chooses the next one, if there is one.
    ///
    /// # Errors
    /// The failure, if there is no other attempt.
    pub(crate) fn failed(&mut self, call: &Call, lease: Lease, error: Error) -> Result<()> {
        let is_late = self
            .deadline
            .is_some_and(|deadline| deadline <= Instant::now());
        let client_timed_out =
            is_late && self.is_client_deadline && error.kind() == ErrorKind::Timeout;
        self.tried.push(lease.index());
        self.failures += 1;
        let id = lease.deployment().id.clone();
        lease.failed(&error, !client_timed_out);
        if is_late {
            return Err(error);
        }
        if self.has_retry(&error) {
            // The last failure is returned to the caller, who reports it.
            tracing::debug!(deployment = id, %error, "deployment failed; trying another");
            self.error = Some(error);
            return Ok(());
        }
        self.fall_back(call, error)
    }

    /// Whether another deployment of the group is tried after `error`.
    fn has_retry(&self, error: &Error) -> bool {
        let policy = &self.core.options.retries;
        let retries = match self.route.retries {
            Some(retries) => retries.min(MAX_RETRIES),
            None => policy.retries(error.kind()),
        };
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
        let max = self.core.options.fallbacks.max;
        let from = self.current.group.name.clone();
        let Some(next) = self.configured().of(self.names(), &error) else {
            return Err(error);
        };
        let next: Vec<String> = next.iter().rev().cloned().collect();
        self.fallbacks.extend(next);
        self.visited.push(from.clone());
        while let Some(name) = self.fallbacks.pop() {
            if self.visited.len() > max {
                break;
            }
            let Some(next) = self.core.names.resolve(&name) else {
                continue;
            };
            let pool = next.group.pool(self.capability).map(Arc::clone);
            let (Some(pool), false) = (pool, self.visited.contains(&next.group.name)) else {
                continue;
            };
            tracing::debug!(group = from, to = next.group.name, %error, "falling back");
            self.emit(|| RouterEvent::FellBack {
                from: &from,
                to: &next.group.name,
                error: &error,
            });
            self.alias = alias(&name, &next);
            (self.current, self.pool) = (next, pool);
            self.failures = 0;
            self.error = Some(error);
            self.enter(call);
            return Ok(());
        }
        Err(error)
    }

    /// The fallbacks of the request, or else of the router.
    fn configured(&self) -> &Fallbacks {
        let own = self.route.fallbacks.as_ref();
        own.unwrap_or(&self.core.options.fallbacks)
    }

    /// The names of the current group in lists of fallbacks.
    fn names(&self) -> [&str; 2] {
        let group = &*self.current.group.name;
        [self.alias.as_deref().unwrap_or(group), group]
    }

    /// Whether another group takes over, since a filter stopped this reply.
    pub(crate) fn replaces(&self, reply: &Document) -> bool {
        self.configured().replaces_filtered(self.names()) && is_filtered(reply)
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
        self.emit(|| RouterEvent::Queued {
            group: &self.current.group.name,
        });
        let limit = limit_of(options, self.deadline);
        let mut refusal = refusal;
        loop {
            let mut until = limit;
            if place.is_first() {
                refusal = match self.pick().await {
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
        self.emit(|| RouterEvent::Refused {
            group,
            error: &error,
        });
        error
    }

    fn emit<'a>(&self, event: impl FnOnce() -> RouterEvent<'a>) {
        self.core.emit(self.route.observer.as_ref(), event);
    }

    /// The place of the reply in the cache; `None` if it is not cached.
    pub(crate) fn slot(&self, call: &Call) -> Option<Slot> {
        let cache = self.core.cache.as_ref()?;
        let scope = Scope {
            group: &self.current.group.name,
            matched: self.matched(),
            call,
            tags: &self.route.tags,
            fallbacks: self.route.fallbacks.as_ref(),
            is_streamed: self.is_streamed,
        };
        cache::slot(cache, &self.route.cache, &scope)
    }

    /// The inputs of a call for embeddings that are cached one by one; `None` for all other calls.
    pub(crate) fn batch(&self, call: &Call) -> Option<Batch> {
        let cache = self.core.cache.as_ref()?;
        let scope = Scope {
            group: &self.current.group.name,
            matched: self.matched(),
            call,
            tags: &self.route.tags,
            fallbacks: self.route.fallbacks.as_ref(),
            is_streamed: false,
        };
        cache::batch(cache, &self.route.cache, &scope, self.core.clock.now())
    }

    /// Whether the holders of the call's claim refused it.
    fn is_denied(&self) -> bool {
        let claim = self.route.claim.as_ref();
        claim.is_some_and(|claim| claim.refusal().is_some())
    }

    /// Charges the claim of a call whose reply comes from the cache, and reports that.
    ///
    /// # Errors
    /// If the holders of the claim refuse the call.
    pub(crate) async fn cached(&self) -> Result<()> {
        if let Some(claim) = &self.route.claim {
            let taken = Box::pin(claim.take(self.core.shared.as_ref())).await;
            taken.map_err(|_| denied())?;
        }
        self.emit(|| RouterEvent::Cached {
            group: &self.current.group.name,
        });
        Ok(())
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What the `*` of the group's name matched.
    pub(crate) fn matched(&self) -> Option<&str> {
        self.current.matched.as_deref()
    }

    /// Whether unsupported parameters are errors.
    pub(crate) fn is_strict(&self) -> bool {
        self.route.is_strict
    }

    /// The end of an attempt that begins now and may take `limit`.
    pub(crate) fn end_of(&self, limit: Option<Duration>) -> Option<Instant> {
        let own = limit.map(after);
        [own, self.deadline].into_iter().flatten().min()
    }
}

/// The name of a group, if it is not the group's own.
fn alias(name: &str, resolved: &Resolved) -> Option<String> {
    (name != resolved.group.name).then(|| name.to_owned())
}

/// Whether a filter stopped the first choice of a reply or a chunk.
fn is_filtered(reply: &Document) -> bool {
    let choices = reply
        .object()
        .ok()
        .and_then(|reply| reply.objects("choices"));
    let first = choices.and_then(|mut choices| choices.next()?.ok());
    let reason = first
        .as_ref()
        .and_then(|choice| choice.str("finish_reason"));
    reason.is_some_and(|reason| reason == "content_filter")
}

/// The failure that such a reply is.
pub(crate) fn filtered() -> Error {
    let message = "a content filter of the upstream stopped the reply";
    Error::new(ErrorKind::ContentFilter, message)
}

pub(crate) fn after(time: Duration) -> Instant {
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
                let mut plan = Plan::new(&core, &call, RouteOptions::default(), false).unwrap();
                let lease = plan.pick_alone().unwrap();
                lease.succeeded(Some(TokenCounts::new(10, 5)));
            };
            // The first call indexes the body and seeds the random numbers of the thread.
            serve();
            let allocated = allocation_counter::measure(serve);
            assert_eq!(allocated.count_total, 0, "{:?}", core.strategy);
        }
    }
}
