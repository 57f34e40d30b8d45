//! Which of the deployments that can serve a call gets it.

mod candidate;
mod strategies;

use std::fmt;
use std::sync::Arc;

pub use self::candidate::Candidate;
pub use self::strategies::{
    CostBased, LatencyBased, LeastBusy, PeakEwma, SimpleShuffle, UsageBased,
};

/// Chooses among the deployments of a group that can serve a call.
///
/// The router draws deployments at random, in proportion to their weights, and takes the one with
/// the lowest score. Only those that are healthy and within their limits are scored. A strategy has
/// no state of its own: the state of a deployment is in the [`Candidate`].
///
/// ```
/// use llm_router::{Candidate, Strategy};
///
/// /// Prefers deployments of a region.
/// #[derive(Debug)]
/// struct Near(&'static str);
///
/// impl Strategy for Near {
///     fn name(&self) -> &'static str {
///         "near"
///     }
///
///     fn score(&self, candidate: &Candidate<'_>) -> f64 {
///         let is_near = candidate.deployment().tags.iter().any(|tag| tag == self.0);
///         if is_near { 0.0 } else { 1.0 }
///     }
/// }
/// ```
pub trait Strategy: fmt::Debug + Send + Sync {
    /// The name in configurations and logs.
    fn name(&self) -> &'static str;

    /// The maximum number of deployments to compare; 16 by default. A group that is not larger is
    /// compared as a whole.
    fn sample(&self) -> usize {
        16
    }

    /// The score of a deployment. The lowest is chosen, and among equal ones the weights decide.
    fn score(&self, candidate: &Candidate<'_>) -> f64;
}

/// The strategy of a name, as in LiteLLM's `routing_strategy`; `None` for unknown names.
pub fn strategy(name: &str) -> Option<Arc<dyn Strategy>> {
    let all: [Arc<dyn Strategy>; 6] = [
        Arc::new(PeakEwma),
        Arc::new(SimpleShuffle),
        Arc::new(LeastBusy),
        Arc::new(LatencyBased),
        Arc::new(UsageBased),
        Arc::new(CostBased),
    ];
    all.into_iter().find(|strategy| strategy.name() == name)
}

/// The names that [`strategy`] accepts; the first is the default.
pub const STRATEGIES: &[&str] = &[
    "peak-ewma",
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "usage-based-routing-v2",
    "cost-based-routing",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_strategy() {
        for name in STRATEGIES {
            assert_eq!(strategy(name).unwrap().name(), *name);
        }
        assert!(strategy("fastest").is_none());
    }
}
