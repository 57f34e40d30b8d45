use std::time::Duration;

use crate::target::ServerTarget;
use crate::tokens::Tokenizer;

/// What all runs of an experiment have in common.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// Where requests go.
    pub target: ServerTarget,
    /// A second target that gets every request too.
    pub against: Option<ServerTarget>,
    /// The model asked for.
    pub model: String,
    /// Opens a connection for every request, and counts that as part of it.
    pub new_connections: bool,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long requests under way may take to finish when a run ends.
    pub drain: Duration,
    /// Between two looks at a Replicate prediction that has no stream.
    pub poll_interval: Duration,
    /// A Replicate prediction that waits longer than this to start counts as cold.
    pub cold_after: Duration,
    /// Threads that measure; `None` chooses by the load and the machine.
    pub threads: Option<u32>,
    /// How long it takes until all slots of a closed loop are at work.
    pub ramp_up: Duration,
    /// Ends a run of an open loop when more comes in than goes out.
    pub stop_on_saturation: bool,
    /// Counts tokens where the server does not.
    pub tokenizer: Option<Tokenizer>,
    /// Share of completed requests left out at the beginning and at the end.
    pub warmup_cooldown: (f64, f64),
    /// Dollars per million tokens, in and out.
    pub price_per_million: Option<(f64, f64)>,
}

impl RunSettings {
    /// The defaults for a target and a model.
    pub fn new(target: ServerTarget, model: impl Into<String>) -> Self {
        Self {
            target,
            against: None,
            model: model.into(),
            new_connections: false,
            timeout: Duration::from_secs(600),
            drain: Duration::from_secs(30),
            poll_interval: Duration::from_millis(500),
            cold_after: Duration::from_secs(5),
            threads: None,
            ramp_up: Duration::ZERO,
            stop_on_saturation: false,
            tokenizer: None,
            warmup_cooldown: (0.0, 0.0),
            price_per_million: None,
        }
    }
}
