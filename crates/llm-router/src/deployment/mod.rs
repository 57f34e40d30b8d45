//! A deployment of a model group: its configuration, and its state while the router runs.

mod counts;
mod lease;
mod prices;
mod state;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use llm_provider::{Call, Provider};
use serde_json::{Map, Value};

use crate::PriceTable;

pub use self::counts::TokenCounts;
pub(crate) use self::lease::{Lease, Origin};
pub use self::prices::Prices;
pub(crate) use self::state::{Demand, Permit, Readiness, State};

/// One model of one provider in a model group.
#[derive(Clone)]
#[non_exhaustive]
pub struct Deployment {
    /// The public name, used by clients. One `*` matches any text, such as in `acme/*`.
    pub group: String,
    /// Identifies this deployment in logs and response headers.
    pub id: String,
    /// The provider.
    pub provider: Arc<dyn Provider>,
    /// The model's name at the upstream, without the provider's prefix. A `*` stands for what the
    /// `*` of the group matched.
    pub model: String,
    /// Parameters for calls that do not set them.
    pub defaults: Map<String, Value>,
    /// How often the router draws this deployment, relative to the other weights; the
    /// [`Strategy`](crate::Strategy) compares the deployments drawn. Deployments of weight 0 are tried
    /// only when no other can serve the call, in order.
    pub weight: u32,
    /// Deployments of a higher order are tried only when no deployment of a lower order can serve
    /// the call; 0 by default.
    pub order: u32,
    /// The upstream's limits, which the router obeys.
    pub limits: RateLimits,
    /// The time limits of an attempt.
    pub timeouts: AttemptTimeouts,
    /// Labels, of which a call can require one. If deployments of a group have the tag `default`,
    /// they alone serve the calls without tags.
    pub tags: Vec<String>,
    /// The most tokens of a prompt and its reply, if known.
    pub context_window: Option<u64>,
    /// The parameters with which the model continues a last message of the assistant, such as
    /// `continue_final_message`; `None` if it does not. See
    /// [`RouterBuilder::with_continuation`](crate::RouterBuilder::with_continuation).
    pub prefill: Option<Map<String, Value>>,
    /// Whether unsupported parameters are left out, for calls that are not
    /// [strict](crate::RouteOptions::is_strict); by default, the call says it.
    pub drop_params: Option<bool>,
    /// Parameters of requests that the upstream does not get, such as those that it rejects. They are
    /// left out of calls that are not [strict](crate::RouteOptions::is_strict), and reported as dropped.
    pub excluded_params: Vec<String>,
    /// Whether the model takes files, such as PDF documents, as parts of messages.
    pub takes_files: bool,
    /// A fingerprint of the settings of the provider, such as its key; see
    /// [`RouterBuilder::with_state_of`](crate::RouterBuilder::with_state_of).
    pub fingerprint: Option<u64>,
    /// The prices. Those that are not set are taken from the router's [`PriceTable`].
    pub prices: Option<Prices>,
}

/// The limits of a deployment. Without a value, there is no limit.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct RateLimits {
    /// Requests per minute, in any window of 60 s. A fifth of them may be sent at once.
    pub rpm: Option<u64>,
    /// Tokens per minute, in any window of 60 s. The tokens of a call are estimated before it is
    /// sent and corrected by the usage that the upstream reports.
    pub tpm: Option<u64>,
    /// Calls at the same time.
    pub max_parallel_requests: Option<u32>,
}

impl RateLimits {
    /// Sets the requests per minute.
    #[must_use]
    pub fn with_rpm(mut self, rpm: impl Into<Option<u64>>) -> Self {
        self.rpm = rpm.into();
        self
    }

    /// Sets the tokens per minute.
    #[must_use]
    pub fn with_tpm(mut self, tpm: impl Into<Option<u64>>) -> Self {
        self.tpm = tpm.into();
        self
    }

    /// Sets the calls at the same time.
    #[must_use]
    pub fn with_max_parallel_requests(mut self, calls: impl Into<Option<u32>>) -> Self {
        self.max_parallel_requests = calls.into();
        self
    }
}

/// How long the parts of an attempt may take. Without a value, the provider's own limits apply.
///
/// When one of them is exceeded, the router tries another deployment, unless output has been passed
/// on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct AttemptTimeouts {
    /// A reply in one piece.
    pub total: Option<Duration>,
    /// A stream up to its first output.
    pub first_output: Option<Duration>,
    /// Each wait for an event of a stream after the first output.
    pub idle: Option<Duration>,
}

impl AttemptTimeouts {
    /// Limits a reply in one piece.
    #[must_use]
    pub fn with_total(mut self, total: impl Into<Option<Duration>>) -> Self {
        self.total = total.into();
        self
    }

    /// Limits a stream up to its first output.
    #[must_use]
    pub fn with_first_output(mut self, first_output: impl Into<Option<Duration>>) -> Self {
        self.first_output = first_output.into();
        self
    }

