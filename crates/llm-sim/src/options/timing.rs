use std::time::Duration;

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
    /// Keeps delays accurate to well under a millisecond: with a separate thread, since tokio's timers
    /// are up to 2 ms late, and from when the kernel received a request (on Linux). Not for paused
    /// time, which does not affect the system's clock.
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
    #[must_use]
    pub fn with_queue(mut self, queue: Duration) -> Self {
        self.queue = queue;
        self
    }

    /// Sets the time before a cold model starts.
    #[must_use]
    pub fn with_boot(mut self, boot: Duration) -> Self {
        self.boot = boot;
        self
    }

    /// Sets the time from a request, or a prediction's start, to its first token.
    #[must_use]
    pub fn with_first_token(mut self, first_token: Duration) -> Self {
        self.first_token = first_token;
        self
    }

    /// Sets the time between two tokens.
    #[must_use]
    pub fn with_token(mut self, token: Duration) -> Self {
        self.token = token;
        self
    }

    /// Sets how long input, output and logs of Replicate predictions are kept.
    #[must_use]
    pub fn with_retention(mut self, retention: Option<Duration>) -> Self {
        self.retention = retention;
        self
    }

    /// Sets the idle time after which Replicate event streams are closed.
    #[must_use]
    pub fn with_stream_idle(mut self, idle: Option<Duration>) -> Self {
        self.stream_idle = idle;
        self
    }

    /// Keeps delays accurate to well under a millisecond.
    #[must_use]
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
