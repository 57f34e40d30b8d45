use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;

/// When a simulated upstream did what for one request, by its own clock: the truth that a
/// benchmark's measurements can be held against.
///
/// All times count from the Unix epoch and come from one monotonic clock, so that differences
/// hold to the microsecond.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Times {
    /// The request had been read whole. [`Timing`](crate::Timing) counts from here.
    pub received: Duration,
    /// Status and headers were handed to the connection.
    pub answered: Option<Duration>,
    /// The events of a streamed answer.
    pub writes: Vec<Write>,
    /// Nothing of the answer was left to be sent.
    pub ended: Option<Duration>,
    /// How it ended, if it did.
    pub outcome: Outcome,
}

impl Times {
    /// From the request to the first event with tokens in it.
    pub fn first_token(&self) -> Option<Duration> {
        Some(self.tokens().next()?.at.saturating_sub(self.received))
    }

    /// The events that have tokens in them: not the first chunk of a role, not the last of usage.
    pub fn tokens(&self) -> impl Iterator<Item = &Write> {
        self.writes.iter().filter(|write| write.tokens > 0)
    }
}

/// One event of a streamed answer.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Write {
    /// It was handed to the connection, which writes it at once: no client can have seen it
    /// before.
    pub at: Duration,
    /// When it should have been, by [`Timing`](crate::Timing); the difference is the simulation's
    /// own lateness, which does not add up from one event to the next.
    pub due: Duration,
    /// The answer's tokens in it.
    pub tokens: usize,
}

/// How a request ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Outcome {
    /// It has not ended.
    #[default]
    Running,
    /// The whole answer was handed to the connection.
    Finished,
    /// The client left before that.
    Abandoned,
    /// A fault broke the connection.
    Broken,
}

impl Outcome {
    /// As the control interface writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Abandoned => "abandoned",
            Self::Broken => "broken",
        }
    }
}

/// How many requests of one upstream began, and how they ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RequestCounts {
    /// Requests whose head arrived.
    pub started: u64,
    /// [`Outcome::Finished`].
    pub finished: u64,
    /// [`Outcome::Abandoned`].
    pub abandoned: u64,
    /// [`Outcome::Broken`].
    pub broken: u64,
}

impl RequestCounts {
    /// Requests that are being answered; a stream counts until its end.
    pub fn running(&self) -> u64 {
        self.started - self.finished - self.abandoned - self.broken
    }

    pub(crate) fn end(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Running => {}
            Outcome::Finished => self.finished += 1,
            Outcome::Abandoned => self.abandoned += 1,
            Outcome::Broken => self.broken += 1,
        }
    }
}

/// [`Times`] in the making.
#[derive(Debug)]
pub(crate) struct Trace {
    clock: Clock,
    times: Mutex<Times>,
    /// The writes of all traces that are alive, for whoever keeps them within bounds.
    kept: Arc<AtomicUsize>,
}

impl Trace {
    pub(crate) fn new(clock: &Clock, received: Instant, kept: &Arc<AtomicUsize>) -> Self {
        let times = Times {
            received: clock.wall(received),
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

    pub(crate) fn ended(&self, outcome: Outcome) {
        let mut times = self.times();
        times.ended = Some(self.clock.wall(Instant::now()));
        times.outcome = outcome;
    }

    pub(crate) fn look(&self) -> Times {
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
