//! A model group: a public model name and its deployments.

use std::sync::Arc;

use llm_provider::{Capabilities, Capability};

use crate::deployment::State;
use crate::pool::Pool;
use crate::quantile::Latencies;
use crate::queue::Queue;
use crate::route::RouteOptions;

/// The deployments of a model group, by capability.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) queue: Arc<Queue>,
    /// Whether a call's tokens matter: for a limit or a context window.
    pub(crate) counts_tokens: bool,
    has_default_tag: bool,
    /// The times of replies in one piece, if calls are hedged.
    pub(crate) replies: Latencies,
    /// The times up to the first output of streams, if calls are hedged.
    pub(crate) first_outputs: Latencies,
    pools: Vec<(Capability, Arc<Pool>)>,
    /// What every deployment supports.
    common: Capabilities,
}

/// The tag of the deployments that serve calls without tags.
const DEFAULT_TAG: &str = "default";

impl Group {
    /// The capabilities of each provider are read here once, not per call.
    pub(crate) fn new(name: String, queue: Arc<Queue>, states: &[Arc<State>]) -> Self {
        let count = states.len();
        let all = Arc::new(Pool::new(states.iter().cloned()));
        let able = states
            .iter()
            .map(|state| state.deployment.provider.capabilities());
        let able: Vec<Capabilities> = able.collect();
        let pool = |capability| {
            let has = able
                .iter()
                .zip(states)
                .filter(|(able, _)| able.has(capability));
            let able: Vec<_> = has.map(|(_, state)| Arc::clone(state)).collect();
            let pool = match able.len() {
                0 => return None,
                len if len == count => Arc::clone(&all),
                _ => Arc::new(Pool::new(able)),
            };
            Some((capability, pool))
        };
        Self {
            name,
            queue,
            counts_tokens: states.iter().any(|state| {
                let deployment = &state.deployment;
                deployment.limits.tpm.is_some() || deployment.context_window.is_some()
            }),
            has_default_tag: states.iter().any(|state| {
                let mut tags = state.deployment.tags.iter();
                tags.any(|tag| tag == DEFAULT_TAG)
            }),
            replies: Latencies::default(),
            first_outputs: Latencies::default(),
            pools: Capability::ALL.into_iter().filter_map(pool).collect(),
            common: Capabilities::new(
                Capability::ALL
                    .into_iter()
                    .filter(|capability| able.iter().all(|able| able.has(*capability))),
            ),
        }
    }

    /// The tags of a call, of which its deployment must have one.
    pub(crate) fn tags_of(&self, route: &RouteOptions) -> Vec<String> {
        if route.tags.is_empty() && self.has_default_tag {
            return vec![DEFAULT_TAG.to_owned()];
        }
        route.tags.clone()
    }

    /// The deployments that support `capability`; `None` if there are none.
    pub(crate) fn pool(&self, capability: Capability) -> Option<&Arc<Pool>> {
        let mut pools = self.pools.iter();
        let (_, pool) = pools.find(|(able, _)| *able == capability)?;
        Some(pool)
    }

    /// Whether every deployment supports `capability`.
    pub(crate) fn all_support(&self, capability: Capability) -> bool {
        self.common.has(capability)
    }

    /// Everything that at least one deployment supports.
    pub(crate) fn capabilities(&self) -> Capabilities {
        Capabilities::new(self.pools.iter().map(|(capability, _)| *capability))
    }
}
