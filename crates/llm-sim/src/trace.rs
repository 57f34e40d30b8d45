use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;

/// The times at which a simulated upstream processed one request, by its own clock: the ground
/// truth for a benchmark's measurements.
///
/// All times count from the Unix epoch and come from one monotonic clock, so that differences are
/// accurate to the microsecond.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Times {
    /// The head of the request was read, or, with [`Timing::precise`](crate::Timing::precise), had
    /// arrived at the kernel. From here on, the request is in flight.
    pub begun: Duration,
    /// The request was read completely, or, with [`Timing::precise`](crate::Timing::precise), had arrived
    /// at the kernel. [`Timing`](crate::Timing) counts from here.
    pub received: Duration,
    /// Status and headers were passed to the connection.
    pub answered: Option<Duration>,
    /// The events of a streamed response.
    pub writes: Vec<Write>,
    /// The response was sent completely.
    pub ended: Option<Duration>,
    /// The outcome, if it has ended.
    pub outcome: RequestOutcome,
    /// The usage of the reply, once it is generated. A response that a fault replaces, or that ends
    /// with an error event, has none; one that a fault cuts has the usage of the whole reply.
    pub usage: Option<Usage>,
}

/// The tokens that a simulated upstream counts for one reply.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// The tokens of the prompt.
    pub prompt: usize,
    /// The tokens of the reply, including reasoning.
    pub completion: usize,
}

impl Times {
    /// From the request to the first event with tokens.
    pub fn first_token(&self) -> Option<Duration> {
        Some(self.tokens().next()?.at.saturating_sub(self.received))
    }

    /// The events with tokens: not the first chunk with a role, not the last one with usage.
    pub fn tokens(&self) -> impl Iterator<Item = &Write> {
        self.writes.iter().filter(|write| write.tokens > 0)
    }
}

/// One event of a streamed response.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Write {
    /// The time at which it was passed to the connection, which writes it immediately: no client
    /// can have received it earlier.
    pub at: Duration,
    /// The time at which it was due by [`Timing`](crate::Timing). The difference is the lateness of
    /// the simulation, which does not add up over events.
    pub due: Duration,
    /// The number of output tokens in it.
    pub tokens: usize,
}

/// The outcome of a request.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RequestOutcome {
    /// It has not ended.
    #[default]
    Running,
    /// The complete response was passed to the connection.
    Finished,
    /// The client disconnected before that.
    Abandoned,
    /// A fault broke the connection.
    Broken,
}

impl RequestOutcome {
    /// The form of the control interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Abandoned => "abandoned",
            Self::Broken => "broken",
        }
    }
}

/// The number of requests of one upstream, by outcome.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RequestCounts {
    /// Requests whose head was received.
    pub started: u64,
    /// [`RequestOutcome::Finished`].
    pub finished: u64,
    /// [`RequestOutcome::Abandoned`].
    pub abandoned: u64,
    /// [`RequestOutcome::Broken`].
    pub broken: u64,
}

impl RequestCounts {
    /// Requests in progress; a stream counts until its end.
    pub fn running(&self) -> u64 {
        self.started - self.finished - self.abandoned - self.broken
    }

    pub(crate) fn end(&mut self, outcome: RequestOutcome) {
        match outcome {
            RequestOutcome::Running => {}
            RequestOutcome::Finished => self.finished += 1,
            RequestOutcome::Abandoned => self.abandoned += 1,
            RequestOutcome::Broken => self.broken += 1,
        }
    }
}

/// When the parts of a request were received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) head: Instant,
    pub(crate) body: Instant,
}

/// [`Times`] under construction.
#[derive(Debug)]
pub(crate) struct Trace {
    clock: Clock,
    times: Mutex<Times>,
    /// The number of writes of all live traces, for limiting them.
    kept: Arc<AtomicUsize>,
}

impl Trace {
    pub(crate) fn new(clock: &Clock, received: Received, kept: &Arc<AtomicUsize>) -> Self {
        let times = Times {
            begun: clock.wall(received.head),
            received: clock.wall(received.body),
            ..Times::default()
        };
        Self {
            clock: clock.clone(),
            times: Mutex::new(times),
            kept: Arc::clone(kept),
        }
    }

    pub(crate) fn answered(&self) {
        self.times().answered = Some(self.clock.wall(Instant::now()));
    }

    pub(crate) fn wrote(&self, at: Instant, due: Instant, tokens: usize) {
        let write = Write {
            at: self.clock.wall(at),
            due: self.clock.wall(due),
            tokens,
        };
        self.times().writes.push(write);
        self.kept.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counted(&self, prompt: usize, completion: usize) {
        self.times().usage = Some(Usage { prompt, completion });
    }

    pub(crate) fn ended(&self, outcome: RequestOutcome) {
        let mut times = self.times();
        times.ended = Some(self.clock.wall(Instant::now()));
        times.outcome = outcome;
    }

    pub(crate) fn snapshot(&self) -> Times {
        self.times().clone()
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let writes = self.times().writes.len();
        self.kept.fetch_sub(writes, Ordering::Relaxed);
    }
}
