//! The limits, prices and order of one deployment, in `litellm_params` and `model_info`.

use llm_router::{Deployment, Prices, RateLimits};

use super::groups::Metrics;
use super::reader::{Reader, Section};
use super::routing::Routing;

/// What the router needs to know of a deployment besides its provider and its weight.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    max_parallel_requests: Option<u32>,
    order: Option<u32>,
    context_window: Option<u32>,
    input_price: Option<f64>,
    output_price: Option<f64>,
}

impl Limits {
    /// Takes the keys out of `litellm_params`.
    pub(super) fn read(reader: &mut Reader<'_>, section: &mut Section) -> Self {
        let mut limits = Self {
            max_parallel_requests: reader.take_count(section, "max_parallel_requests", MAX),
            order: reader.take_count(section, "order", MAX),
            ..Self::default()
        };
        limits.read_prices(reader, section);
        limits
    }

    /// Takes the keys out of `model_info`; those of `litellm_params` win.
    pub(super) fn read_info(&mut self, reader: &mut Reader<'_>, section: &mut Section) {
        self.context_window = reader.take_count(section, "max_input_tokens", u32::MAX);
        let before = self.clone();
        self.read_prices(reader, section);
        self.input_price = before.input_price.or(self.input_price);
        self.output_price = before.output_price.or(self.output_price);
    }

    fn read_prices(&mut self, reader: &mut Reader<'_>, section: &mut Section) {
        self.input_price = reader.take_amount(section, "input_cost_per_token");
        self.output_price = reader.take_amount(section, "output_cost_per_token");
    }

    /// Applies them to a deployment.
    pub(super) fn apply(
        &self,
        deployment: Deployment,
        metrics: &Metrics,
        routing: &Routing,
    ) -> Deployment {
        let parallel = self.max_parallel_requests.or(routing.max_parallel_requests);
        let [_, rpm, tpm] = metrics.map(|rate| rate.filter(|_| routing.enforces_rates));
        let limits = RateLimits::default()
            .with_max_parallel_requests(parallel)
            .with_rpm(rpm.map(whole))
            .with_tpm(tpm.map(whole));
        let mut prices = Prices::default();
        prices.input_token = self.input_price;
        prices.output_token = self.output_price;
        deployment
            .with_limits(limits)
            .with_order(self.order.unwrap_or(0))
            .with_context_window(self.context_window.map(u64::from))
            .with_prices((prices != Prices::default()).then_some(prices))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an amount is not negative, and a cast saturates"
)]
fn whole(amount: f64) -> u64 {
    amount as u64
}

/// The keys of `litellm_params` that are read here.
pub(super) const PARAMS: [&str; 4] = [
    "input_cost_per_token",
    "max_parallel_requests",
    "order",
    "output_cost_per_token",
];

const MAX: u32 = 1_000_000;
