//! When to try again, and when not.

mod advice;
mod policy;

use std::time::Duration;

pub use self::advice::{advice, should_retry};
pub use self::policy::Policy;

/// How long to wait before trying again: exponential, with full jitter.
///
/// Full jitter (a random time between nothing and the ceiling) spreads clients that failed
/// together better than a jittered fixed delay does.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Backoff {
    /// The ceiling of the first wait.
    pub base: Duration,
    /// The ceiling of every wait, and the longest `retry-after` that is honoured.
    pub cap: Duration,
}

impl Backoff {
    /// Waits that grow from `base` to `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap }
    }

    /// The wait before attempt `attempt`, counted from 0; at least what the upstream asked for.
    pub fn delay(&self, attempt: u32, retry_after: Option<Duration>) -> Duration {
        let ceiling = self.base.saturating_mul(1 << attempt.min(16)).min(self.cap);
        let jittered = ceiling.mul_f64(fastrand::f64());
        retry_after.map_or(jittered, |asked| asked.min(self.cap) + jittered)
    }
}

impl Default for Backoff {
    /// From half a second to eight seconds, as OpenAI's clients wait.
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(8))
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
}
