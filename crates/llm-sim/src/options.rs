use std::fmt;
use std::time::Duration;

use crate::fault::FaultRule;
use crate::limit::Rate;
use crate::script::Script;

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
    pub fn with_together_port(mut self, port: u16) -> Self {
        self.together_port = port;
        self
    }

    /// Sets the port on 127.0.0.1 for Replicate's clients.
    pub fn with_replicate_port(mut self, port: u16) -> Self {
        self.replicate_port = port;
        self
    }

    /// Serves Replicate's event streams on a separate port of 127.0.0.1; 0 picks a free one.
    pub fn with_replicate_stream_port(mut self, port: u16) -> Self {
        self.replicate_stream_port = Some(port);
        self
    }

    /// Sets the accepted keys.
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    /// Sets the delays.
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Sets the rate limits.
    pub fn with_limits(mut self, limits: SimLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how streamed replies are split.
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Sets the reply.
    pub fn with_reply(mut self, reply: SimReply) -> Self {
        self.reply = reply;
        self
    }

    /// Adds a fault that applies from the start.
    pub fn with_fault(mut self, rule: impl Into<FaultRule>) -> Self {
        self.faults.push(rule.into());
        self
    }

    /// Sets how much is remembered.
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

/// The delays of a simulation, on tokio's clock: with paused time, a test boots a model for minutes
/// in milliseconds.
///
/// Every time is relative to the request, not to the previous event, so delays do not add up.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Timing {
    /// From creating a Replicate prediction to its start, if the model is warm.
    pub queue: Duration,
    /// The same for the first prediction of each model, version or deployment.
    pub boot: Duration,
    /// From a request to the first token; on Replicate, from the prediction's start.
    pub first_token: Duration,
    /// Between two tokens.
    pub token: Duration,
    /// The time without an event after which a Replicate event stream is closed without `done` (30
    /// seconds at the real service); `None` keeps it open.
    pub stream_idle: Option<Duration>,
    /// The time after its creation for which a Replicate prediction keeps its input, output and
    /// logs (one hour at the real service); `None` keeps them.
    pub retention: Option<Duration>,
    /// Keeps delays accurate to well under a millisecond with a separate thread; tokio's timers are
    /// up to 2 ms late. Not for paused time, which does not affect the system's clock.
    pub precise: bool,
}

impl Timing {
    /// Delays for interactive use.
    pub fn lifelike() -> Self {
        Self {
            queue: Duration::from_millis(50),
            boot: Duration::from_millis(1500),
            first_token: Duration::from_millis(150),
            token: Duration::from_millis(15),
            ..Self::default()
        }
    }

    /// Sets the time before a warm model starts.
    pub fn with_queue(mut self, queue: Duration) -> Self {
        self.queue = queue;
        self
    }

    /// Sets the time before a cold model starts.
    pub fn with_boot(mut self, boot: Duration) -> Self {
        self.boot = boot;
        self
    }

    /// Sets the time from a request, or a prediction's start, to its first token.
    pub fn with_first_token(mut self, first_token: Duration) -> Self {
        self.first_token = first_token;
        self
    }

    /// Sets the time between two tokens.
    pub fn with_token(mut self, token: Duration) -> Self {
        self.token = token;
        self
    }

    /// Sets how long input, output and logs of Replicate predictions are kept.
    pub fn with_retention(mut self, retention: Option<Duration>) -> Self {
        self.retention = retention;
        self
    }

    /// Sets the idle time after which Replicate event streams are closed.
    pub fn with_stream_idle(mut self, idle: Option<Duration>) -> Self {
        self.stream_idle = idle;
        self
    }

    /// Keeps delays accurate to well under a millisecond.
    pub fn with_precise(mut self, precise: bool) -> Self {
        self.precise = precise;
        self
    }
}

impl Default for Timing {
    /// No delays.
    fn default() -> Self {
        Self {
            queue: Duration::ZERO,
            boot: Duration::ZERO,
            first_token: Duration::ZERO,
            token: Duration::ZERO,
            stream_idle: Some(Duration::from_secs(30)),
            retention: Some(Duration::from_secs(3600)),
            precise: false,
        }
    }
}

