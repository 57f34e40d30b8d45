//! The deployments of a group that serve one capability, and the choice among them.

use std::sync::Arc;

use fastrand::Rng;

use crate::clock::Nanos;
use crate::deployment::{Demand, Permit, Readiness, State};
use crate::refusal::Refusal;
use crate::{Candidate, Strategy};

/// Deployments in tiers: one of a later tier is used only when no deployment of an earlier tier can
/// serve the call.
#[derive(Debug)]
pub(crate) struct Pool {
    tiers: Vec<Tier>,
    /// The deployments by index, in ascending order.
    by_index: Vec<Arc<State>>,
}

/// Deployments that share the traffic by weight.
#[derive(Debug)]
struct Tier {
    members: Vec<Arc<State>>,
    /// For each deployment, the sum of the weights up to and including its own.
    ends: Vec<u64>,
}

/// What a choice depends on.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) strategy: &'a dyn Strategy,
    pub(crate) demand: &'a Demand,
    /// The indices of the deployments that this call has tried.
    pub(crate) tried: &'a [u32],
    pub(crate) now: Nanos,
}

impl Pool {
    /// Deployments of weight 0 are the last tiers, each of its own, in the order given.
    pub(crate) fn new(members: impl IntoIterator<Item = Arc<State>>) -> Self {
        let (mut weighted, mut spare): (Vec<_>, Vec<_>) = members
            .into_iter()
            .partition(|state| state.deployment.weight > 0);
        weighted.sort_by_key(|state| state.deployment.order);
        spare.sort_by_key(|state| state.deployment.order);
        let mut by_index: Vec<_> = weighted.iter().chain(&spare).cloned().collect();
        by_index.sort_by_key(|state| state.index);
        let is_same = |a: &Arc<State>, b: &Arc<State>| a.deployment.order == b.deployment.order;
        let tiers = weighted.chunk_by(is_same).chain(spare.chunks(1));
        Self {
            tiers: tiers.map(Tier::new).collect(),
            by_index,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_index.len()
    }

    pub(crate) fn get(&self, index: u32) -> Option<&Arc<State>> {
        let found = self
            .by_index
            .binary_search_by_key(&index, |state| state.index);
        self.by_index.get(found.ok()?)
    }

    /// Chooses a deployment and takes what the call holds of it.
    ///
    /// # Errors
    /// Why no deployment can serve the call now.
    pub(crate) fn pick(
        &self,
        choice: &Choice<'_>,
        rng: &mut Rng,
    ) -> Result<(&Arc<State>, Permit), Refusal> {
        for tier in &self.tiers {
            // Another call may take the capacity between the choice and the admission.
            for _ in 0..tier.members.len() {
                let Some(state) = tier.choose(choice, rng) else {
                    break;
                };
                if let Some(permit) = state.admit(choice.demand, choice.now) {
                    return Ok((state, permit));
                }
            }
        }
        Err(self.refusal(choice))
    }

    /// Why no deployment that has not been tried can serve the call now.
    pub(crate) fn refusal(&self, choice: &Choice<'_>) -> Refusal {
        let left = self.tiers.iter().flat_map(|tier| &tier.members);
        let left = left.filter(|state| !choice.is_tried(state));
        Refusal::of(left, choice.demand, choice.now)
    }

    /// The deployments that may serve the call now or later, the best first: of each tier those
    /// that the strategy prefers, then the others by the time at which they are expected to have
    /// room. Only the shared state knows whether they do.
    pub(crate) fn ranked(&self, choice: &Choice<'_>, rng: &mut Rng) -> Vec<Arc<State>> {
        let mut ranked: Vec<Arc<State>> = Vec::new();
        let mut tried = choice.tried.to_vec();
        for tier in &self.tiers {
            for _ in 0..PREFERRED {
                let choice = Choice {
                    tried: &tried,
                    ..*choice
                };
                let Some(state) = tier.choose(&choice, rng) else {
                    break;
                };
                tried.push(state.index);
                ranked.push(Arc::clone(state));
            }
            let others = tier.members.iter().filter_map(|state| {
                let at = match state.readiness(choice.demand, choice.now) {
                    _ if tried.contains(&state.index) => return None,
                    Readiness::Ready => 0,
                    Readiness::At(at) | Readiness::Cooling(at) => at,
                    Readiness::Busy => choice.now,
                    Readiness::TooLarge
                    | Readiness::Overflow
                    | Readiness::CannotContinue
                    | Readiness::Untagged => return None,
                };
                Some((at, state))
            });
            let mut others: Vec<_> = others.collect();
            others.sort_by_key(|(at, _)| *at);
            ranked.extend(others.into_iter().map(|(_, state)| Arc::clone(state)));
            if ranked.len() >= MOST_RANKED {
                ranked.truncate(MOST_RANKED);
                break;
            }
        }
        ranked
    }
}

impl Choice<'_> {
    fn is_tried(&self, state: &State) -> bool {
        self.tried.contains(&state.index)
    }

