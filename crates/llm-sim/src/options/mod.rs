//! The options of a simulation.

mod limits;
mod reply;
mod timing;

use std::fmt;

use crate::fault::FaultRule;

pub use self::limits::{RetryAdvice, SimLimits};
pub use self::reply::SimReply;
pub use self::timing::Timing;

/// The options of a simulation. By default, it replies immediately and accepts any key.
///
/// ```
/// use std::time::Duration;
/// use llm_sim::{SimOptions, Timing};
///
/// let options = SimOptions::default()
///     .with_together_port(8001)
///     .with_timing(Timing::default().with_token(Duration::from_millis(5)));
/// assert_eq!(options.timing.token, Duration::from_millis(5));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct SimOptions {
    /// Port of the simulated Together on 127.0.0.1; 0 picks a free one.
    pub together_port: u16,
    /// Port of the simulated Replicate on 127.0.0.1; 0 picks a free one.
    pub replicate_port: u16,
    /// Port of a separate host for Replicate's event streams, as at the real service; without it,
    /// they are on the same host as the API.
    pub replicate_stream_port: Option<u16>,
    /// The accepted API keys.
    pub keys: Keys,
    /// The delays.
    pub timing: Timing,
    /// The rate limits; none by default.
    pub limits: SimLimits,
    /// How streamed replies are split.
    pub pace: Pace,
    /// The replies of the models.
    pub reply: SimReply,
    /// The faults at the start; more can be injected later.
    pub faults: Vec<FaultRule>,
    /// How much is remembered.
    pub memory: Memory,
}

impl SimOptions {
    /// Options for demos: tokens arrive one by one, and models boot.
    pub fn lifelike() -> Self {
        Self::default().with_timing(Timing::lifelike())
    }

    /// Sets the port on 127.0.0.1 for Together's clients.
    #[must_use]
    pub fn with_together_port(mut self, port: u16) -> Self {
        self.together_port = port;
        self
    }

    /// Sets the port on 127.0.0.1 for Replicate's clients.
    #[must_use]
    pub fn with_replicate_port(mut self, port: u16) -> Self {
        self.replicate_port = port;
        self
    }

    /// Serves Replicate's event streams on a separate port of 127.0.0.1; 0 picks a free one.
    #[must_use]
    pub fn with_replicate_stream_port(mut self, port: u16) -> Self {
        self.replicate_stream_port = Some(port);
        self
    }

    /// Sets the accepted keys.
    #[must_use]
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    /// Sets the delays.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Sets the rate limits.
    #[must_use]
    pub fn with_limits(mut self, limits: SimLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how streamed replies are split.
    #[must_use]
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Sets the reply.
    #[must_use]
    pub fn with_reply(mut self, reply: SimReply) -> Self {
        self.reply = reply;
        self
    }

    /// Adds a fault that applies from the start.
    #[must_use]
    pub fn with_fault(mut self, rule: impl Into<FaultRule>) -> Self {
        self.faults.push(rule.into());
        self
    }

    /// Sets how much is remembered.
    #[must_use]
    pub fn with_memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }
}

/// Which API keys a simulation accepts.
#[non_exhaustive]
#[derive(Clone, Default)]
pub enum Keys {
    /// Every key that is not blank and does not start with `invalid`.
    #[default]
    Any,
    /// Only these keys.
    Only(Vec<String>),
}

impl Keys {
    pub(crate) fn accept(&self, key: &str) -> bool {
        match self {
            Self::Any => !key.is_empty() && !key.starts_with("invalid"),
            Self::Only(keys) => keys.iter().any(|good| good == key),
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("Any"),
            Self::Only(keys) => write!(f, "Only({} keys)", keys.len()),
        }
    }
}

/// How streamed replies are split.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Pace {
    /// The number of tokens per event; 1 by default.
    pub tokens_per_event: usize,
    /// Splits the bytes of every body into writes of this size, even in the middle of a line or a
    /// character. `None` writes one event at a time.
    pub bytes_per_write: Option<usize>,
}

impl Pace {
    /// Sets the number of tokens per event.
    #[must_use]
    pub fn with_tokens_per_event(mut self, tokens: usize) -> Self {
        self.tokens_per_event = tokens.max(1);
        self
    }

    /// Sets the number of bytes per write.
    #[must_use]
    pub fn with_bytes_per_write(mut self, bytes: usize) -> Self {
        self.bytes_per_write = Some(bytes.max(1));
        self
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            tokens_per_event: 1,
            bytes_per_write: None,
        }
    }
}

/// How much a simulation remembers; the oldest entries are forgotten first.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Memory {
    /// The number of requests, with at most 64 MiB of bodies in total.
    pub requests: usize,
    /// The number of Replicate predictions; if all of them are running, no more are created (429).
    pub predictions: usize,
}

impl Memory {
    /// Sets the number of remembered requests.
    #[must_use]
    pub fn with_requests(mut self, requests: usize) -> Self {
        self.requests = requests;
        self
    }

    /// Sets the number of remembered predictions.
    #[must_use]
    pub fn with_predictions(mut self, predictions: usize) -> Self {
        self.predictions = predictions;
        self
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            requests: 4096,
            predictions: 10_000,
        }
    }
}