/// The rate limits per key; those that are not set do not apply.
///
/// The simulated Together applies its limits to each key and model, reports the state in the
/// headers `x-ratelimit-*` and `x-tokenlimit-*`, and returns 429 beyond them. The simulated
/// Replicate applies its limits to each key, and reports the state in `ratelimit-remaining` and
/// `ratelimit-reset`.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct SimLimits {
    /// Requests to Together for one model.
    pub together_requests: Option<Rate>,
    /// Tokens of Together's prompts and replies together, for one model.
    pub together_tokens: Option<Rate>,
    /// Predictions created on Replicate.
    pub replicate_creates: Option<Rate>,
    /// Reads of single predictions of Replicate.
    pub replicate_gets: Option<Rate>,
    /// All other requests to Replicate; event streams do not count.
    pub replicate_others: Option<Rate>,
    /// The form of the retry advice in Replicate's 429.
    pub replicate_advice: RetryAdvice,
}

impl SimLimits {
    /// Limits the requests to Together for each model.
    pub fn with_together_requests(mut self, rate: Rate) -> Self {
        self.together_requests = Some(rate);
        self
    }

    /// Limits the tokens on Together for each model.
    pub fn with_together_tokens(mut self, rate: Rate) -> Self {
        self.together_tokens = Some(rate);
        self
    }

    /// Sets the limits of the real Replicate: per minute 600 predictions created and 3,000 other
    /// requests, as documented, and 60,000 reads of predictions, as recorded.
    pub fn with_replicate_defaults(mut self) -> Self {
        let minute = |amount| Some(Rate::new(amount, Duration::from_secs(60)));
        self.replicate_creates = minute(600);
        self.replicate_gets = minute(60_000);
        self.replicate_others = minute(3000);
        self
    }

    /// Limits the predictions created on Replicate. An account with little credit may create one at
    /// a time, and the 429 then says so.
    pub fn with_replicate_creates(mut self, rate: Rate) -> Self {
        self.replicate_creates = Some(rate);
        self
    }

    /// Limits the reads of single predictions of Replicate.
    pub fn with_replicate_gets(mut self, rate: Rate) -> Self {
        self.replicate_gets = Some(rate);
        self
    }

    /// Limits the other requests to Replicate.
    pub fn with_replicate_others(mut self, rate: Rate) -> Self {
        self.replicate_others = Some(rate);
        self
    }

    /// Sets the form of the retry advice.
    pub fn with_replicate_advice(mut self, advice: RetryAdvice) -> Self {
        self.replicate_advice = advice;
        self
    }
}

/// The form of the retry advice in Replicate's 429; all of them also contain it as text.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RetryAdvice {
    /// The header `Retry-After` with a date.
    Date,
    /// The body's `retry_after`, in seconds, as in newer responses.
    #[default]
    Field,
    /// The header `Retry-After` with seconds.
    Header,
    /// Text only: `Your rate limit resets in ~30s.`
    Words,
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
    pub fn with_tokens_per_event(mut self, tokens: usize) -> Self {
        self.tokens_per_event = tokens.max(1);
        self
    }

    /// Sets the number of bytes per write.
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

/// The replies of the simulated models.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub enum SimReply {
    /// A note that this is a simulation, and the user's text; the same question always gets the
    /// same reply.
    #[default]
    Echo,
    /// This text, within the request's limits and stop sequences.
    Text(String),
    /// These conversations with Together's models, with tool calls; `Echo` for all else.
    Script(Script),
    /// Exactly these tokens, within the request's limit: for tests of what streams do to text.
    Tokens(Vec<String>),
}

impl SimReply {
    /// This text, of any length. From 10,000 bytes on, its tokens are larger, so that the limit on
    /// the number of tokens does not cut it.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.len() < LARGE_TOKEN {
            return Self::Text(text);
        }
        let (mut tokens, mut rest) = (Vec::new(), text.as_str());
        while !rest.is_empty() {
            let (token, after) = rest.split_at(rest.floor_char_boundary(LARGE_TOKEN));
            tokens.push(token.to_owned());
            rest = after;
        }
        Self::Tokens(tokens)
    }

    /// Exactly these tokens.
    pub fn tokens(tokens: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::Tokens(tokens.into_iter().map(Into::into).collect())
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
    pub fn with_requests(mut self, requests: usize) -> Self {
        self.requests = requests;
        self
    }

    /// Sets the number of remembered predictions.
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

const LARGE_TOKEN: usize = 10_000;
