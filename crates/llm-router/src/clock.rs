//! Time as a number, so that it fits into an atomic.

use std::time::Duration;

use tokio::time::Instant;

/// A point in time in nanoseconds, counted from [`ORIGIN`] before the router was created.
pub(crate) type Nanos = u64;

/// Measures time since the creation of the router, or of the one whose state it took over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    created: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            created: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Nanos {
        ORIGIN.saturating_add(nanos(self.created.elapsed()))
    }

    pub(crate) fn instant(&self, at: Nanos) -> Instant {
        let since = at.saturating_sub(ORIGIN).min(FAR);
        self.created + Duration::from_nanos(since)
    }
}

pub(crate) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The time between two points; zero if `to` is before `from`.
pub(crate) fn between(from: Nanos, to: Nanos) -> Duration {
    Duration::from_nanos(to.saturating_sub(from))
}

/// 13 days, so that times before the creation of the router are not negative.
const ORIGIN: Nanos = 1 << 50;
/// A year. Later times are reduced to this.
const FAR: Nanos = 365 * 24 * 3600 * 1_000_000_000;