    /// Limits each wait for an event of a stream.
    #[must_use]
    pub fn with_idle(mut self, idle: impl Into<Option<Duration>>) -> Self {
        self.idle = idle.into();
        self
    }
}

impl Deployment {
    /// Creates a deployment of weight 1.
    pub fn new(
        group: impl Into<String>,
        provider: Arc<dyn Provider>,
        model: impl Into<String>,
    ) -> Self {
        let model = model.into();
        Self {
            group: group.into(),
            id: format!("{}/{model}", provider.name()),
            provider,
            model,
            defaults: Map::new(),
            weight: 1,
            order: 0,
            limits: RateLimits::default(),
            timeouts: AttemptTimeouts::default(),
            tags: Vec::new(),
            context_window: None,
            prices: None,
            fingerprint: None,
            prefill: None,
            drop_params: None,
            excluded_params: Vec::new(),
            takes_files: false,
        }
    }

    /// Sets the id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets the weight.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets the order.
    #[must_use]
    pub fn with_order(mut self, order: u32) -> Self {
        self.order = order;
        self
    }

    /// Sets parameters for calls that do not set them.
    #[must_use]
    pub fn with_defaults(mut self, defaults: Map<String, Value>) -> Self {
        self.defaults = defaults;
        self
    }

    /// Sets the upstream's limits.
    #[must_use]
    pub fn with_limits(mut self, limits: RateLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the time limits of an attempt.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: AttemptTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets the labels.
    #[must_use]
    pub fn with_tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the most tokens of a prompt and its reply.
    #[must_use]
    pub fn with_context_window(mut self, tokens: impl Into<Option<u64>>) -> Self {
        self.context_window = tokens.into();
        self
    }

    /// Sets the parameters with which the model continues a last message of the assistant.
    #[must_use]
    pub fn with_prefill(mut self, params: impl Into<Option<Map<String, Value>>>) -> Self {
        self.prefill = params.into();
        self
    }

    /// Sets whether unsupported parameters are left out.
    #[must_use]
    pub fn with_drop_params(mut self, drop_params: impl Into<Option<bool>>) -> Self {
        self.drop_params = drop_params.into();
        self
    }

    /// Sets the parameters of requests that the upstream does not get.
    #[must_use]
    pub fn with_excluded_params(
        mut self,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.excluded_params = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets whether the model takes files as parts of messages.
    #[must_use]
    pub fn with_files(mut self, takes_files: bool) -> Self {
        self.takes_files = takes_files;
        self
    }

    /// Sets the fingerprint of the settings of the provider.
    #[must_use]
    pub fn with_fingerprint(mut self, fingerprint: impl Into<Option<u64>>) -> Self {
        self.fingerprint = fingerprint.into();
        self
    }

    /// Sets the prices.
    #[must_use]
    pub fn with_prices(mut self, prices: impl Into<Option<Prices>>) -> Self {
        self.prices = prices.into();
        self
    }

    /// Adapts a call to this deployment: leaves out excluded parameters, and sets the upstream's model
    /// name and the defaults.
    pub(crate) fn adapt(&self, call: &Call, matched: Option<&str>, is_strict: bool) -> Call {
        let mut call = call.clone();
        for key in self.excluded_params.iter().filter(|_| !is_strict) {
            call.exclude(key);
        }
        match matched {
            Some(matched) if self.is_wildcard() => {
                call.body.set("model", self.model.replacen('*', matched, 1));
            }
            _ => call.body.set("model", &self.model),
        }
        for (key, value) in &self.defaults {
            let synonyms = self.provider.synonyms(key);
            if !synonyms.iter().any(|name| call.body.has(name)) {
                call.body.set_default(key.clone(), value);
            }
        }
        call
    }

    /// Its own prices, completed by those of a table. If clients choose the model, `matched` is what
    /// the `*` of its name stands for.
    pub fn prices_in(&self, table: &PriceTable, matched: Option<&str>) -> Option<Prices> {
        let provider = self.provider.name();
        let listed = match matched {
            Some(matched) if self.is_wildcard() => {
                table.get(provider, &self.model.replacen('*', matched, 1))
            }
            _ => table.get(provider, &self.model),
        };
        match (self.prices, listed) {
            (Some(own), Some(listed)) => Some(own.or(listed)),
            (own, listed) => own.or(listed),
        }
    }

    /// Whether clients choose the upstream's model.
    pub(crate) fn is_wildcard(&self) -> bool {
        self.model.contains('*')
    }
}

/// Shows the names of the default parameters; a value may hold a prompt.
impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let defaults: Vec<&String> = self.defaults.keys().collect();
        f.debug_struct("Deployment")
            .field("group", &self.group)
            .field("id", &self.id)
            .field("provider", &self.provider.name())
            .field("model", &self.model)
            .field("defaults", &defaults)
            .field("weight", &self.weight)
            .field("order", &self.order)
            .field("limits", &self.limits)
            .field("timeouts", &self.timeouts)
            .field("tags", &self.tags)
            .field("context_window", &self.context_window)
            .field("prices", &self.prices)
            .finish()
    }
}