    fn score(&self, state: &State) -> Option<f64> {
        let is_ready =
            !self.is_tried(state) && state.readiness(self.demand, self.now) == Readiness::Ready;
        is_ready.then(|| self.strategy.score(&Candidate::new(state, self.now)))
    }
}

impl Tier {
    fn new(members: &[Arc<State>]) -> Self {
        let mut end = 0;
        let ends = members.iter().map(|state| {
            end += u64::from(state.deployment.weight.max(1));
            end
        });
        Self {
            ends: ends.collect(),
            members: members.to_vec(),
        }
    }

    /// The best of a sample; if none of the sample can serve the call, the best of all.
    ///
    /// A sample costs the logarithm of the number of deployments. Comparing all is rare: most of
    /// them have to be unable to serve the call.
    fn choose(&self, choice: &Choice<'_>, rng: &mut Rng) -> Option<&Arc<State>> {
        let sample = choice.strategy.sample().max(1);
        if self.members.len() > sample {
            let best = self.best_of_sample(choice, sample, rng);
            if best.is_some() {
                return best;
            }
        }
        self.best_of_all(choice, rng)
    }

    fn best_of_sample(
        &self,
        choice: &Choice<'_>,
        sample: usize,
        rng: &mut Rng,
    ) -> Option<&Arc<State>> {
        let total = self.ends.last().copied()?;
        let mut best: Option<(f64, &Arc<State>)> = None;
        let mut found = 0;
        for _ in 0..sample.saturating_mul(2) + 2 {
            let ticket = rng.u64(..total);
            let place = self.ends.partition_point(|end| *end <= ticket);
            let Some(state) = self.members.get(place) else {
                continue;
            };
            let is_best = best.is_some_and(|(_, best)| Arc::ptr_eq(best, state));
            if is_best {
                continue;
            }
            let Some(score) = choice.score(state) else {
                continue;
            };
            if best.is_none_or(|(lowest, _)| score < lowest) {
                best = Some((score, state));
            }
            found += 1;
            if found == sample {
                break;
            }
        }
        best.map(|(_, state)| state)
    }

    /// Of equal scores, each deployment is chosen in proportion to its weight.
    fn best_of_all(&self, choice: &Choice<'_>, rng: &mut Rng) -> Option<&Arc<State>> {
        let mut best: Option<(f64, &Arc<State>)> = None;
        let mut weights = 0;
        for state in &self.members {
            let Some(score) = choice.score(state) else {
                continue;
            };
            let weight = u64::from(state.deployment.weight.max(1));
            match best {
                Some((lowest, _)) if score > lowest => {}
                Some((lowest, _)) if score == lowest => {
                    weights += weight;
                    if rng.u64(..weights) < weight {
                        best = Some((score, state));
                    }
                }
                _ => {
                    weights = weight;
                    best = Some((score, state));
                }
            }
        }
        best.map(|(_, state)| state)
    }
}

