//! What all calls of a router share.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use llm_provider::ErrorKind;

use crate::TokenCounts;
use crate::affinity::Affinity;
use crate::breaker::Cooldown;
use crate::clock::Clock;
use crate::deployment::State;
use crate::fallbacks::Fallbacks;
use crate::limits::RetryBudget;
use crate::names::Names;
use crate::observe::{DeploymentHealth, RouterEvent, RouterObserver};
use crate::queue::QueueOptions;
use crate::retries::RetryPolicy;
use crate::strategy::Strategy;

/// The parts of a router that calls and streams keep alive.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) names: Names,
    /// By index.
    pub(crate) states: Vec<Arc<State>>,
    pub(crate) strategy: Arc<dyn Strategy>,
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) budget: RetryBudget,
    pub(crate) affinity: Option<Affinity>,
    pub(crate) observer: Option<Arc<dyn RouterObserver>>,
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
    pub(crate) checks_context_window: bool,
    pub(crate) default_priority: u8,
}

impl Core {
    /// Reports an event, which is built only if there is an observer.
    pub(crate) fn emit<'a>(&self, event: impl FnOnce() -> RouterEvent<'a>) {
        if let Some(observer) = &self.observer {
            observer.on_event(&event());
        }
    }

    pub(crate) fn cooled(&self, deployment: &str, cause: ErrorKind, time: Duration) {
        tracing::warn!(deployment, ?cause, ?time, "deployment is cooling down");
        self.emit(|| RouterEvent::Cooled {
            deployment,
            cause,
            time,
        });
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
                },
                requests_left,
                tokens_left,
            }
        };
        self.states.iter().map(health).collect()
    }
}
