//! The limits, prices and order of one deployment, in `litellm_params` and `model_info`.

use llm_provider::ValueKind;
use llm_router::{Deployment, Prices, RateLimits};
use serde_json::{Map, Value};

use super::groups::Metrics;
use super::names::quoted;
use super::param_keys::SET_BY_REQUESTS;
use super::reader::{Reader, Section};
use super::routing::{Routing, read_names};
use super::yaml::Entry;

/// What the router needs to know of a deployment besides its provider and its weight.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    max_parallel_requests: Option<u32>,
    order: Option<u32>,
    context_window: Option<u32>,
    prices: Prices,
    tags: Vec<String>,
    prefill: Option<Map<String, Value>>,
    takes_files: bool,
    drop_params: Option<bool>,
    excluded_params: Vec<String>,
}

impl Limits {
    /// Takes the keys out of `litellm_params`.
    pub(super) fn read(reader: &mut Reader<'_>, section: &mut Section) -> Self {
        let mut limits = Self {
            max_parallel_requests: reader.take_count(section, "max_parallel_requests", MAX),
            order: reader.take_count(section, "order", MAX),
            drop_params: reader.take_bool(section, "drop_params"),
            ..Self::default()
        };
        if let Some(entry) = reader.take(section, "tags") {
            limits.tags = read_names(reader, &entry.key, entry.value);
        }
        if let Some(entry) = reader.take(section, "additional_drop_params") {
            limits.excluded_params = read_excluded(reader, entry);
        }
        limits.prices = read_prices(reader, section);
        limits
    }

    /// Takes the keys out of `model_info`; those of `litellm_params` win.
    pub(super) fn read_info(&mut self, reader: &mut Reader<'_>, section: &mut Section) {
        if reader.take_bool(section, "supports_assistant_prefill") == Some(true) {
            self.prefill = Some(Map::new());
        }
        if let Some(entry) = reader.take(section, "prefill_params")
            && let Some(Value::Object(params)) = reader.value(&entry, ValueKind::Map)
        {
            self.prefill = Some(params);
        }
        self.takes_files = reader.take_bool(section, "supports_pdf_input") == Some(true);
        self.context_window = reader.take_count(section, "max_input_tokens", u32::MAX);
        self.prices = self.prices.or(read_prices(reader, section));
    }

    /// Sets prices that are not set.
    pub(super) fn add_prices(&mut self, prices: Prices) {
        self.prices = self.prices.or(prices);
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
        let prices = Some(self.prices).filter(|prices| *prices != Prices::default());
        deployment
            .with_limits(limits)
            .with_order(self.order.unwrap_or(0))
            .with_context_window(self.context_window.map(u64::from))
            .with_prices(prices)
            .with_tags(&self.tags)
            .with_prefill(self.prefill.clone())
            .with_files(self.takes_files)
            .with_drop_params(self.drop_params)
            .with_excluded_params(&self.excluded_params)
    }
}

/// Reads the names of parameters that the upstream does not get.
fn read_excluded(reader: &mut Reader<'_>, entry: Entry) -> Vec<String> {
    let at = entry.value.at;
    let mut names = read_names(reader, &entry.key, entry.value);
    names.retain(|name| {
        let quoted = quoted(name);
        if SET_BY_REQUESTS.contains(&name.as_str()) {
            reader.error(at, format!("{quoted} cannot be left out of a request"));
        } else if name.contains(['.', '[']) {
            let message =
                format!("{quoted} is inside of a parameter, is not supported and is ignored");
            reader.warn(at, message, "name the whole parameter".to_owned());
        } else {
            return true;
        }
        false
    });
    names
}

fn read_prices(reader: &mut Reader<'_>, section: &mut Section) -> Prices {
    let mut price = |key| reader.take_amount(section, key);
    let mut prices = Prices::default();
    prices.input_token = price("input_cost_per_token");
    prices.cached_input_token = price("cache_read_input_token_cost");
    prices.output_token = price("output_cost_per_token");
    prices.request = price("input_cost_per_request");
    let seconds = [
        price("input_cost_per_second"),
        price("output_cost_per_second"),
    ];
    // LiteLLM adds them up.
    prices.second = seconds
        .into_iter()
        .flatten()
        .reduce(|one, other| one + other);
    prices
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
pub(super) const PARAMS: [(&str, ValueKind); 11] = [
    ("additional_drop_params", ValueKind::List),
    ("cache_read_input_token_cost", ValueKind::Number),
    ("drop_params", ValueKind::Bool),
    ("input_cost_per_request", ValueKind::Number),
    ("input_cost_per_second", ValueKind::Number),
    ("input_cost_per_token", ValueKind::Number),
    ("max_parallel_requests", ValueKind::Number),
    ("order", ValueKind::Number),
    ("output_cost_per_second", ValueKind::Number),
    ("output_cost_per_token", ValueKind::Number),
    ("tags", ValueKind::List),
];

const MAX: u32 = 1_000_000;
