//! Retry advice of upstreams, and the waits between attempts.

mod advice;

use std::time::Duration;

pub use self::advice::{advice, should_retry};

/// The waits between attempts: exponential, with full jitter.
///
/// Full jitter (a random time between zero and the ceiling) spreads the retries of clients that
/// failed together better than a fixed delay with jitter. A wait that the upstream requests is the
/// same for all these clients, so jitter is added to it. The longest possible wait is `max_advice`
/// plus `cap`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Backoff {
    /// The ceiling of the first wait.
    pub base: Duration,
    /// The ceiling of all waits, without the part that the upstream requests.
    pub cap: Duration,
    /// The longest wait that an upstream may request.
    pub max_advice: Duration,
}

impl Backoff {
    /// Creates waits that grow from `base` to `cap`. `cap` also limits the wait that an upstream may
    /// request.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap,
            max_advice: cap,
        }
    }

    /// The wait after attempt `attempt`, counted from 0. It is at least the wait that the upstream
    /// requests, up to `max_advice`.
    pub fn delay(&self, attempt: u32, retry_after: Option<Duration>) -> Duration {
        let ceiling = self.base.saturating_mul(1 << attempt.min(16)).min(self.cap);
        let jittered = ceiling.mul_f64(fastrand::f64());
        retry_after.map_or(jittered, |asked| asked.min(self.max_advice) + jittered)
    }
}

impl Default for Backoff {
    /// From 0.5 s to 8 s, and up to 60 s if the upstream requests it, as OpenAI's clients wait.
    fn default() -> Self {
        Self {
            max_advice: Duration::from_secs(60),
            ..Self::new(Duration::from_millis(500), Duration::from_secs(8))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_stays_between_the_advice_and_the_cap() {
        let backoff = Backoff::default();
        for attempt in 0..40 {
            assert!(backoff.delay(attempt, None) <= backoff.cap);
            let asked = Duration::from_secs(2);
            assert!(backoff.delay(attempt, Some(asked)) >= asked);
        }
    }

    #[test]
    fn the_cap_also_limits_advice() {
        let cap = Duration::from_secs(1);
        let backoff = Backoff::new(Duration::ZERO, cap);
        assert_eq!(backoff.delay(0, Some(Duration::from_secs(60))), cap);
    }
}