/// The deployments of a tier that the strategy puts in order.
const PREFERRED: usize = 3;
/// The most deployments that one question to the shared state has. In a larger group, those that it
/// reports to be at their limits are ranked last for the next call.
const MOST_RANKED: usize = 32;

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use llm_provider::{Capabilities, Provider};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::strategy::{LeastBusy, PeakEwma, SimpleShuffle, Strategy};
    use crate::{Deployment, RateLimits};

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

    const NOW: Nanos = 1 << 50;

    fn deployment() -> Deployment {
        Deployment::new("group", Arc::new(Idle), "m")
    }

    fn pool(deployments: impl IntoIterator<Item = Deployment>) -> Pool {
        let states = (0..).zip(deployments).map(|(index, deployment)| {
            Arc::new(State::new(deployment, index, Arc::default(), "".into()))
        });
        Pool::new(states)
    }

    fn weighted(weights: &[u32]) -> Pool {
        pool(
            weights
                .iter()
                .map(|weight| deployment().with_weight(*weight)),
        )
    }

    /// The index of the deployment that is picked.
    fn pick(pool: &Pool, strategy: &dyn Strategy, tried: &[u32], rng: &mut Rng) -> Option<u32> {
        let demand = Demand::default();
        let choice = Choice {
            strategy,
            demand: &demand,
            tried,
            now: NOW,
        };
        let (state, permit) = pool.pick(&choice, rng).ok()?;
        state.return_tokens(permit.tokens, 0, NOW);
        state.leave();
        Some(state.index)
    }

    fn strategies() -> [&'static dyn Strategy; 3] {
        [&SimpleShuffle, &PeakEwma, &LeastBusy]
    }

    proptest! {
        #[test]
        fn each_deployment_is_tried_once_and_those_of_weight_0_last(
            weights in vec(0..4_u32, 0..40),
            seed in any::<u64>(),
        ) {
            let pool = weighted(&weights);
            for strategy in strategies() {
                let mut rng = Rng::with_seed(seed);
                let mut tried = Vec::new();
                while let Some(index) = pick(&pool, strategy, &tried, &mut rng) {
                    prop_assert!(!tried.contains(&index));
                    tried.push(index);
                }
                let weighted = weights.iter().filter(|weight| **weight > 0).count();
                let (first, last) = tried.split_at(weighted);
                let mut first = first.to_vec();
                first.sort_unstable();
                let of = |spare: bool| {
                    let all = (0..).zip(&weights);
                    let chosen = all.filter(move |(_, weight)| (**weight == 0) == spare);
                    chosen.map(|(index, _)| index).collect::<Vec<u32>>()
                };
                prop_assert_eq!(first, of(false));
                prop_assert_eq!(last, of(true));
            }
        }
    }

    #[test]
    fn equal_deployments_are_picked_in_proportion_to_their_weights() {
        let weights = [1, 2, 3, 4, 10, 0, 5, 7, 8, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
        let pool = weighted(&weights);
        let tried = [4, 9];
        let left: u32 = weights.iter().sum::<u32>() - 19;
        for strategy in [&SimpleShuffle as &dyn Strategy, &PeakEwma] {
            let mut rng = Rng::with_seed(7);
            let mut counts = [0_u32; 20];
            let picks = 200_000;
            for _ in 0..picks {
                let index = pick(&pool, strategy, &tried, &mut rng).unwrap();
                counts[index as usize] += 1;
            }
            for (index, (count, weight)) in counts.into_iter().zip(weights).enumerate() {
                let is_tried = index == 4 || index == 9;
                let expected = if is_tried { 0 } else { picks * weight / left };
                // Ten standard deviations.
                let allowed = 10.0 * f64::from(expected).sqrt();
                let difference = f64::from(count.abs_diff(expected));
                assert!(
                    difference <= allowed,
                    "{strategy:?} {index}: {count} of {expected}"
                );
            }
        }
    }

    #[test]
    fn a_higher_order_waits_for_the_lower_ones() {
        let orders = [2, 0, 1, 0];
        let pool = pool(orders.map(|order| deployment().with_order(order)));
        let mut rng = Rng::with_seed(1);
        let mut tried = Vec::new();
        while let Some(index) = pick(&pool, &PeakEwma, &tried, &mut rng) {
            tried.push(index);
        }
        let order: Vec<u32> = tried.iter().map(|index| orders[*index as usize]).collect();
        assert_eq!(order, [0, 0, 1, 2]);
    }

    #[test]
    fn a_full_deployment_is_passed_over_and_left_alone() {
        let full = deployment().with_limits(RateLimits::default().with_max_parallel_requests(1));
        let pool = pool((0..50).map(|_| full.clone()));
        let demand = Demand::default();
        let choice = Choice {
            strategy: &PeakEwma,
            demand: &demand,
            tried: &[],
            now: NOW,
        };
        let mut rng = Rng::with_seed(3);
        for _ in 0..50 {
            assert!(pool.pick(&choice, &mut rng).is_ok());
        }
        assert!(pool.pick(&choice, &mut rng).unwrap_err().is_temporary());
    }
}
