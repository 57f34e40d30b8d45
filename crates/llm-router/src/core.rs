//! What all calls of a router share.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::affinity::Affinity;
use crate::breaker::Cooldown;
use crate::cache::ReplyCache;
use crate::clock::Clock;
use crate::deployment::State;
use crate::fallbacks::Fallbacks;
use crate::hedge::HedgeOptions;
use crate::limits::RetryBudget;
use crate::names::Names;
use crate::observe::{DeploymentHealth, RouterEvent, RouterObserver};
use crate::queue::QueueOptions;
use crate::retries::RetryPolicy;
use crate::shared::SharedState;
use crate::strategy::Strategy;
use crate::{PriceTable, TokenCounts};

/// The parts of a router that calls and streams keep alive.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) names: Names,
    /// In the order given.
    pub(crate) states: Vec<Arc<State>>,
    /// The index of the next new deployment.
    pub(crate) next_index: u32,
    pub(crate) strategy: Arc<dyn Strategy>,
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) budget: Arc<RetryBudget>,
    pub(crate) affinity: Option<Arc<Affinity>>,
    pub(crate) observers: Vec<Arc<dyn RouterObserver>>,
    pub(crate) prices: PriceTable,
    pub(crate) cache: Option<Arc<ReplyCache>>,
    /// What other routers share with this one.
    pub(crate) shared: Option<SharedState>,
}

/// The options of a router that apply to each call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) cooldown: Cooldown,
    pub(crate) fallbacks: Fallbacks,
    pub(crate) retries: RetryPolicy,
    pub(crate) queue: Option<QueueOptions>,
    /// The time limit of a call with all its attempts and waits.
    pub(crate) deadline: Option<Duration>,
    /// Whether streams that break are continued by another deployment.
    pub(crate) continues: bool,
    pub(crate) hedge: Option<HedgeOptions>,
    pub(crate) checks_context_window: bool,
    pub(crate) default_priority: u8,
}

impl Core {
    /// Reports an event to the router's observers and to that of the call. The event is built only
    /// if there is an observer.
    pub(crate) fn emit<'a>(
        &self,
        of_call: Option<&Arc<dyn RouterObserver>>,
        event: impl FnOnce() -> RouterEvent<'a>,
    ) {
        if self.observers.is_empty() && of_call.is_none() {
            return;
        }
        let event = event();
        for observer in self.observers.iter().chain(of_call) {
            observer.on_event(&event);
        }
    }

    pub(crate) fn snapshot(&self) -> Vec<DeploymentHealth> {
        let now = self.clock.now();
        let health = |state: &Arc<State>| {
            let (requests_left, tokens_left) = state.left(now);
            let totals = &state.totals;
            let latency = state.mean_latency(now);
            DeploymentHealth {
                group: state.deployment.group.clone(),
                id: state.deployment.id.clone(),
                cooldown: state.breaker.cooldown(now),
                in_flight: state.in_flight(),
                calls: totals.calls.load(Relaxed),
                failures: totals.failures.load(Relaxed),
                latency: (latency > 0.0)
                    .then(|| Duration::try_from_secs_f64(latency / 1e9).unwrap_or_default()),
                counts: TokenCounts {
                    prompt: totals.prompt.load(Relaxed),
                    cached: totals.cached.load(Relaxed),
                    completion: totals.completion.load(Relaxed),
                    reasoning: totals.reasoning.load(Relaxed),
                    run_time: None,
                },
                requests_left,
                tokens_left,
            }
        };
        self.states.iter().map(health).collect()
    }
}
