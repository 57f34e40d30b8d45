use std::fmt;
use std::time::Duration;

use crate::fault::FaultRule;
use crate::limit::Rate;

/// How a simulation behaves; the default answers at once and accepts any key.
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
    /// Port of the simulated Together on 127.0.0.1; 0 takes a free one.
    pub together_port: u16,
    /// Port of the simulated Replicate on 127.0.0.1; 0 takes a free one.
    pub replicate_port: u16,
    /// Port of a second host for Replicate's event streams, as the real ones have it; without one
    /// they are where the rest is.
    pub replicate_stream_port: Option<u16>,
    /// Which API keys are good.
    pub keys: Keys,
    /// How long things take.
    pub timing: Timing,
    /// How much may be asked; by default as much as anybody likes.
    pub limits: Limits,
    /// How streamed answers are cut up.
    pub pace: Pace,
    /// What the models say.
    pub reply: Reply,
    /// Faults from the start; more can be injected while it runs.
    pub faults: Vec<FaultRule>,
    /// What is remembered of the requests seen.
    pub memory: Memory,
}

impl SimOptions {
    /// A simulation that feels alive: tokens come one by one, models boot.
    pub fn lifelike() -> Self {
        Self::default().with_timing(Timing::lifelike())
    }

    /// Listens for Together's clients on this port of 127.0.0.1.
    pub fn with_together_port(mut self, port: u16) -> Self {
        self.together_port = port;
        self
    }

    /// Listens for Replicate's clients on this port of 127.0.0.1.
    pub fn with_replicate_port(mut self, port: u16) -> Self {
        self.replicate_port = port;
        self
    }

    /// Serves Replicate's event streams on another port of 127.0.0.1; 0 takes a free one.
    pub fn with_replicate_stream_port(mut self, port: u16) -> Self {
        self.replicate_stream_port = Some(port);
        self
    }

    /// Accepts these keys.
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    /// Takes this long.
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Allows so much.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Cuts streamed answers up like this.
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Says this.
    pub fn with_reply(mut self, reply: Reply) -> Self {
        self.reply = reply;
        self
    }

    /// Adds a fault that is there from the start.
    pub fn with_fault(mut self, rule: impl Into<FaultRule>) -> Self {
        self.faults.push(rule.into());
        self
    }

    /// Remembers this much.
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
    /// Only these.
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

/// How long things take, on tokio's clock: with time paused, a boot of minutes is tested in
/// milliseconds.
///
/// Every time is reckoned from the request, not from the event before: one late event does not
/// make the next one late.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Timing {
    /// From creating a Replicate prediction to its start, when the model is warm.
    pub queue: Duration,
    /// The same for the first prediction of each model, version or deployment.
    pub boot: Duration,
    /// From a request to its answer's first token; on Replicate, from the prediction's start.
    pub first_token: Duration,
    /// Between two tokens.
    pub token: Duration,
    /// After how long without an event a Replicate event stream is closed, without `done`
    /// (30 seconds there); `None` keeps it open.
    pub stream_idle: Option<Duration>,
    /// How long after the creation of a Replicate prediction its input, output and logs are kept
    /// (one hour there); `None` keeps them.
    pub retention: Option<Duration>,
    /// Keeps these times to well under a millisecond, by a thread of its own, where tokio's timers
    /// are up to 2 ms late. Not for paused time, which does not move the system's clock.
    pub precise: bool,
}

impl Timing {
    /// What a person at a terminal expects to see.
    pub fn lifelike() -> Self {
        Self {
            queue: Duration::from_millis(50),
            boot: Duration::from_millis(1500),
            first_token: Duration::from_millis(150),
            token: Duration::from_millis(15),
            ..Self::default()
        }
    }

    /// Sets the time that a warm model needs before it starts.
    pub fn with_queue(mut self, queue: Duration) -> Self {
        self.queue = queue;
        self
    }

    /// Sets the time that a cold model needs before it starts.
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

    /// Keeps times to well under a millisecond.
    pub fn with_precise(mut self, precise: bool) -> Self {
        self.precise = precise;
        self
    }
}

