//! The prices of models by name.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::Prices;

/// The prices of models, by provider and the upstream's name of the model.
///
/// A model that is not in the table has no known price. The prices of a
/// [`Deployment`](crate::Deployment) win over those of the table.
///
/// ```
/// use llm_router::{PriceTable, Prices, TokenCounts};
///
/// let table = PriceTable::empty().with("acme/large", Prices::new(1e-6, 4e-6));
/// let prices = table.get("acme", "large").unwrap();
/// assert_eq!(prices.cost(&TokenCounts::new(1_000_000, 0)), Some(1.0));
/// assert_eq!(table.get("acme", "small"), None);
/// ```
#[derive(Clone, Debug)]
pub struct PriceTable {
    prices: Arc<BTreeMap<String, Prices>>,
}

/// The built-in table: the prices that LiteLLM lists for models that are billed by tokens.
///
/// They can be out of date: set the prices of a deployment to override them.
impl Default for PriceTable {
    fn default() -> Self {
        BUILT_IN.clone()
    }
}

impl PriceTable {
    /// Creates a table without prices.
    pub fn empty() -> Self {
        Self {
            prices: Arc::default(),
        }
    }

    /// Sets the prices of a model, such as `acme/large`.
    #[must_use]
    pub fn with(mut self, model: impl Into<String>, prices: Prices) -> Self {
        Arc::make_mut(&mut self.prices).insert(model.into(), prices);
        self
    }

    /// The prices of a model of a provider. All versions of a model, such as `owner/name:1f0a`, have
    /// the price of the model.
    pub fn get(&self, provider: &str, model: &str) -> Option<Prices> {
        let name = [provider, "/", model].concat();
        let unversioned = || name.split_once(':').map(|(name, _)| name);
        let found = self.prices.get(&name);
        found.or_else(|| self.prices.get(unversioned()?)).copied()
    }
}

static BUILT_IN: LazyLock<PriceTable> = LazyLock::new(|| {
    let rows = TABLE.lines().skip(1).filter_map(read_row);
    PriceTable {
        prices: Arc::new(rows.collect()),
    }
});

/// Written by `cargo xtask fixtures`.
const TABLE: &str = include_str!("../prices.tsv");

/// Reads a name and the prices of a million tokens: of the prompt, of its cached part, of the reply.
fn read_row(row: &str) -> Option<(String, Prices)> {
    let mut cells = row.split('\t');
    let name = cells.next()?.to_owned();
    let mut price = || Some(cells.next()?.parse::<f64>().ok()? / 1e6);
    let prices = Prices {
        input_token: price(),
        cached_input_token: price(),
        output_token: price(),
        ..Prices::default()
    };
    Some((name, prices))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_built_in_table_has_prices() {
        let table = PriceTable::default();
        assert_eq!(table.prices.len(), TABLE.lines().count() - 1);
        for (name, prices) in &*table.prices {
            let known = [prices.input_token, prices.output_token];
            // The most expensive model costs less than 1,000 dollars per million tokens.
            let is_price = |price: &Option<f64>| price.is_some_and(|price| price < 1e-3);
            assert!(known.iter().all(is_price), "{name}: {prices:?}");
        }
    }

    #[test]
    fn the_versions_of_a_model_have_its_price() {
        let table = PriceTable::empty().with("acme/a/b", Prices::new(1.0, 2.0));
        for (model, is_known) in [("a/b", true), ("a/b:1f0a", true), ("a/bc", false)] {
            assert_eq!(table.get("acme", model).is_some(), is_known, "{model}");
        }
        assert!(table.get("other", "a/b").is_none());
    }
}
