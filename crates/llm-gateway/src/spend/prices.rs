//! The prices of deployments.

use std::collections::HashMap;

use gateway_store::{Money, UsageRecord};
use llm_router::{Deployment, PriceTable, Prices, Router, TokenCounts};

/// The prices of the deployments of a configuration.
#[derive(Debug)]
pub(crate) struct PriceBook {
    /// By the deployment's id.
    deployments: HashMap<String, Prices>,
    /// The provider and the upstream's name of the model, by the deployment's id.
    models: HashMap<String, (&'static str, String)>,
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
            models: HashMap::new(),
            groups: HashMap::new(),
            patterns: HashMap::new(),
            table: PriceTable::default(),
            router,
        };
        for deployment in deployments {
            let group = deployment.group.clone();
            let model = (deployment.provider.name(), deployment.model.clone());
            book.models.insert(deployment.id.clone(), model);
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

    /// Names the deployment of a call without a reply in its record.
    pub(super) fn name(&self, record: &mut UsageRecord, deployment: &str) {
        record.deployment.push_str(deployment);
        let Some((provider, model)) = self.models.get(deployment) else {
            return;
        };
        if record.provider.is_empty() {
            record.provider.push_str(provider);
        }
        if record.model.is_empty() {
            let target = self.router.target_of(&record.model_group);
            let matched = target.and_then(|target| target.matched);
            let model = model.replacen('*', matched.as_deref().unwrap_or("*"), 1);
            record.model.push_str(&model);
        }
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