impl Default for Timing {
    /// No waiting anywhere.
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

/// How much of what each key may ask for; what has no limit is not limited.
///
/// The simulated Together keeps its limits for each key and model, tells where a client stands in
/// the headers `x-ratelimit-*` and `x-tokenlimit-*`, and answers 429 beyond them. The simulated
/// Replicate keeps its limits for each key, and tells in `ratelimit-remaining` and
/// `ratelimit-reset`.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Requests to Together for one model.
    pub together_requests: Option<Rate>,
    /// Tokens of Together's prompts and answers together, of one model.
    pub together_tokens: Option<Rate>,
    /// Predictions created on Replicate.
    pub replicate_creates: Option<Rate>,
    /// Looks at single predictions of Replicate's.
    pub replicate_gets: Option<Rate>,
    /// All other requests to Replicate; event streams are none.
    pub replicate_others: Option<Rate>,
    /// How Replicate's 429 tells when to try again.
    pub replicate_advice: RetryAdvice,
}

impl Limits {
    /// Allows so many requests to Together for each model.
    pub fn with_together_requests(mut self, rate: Rate) -> Self {
        self.together_requests = Some(rate);
        self
    }

    /// Allows so many tokens on Together for each model.
    pub fn with_together_tokens(mut self, rate: Rate) -> Self {
        self.together_tokens = Some(rate);
        self
    }

    /// Allows as much on Replicate as the real one does: each minute 600 predictions created
    /// and 3,000 other requests, as documented, and 60,000 looks at predictions, as recorded.
    pub fn with_replicate_defaults(mut self) -> Self {
        let minute = |amount| Some(Rate::new(amount, Duration::from_secs(60)));
        self.replicate_creates = minute(600);
        self.replicate_gets = minute(60_000);
        self.replicate_others = minute(3000);
        self
    }

    /// Allows so many predictions to be created on Replicate. One at a time is what an account
    /// with little credit has, and what the 429 then says.
    pub fn with_replicate_creates(mut self, rate: Rate) -> Self {
        self.replicate_creates = Some(rate);
        self
    }

    /// Allows so many looks at single predictions of Replicate's.
    pub fn with_replicate_gets(mut self, rate: Rate) -> Self {
        self.replicate_gets = Some(rate);
        self
    }

    /// Allows so many other requests to Replicate.
    pub fn with_replicate_others(mut self, rate: Rate) -> Self {
        self.replicate_others = Some(rate);
        self
    }

    /// Tells like this when to try again.
    pub fn with_replicate_advice(mut self, advice: RetryAdvice) -> Self {
        self.replicate_advice = advice;
        self
    }
}

/// How a 429 of Replicate's tells when to try again; all of them say it in words, too.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RetryAdvice {
    /// The header `Retry-After` with a date.
    Date,
    /// The body's `retry_after`, in seconds, as newer answers have it.
    #[default]
    Field,
    /// The header `Retry-After` with seconds.
    Header,
    /// The words alone: `Your rate limit resets in ~30s.`
    Words,
}

/// How streamed answers are cut up.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Pace {
    /// Tokens in one event; 1 by default.
    pub tokens_per_event: usize,
    /// Cuts the bytes of every body into writes of this size, wherever that falls: in the middle
    /// of a line or of a character. `None` writes one event at a time.
    pub bytes_per_write: Option<usize>,
}

impl Pace {
    /// Puts this many tokens into each event.
    pub fn with_tokens_per_event(mut self, tokens: usize) -> Self {
        self.tokens_per_event = tokens.max(1);
        self
    }

    /// Writes this many bytes at a time.
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

/// What the simulated models say.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub enum Reply {
    /// That this is a simulation, and what the user said; the same question always gets the same
    /// answer.
    #[default]
    Echo,
    /// This text, within the request's limits and stop sequences.
    Text(String),
    /// Exactly these tokens, within the request's limit: for tests of what streams do to text.
    Tokens(Vec<String>),
}

impl Reply {
    /// This text, of whatever length: where it would be very many tokens, they are large ones.
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

/// How much a simulation remembers; the oldest is forgotten first.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Memory {
    /// Requests, with at most 64 MiB of bodies between them.
    pub requests: usize,
    /// Replicate predictions; when all of them are still running, no more are created (429).
    pub predictions: usize,
}

impl Memory {
    /// Remembers this many requests.
    pub fn with_requests(mut self, requests: usize) -> Self {
        self.requests = requests;
        self
    }

    /// Remembers this many predictions.
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
