use std::time::Duration;

use crate::client::TlsTrust;
use crate::run::scrape::MetricsSource;
use crate::target::ServerTarget;
use crate::tokens::Tokenizer;

/// The settings that all runs of an experiment share.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// The target.
    pub target: ServerTarget,
    /// Its weight, if there are others.
    pub weight: f64,
    /// Other targets with their weights, above zero. A conversation and a job stay at one target.
    pub others: Vec<(ServerTarget, f64)>,
    /// A second target that receives every request, too.
    pub against: Option<ServerTarget>,
    /// Servers whose metrics are read during a run.
    pub metrics: Vec<MetricsSource>,
    /// How often they are read.
    pub metrics_interval: Duration,
    /// The accepted certificates.
    pub tls: TlsTrust,
    /// The model.
    pub model: String,
    /// Whether every request opens its own connection, whose time then counts.
    pub new_connections: bool,
    /// The timeout of a response.
    pub timeout: Duration,
    /// How long running requests may take to finish when a run ends.
    pub drain: Duration,
    /// The poll interval of a Replicate prediction without a stream.
    pub poll_interval: Duration,
    /// A Replicate prediction that waits longer than this counts as a cold boot.
    pub cold_after: Duration,
    /// How often a request is sent again after status 429, at the time that the server names. The
    /// waits are a part of the request's latencies.
    pub rate_limit_retries: u32,
    /// Measuring threads; `None` chooses by the load and the machine.
    pub threads: Option<u32>,
    /// The time until all slots of a closed loop are active.
    pub ramp_up: Duration,
    /// Whether an open loop ends when the server cannot keep up.
    pub stop_on_saturation: bool,
    /// Counts tokens when the server does not.
    pub tokenizer: Option<Tokenizer>,
    /// Shares of completed requests excluded at the beginning and at the end.
    pub warmup_cooldown: (f64, f64),
    /// Dollars per million input tokens and per million output tokens.
    pub price_per_million: Option<(f64, f64)>,
}

impl RunSettings {
    /// The defaults for a target and a model.
    pub fn new(target: ServerTarget, model: impl Into<String>) -> Self {
        Self {
            target,
            weight: 1.0,
            others: Vec::new(),
            against: None,
            metrics: Vec::new(),
            metrics_interval: Duration::from_secs(1),
            tls: TlsTrust::default(),
            model: model.into(),
            new_connections: false,
            timeout: Duration::from_secs(600),
            drain: Duration::from_secs(30),
            poll_interval: Duration::from_millis(500),
            cold_after: Duration::from_secs(5),
            rate_limit_retries: 0,
            threads: None,
            ramp_up: Duration::ZERO,
            stop_on_saturation: false,
            tokenizer: None,
            warmup_cooldown: (0.0, 0.0),
            price_per_million: None,
        }
    }
}
