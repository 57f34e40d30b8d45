//! The prices of deployments.

use std::collections::HashMap;

use gateway_store::{Money, UsageRecord};
use llm_router::{Deployment, PriceTable, Prices, TokenCounts};

/// The prices of the deployments of a configuration.
#[derive(Debug, Default)]
pub(crate) struct PriceBook {
    /// By the deployment's id.
    deployments: HashMap<String, Prices>,
    /// The most expensive deployment of each model group.
    groups: HashMap<String, Prices>,
    /// The most expensive deployment of all.
    highest: Option<Prices>,
    /// For deployments whose clients choose the model.
    table: PriceTable,
}

impl PriceBook {
    pub(crate) fn new(deployments: &[Deployment]) -> Self {
        let mut book = Self::default();
        for deployment in deployments {
            let Some(prices) = book.of(deployment) else {
                continue;
            };
            book.deployments.insert(deployment.id.clone(), prices);
            let group = book.groups.entry(deployment.group.clone());
            let group = group.or_insert(prices);
            *group = higher(*group, prices);
            book.highest = Some(book.highest.map_or(prices, |most| higher(most, prices)));
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

    /// The cost of a call at the most expensive deployment that may serve the model. An alias may
    /// stand for any of them.
    pub(super) fn highest(&self, model: &str, counts: &TokenCounts) -> Option<Money> {
        let prices = self.groups.get(model).or(self.highest.as_ref())?;
        cost(prices, counts)
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
