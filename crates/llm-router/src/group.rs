//! The deployments of a model group, and the order in which a call tries them.

use std::sync::Arc;

use llm_provider::{Capabilities, Capability};

use crate::Deployment;

/// The deployments of a model group, by capability.
#[derive(Debug)]
pub(crate) struct Group(Vec<(Capability, Arc<Pool>)>);

impl Group {
    /// The capabilities of each provider are read here once, not per call.
    pub(crate) fn new(deployments: Vec<Arc<Deployment>>) -> Self {
        let count = deployments.len();
        let all = Arc::new(Pool::new(deployments.iter().cloned()));
        let pool = |capability| {
            let has = |able: &&Arc<Deployment>| able.provider.capabilities().has(capability);
            let able: Vec<_> = deployments.iter().filter(has).cloned().collect();
            let pool = match able.len() {
                0 => return None,
                len if len == count => Arc::clone(&all),
                _ => Arc::new(Pool::new(able)),
            };
            Some((capability, pool))
        };
        Self(Capabilities::ALL.iter().filter_map(pool).collect())
    }

    /// The deployments that support `capability`; `None` if there are none.
    pub(crate) fn pool(&self, capability: Capability) -> Option<&Arc<Pool>> {
        let mut pools = self.0.iter();
        let (_, pool) = pools.find(|(able, _)| *able == capability)?;
        Some(pool)
    }

    /// Everything that at least one deployment supports.
    pub(crate) fn capabilities(&self) -> Capabilities {
        Capabilities::new(self.0.iter().map(|(capability, _)| *capability))
    }
}

/// The deployments among which a call chooses, prepared so that a choice costs a binary search.
///
/// A deployment is identified by its index: those with a weight come first, those of weight 0 after
/// them, each in the order given.
#[derive(Debug)]
pub(crate) struct Pool {
    deployments: Vec<Arc<Deployment>>,
    /// For each deployment with a weight, the sum of the weights up to and including its own.
    ends: Vec<u64>,
}

impl Pool {
    fn new(deployments: impl IntoIterator<Item = Arc<Deployment>>) -> Self {
        let (mut weighted, spare): (Vec<_>, Vec<_>) = deployments
            .into_iter()
            .partition(|deployment| deployment.weight > 0);
        let mut end = 0;
        let ends = weighted.iter().map(|deployment| {
            end += u64::from(deployment.weight);
            end
        });
        let ends = ends.collect();
        weighted.extend(spare);
        Self {
            deployments: weighted,
            ends,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.deployments.len()
    }

    pub(crate) fn get(&self, place: usize) -> Option<&Arc<Deployment>> {
        self.deployments.get(place)
    }

    /// Draws the next deployment to try, and adds its index to `tried`, which is kept in ascending
    /// order. `None` if all have been tried.
    ///
    /// `random` returns a number below its argument. Each remaining deployment is drawn with a
    /// probability proportional to its weight; those of weight 0 come last, in order.
    pub(crate) fn draw(
        &self,
        tried: &mut Vec<usize>,
        random: impl FnOnce(u64) -> u64,
    ) -> Option<usize> {
        if tried.len() >= self.ends.len() {
            // All with a weight have been tried, and of the others those before this index.
            let place = tried.len();
            return (place < self.len()).then(|| {
                tried.push(place);
                place
            });
        }
        let total = self.ends.last().copied().unwrap_or_default();
        let used: u64 = tried.iter().map(|place| self.weight(*place)).sum();
        // The ticket counts the remaining weights: skip those that were used.
        let mut ticket = random(total - used);
        let mut at = 0;
        for place in tried.iter() {
            if ticket < self.start(*place) {
                break;
            }
            ticket += self.weight(*place);
            at += 1;
        }
        let place = self.ends.partition_point(|end| *end <= ticket);
        tried.insert(at, place);
        Some(place)
    }

    fn weight(&self, place: usize) -> u64 {
        let deployment = self.deployments.get(place);
        deployment.map_or(0, |deployment| u64::from(deployment.weight))
    }

    /// The sum of the weights before this index.
    fn start(&self, place: usize) -> u64 {
        self.ends.get(place).copied().unwrap_or_default() - self.weight(place)
    }
}

#[cfg(test)]
mod tests {
    use llm_provider::Provider;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

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

    fn pool(weights: &[u32]) -> Pool {
        let provider: Arc<dyn Provider> = Arc::new(Idle);
        let deployment = |(index, weight): (usize, &u32)| {
            let model = index.to_string();
            Arc::new(Deployment::new("group", Arc::clone(&provider), model).with_weight(*weight))
        };
        Pool::new(weights.iter().enumerate().map(deployment))
    }

    fn name(pool: &Pool, place: usize) -> usize {
        pool.get(place).unwrap().model.parse().unwrap()
    }

    proptest! {
        #[test]
        fn each_deployment_is_tried_once_and_those_of_weight_0_last(
            weights in vec(0..4_u32, 0..40),
            seed in any::<u64>(),
        ) {
            let pool = pool(&weights);
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut tried, mut order) = (Vec::new(), Vec::new());
            while let Some(place) = pool.draw(&mut tried, |total| random.u64(..total)) {
                order.push(name(&pool, place));
                prop_assert!(tried.is_sorted());
            }
            let weighted = weights.iter().filter(|weight| **weight > 0).count();
            let (first, last) = order.split_at(weighted);
            let mut first = first.to_vec();
            first.sort_unstable();
            let of = |spare: bool| {
                let all = weights.iter().enumerate();
                let chosen = all.filter(move |(_, weight)| (**weight == 0) == spare);
                chosen.map(|(index, _)| index).collect::<Vec<_>>()
            };
            prop_assert_eq!(first, of(false));
            prop_assert_eq!(last, of(true));
        }

        /// All tickets are tried, so this holds exactly and not only on average.
        #[test]
        fn each_choice_among_those_left_is_in_proportion_to_their_weights(
            weights in vec(0..6_u32, 1..12),
            already in vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let pool = pool(&weights);
            let weighted = pool.ends.len();
            let mut tried: Vec<usize> = already
                .iter()
                .filter(|_| weighted > 0)
                .map(|index| index.index(weighted))
                .collect();
            tried.sort_unstable();
            tried.dedup();
            prop_assume!(tried.len() < weighted);

            let mut total = 0;
            pool.draw(&mut tried.clone(), |of| { total = of; 0 });
            let mut drawn = vec![0; pool.len()];
            for ticket in 0..total {
                let place = pool.draw(&mut tried.clone(), |_| ticket).unwrap();
                drawn[place] += 1;
            }
            for (place, drawn) in drawn.into_iter().enumerate() {
                let expected = if tried.contains(&place) { 0 } else { pool.weight(place) };
                prop_assert_eq!(drawn, expected, "place {}", place);
            }
        }
    }
}
