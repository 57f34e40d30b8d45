//! The prices of deployments.

use std::collections::HashMap;

use gateway_store::{Money, UsageRecord};
use llm_router::{Deployment, PriceTable, Prices, Router, TokenCounts};

/// The prices of the deployments of a configuration.
#[derive(Debug)]
pub(crate) struct PriceBook {
    /// By the deployment's id.
    deployments: HashMap<String, Prices>,
    /// The most expensive deployment of each model group.
    groups: HashMap<String, Prices>,
    /// The deployments of model groups whose names have a `*`: their prices depend on the model
    /// that the client chooses.
    patterns: HashMap<String, Vec<Deployment>>,
    table: PriceTable,
    /// Resolves the names of clients to model groups.
    router: Router,
}

impl PriceBook {
    pub(crate) fn new(deployments: &[Deployment], router: Router) -> Self {
        let mut book = Self {
            deployments: HashMap::new(),
            groups: HashMap::new(),
            patterns: HashMap::new(),
            table: PriceTable::default(),
            router,
        };
        for deployment in deployments {
            let group = deployment.group.clone();
            let is_pattern = group.contains('*');
            if is_pattern {
                let pattern = book.patterns.entry(group.clone()).or_default();
                pattern.push(deployment.clone());
            }
            let Some(prices) = book.of(deployment) else {
                continue;
            };
            book.deployments.insert(deployment.id.clone(), prices);
            if !is_pattern {
                let highest = book.groups.entry(group).or_insert(prices);
                *highest = higher(*highest, prices);
            }
        }
        book
    }

    /// The prices of a deployment.
    pub(crate) fn of(&self, deployment: &Deployment) -> Option<Prices> {
        deployment.prices_in(&self.table, None)
    }

    /// The cost of a call that a record describes; `None` if the price is not known.
    pub(super) fn cost(&self, record: &UsageRecord, counts: &TokenCounts) -> Option<Money> {
        let prices = self.deployments.get(&record.deployment).copied();
        let prices = prices.or_else(|| self.table.get(&record.provider, &record.model))?;
        cost(&prices, counts)
    }

    /// The cost of a call at the most expensive deployment of the model group that a client's name
    /// of a model stands for; `None` if none of them has a price.
    pub(super) fn highest(&self, model: &str, counts: &TokenCounts) -> Option<Money> {
        if let Some(prices) = self.groups.get(model) {
            return cost(prices, counts);
        }
        let target = self.router.target_of(model)?;
        let Some(deployments) = self.patterns.get(&target.group) else {
            return cost(self.groups.get(&target.group)?, counts);
        };
        let matched = target.matched.as_deref();
        let prices = deployments
            .iter()
            .filter_map(|deployment| deployment.prices_in(&self.table, matched));
        cost(&prices.reduce(higher)?, counts)
    }
}

fn cost(prices: &Prices, counts: &TokenCounts) -> Option<Money> {
    Money::from_dollars(prices.cost(counts)?)
}

fn higher(one: Prices, other: Prices) -> Prices {
    let typical = |prices: Prices| prices.cost(&TokenCounts::new(1000, 250));
    if typical(other) > typical(one) {
        other
    } else {
        one
    }
}
