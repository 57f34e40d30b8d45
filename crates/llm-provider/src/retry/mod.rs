//! When to try again, and when not.

mod advice;

use std::time::Duration;

pub use self::advice::{advice, should_retry};

/// How long to wait before trying again: exponential, with full jitter.
///
/// Full jitter (a random time between nothing and the ceiling) spreads clients that failed
/// together better than a jittered fixed delay does. Where the upstream asks for a wait, jitter
/// comes on top of it, since all clients that failed together were asked for the same: the longest
/// wait of all is `max_advice` and `cap` together.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Backoff {
    /// The ceiling of the first wait.
    pub base: Duration,
    /// The ceiling of every wait that the upstream did not ask for.
    pub cap: Duration,
    /// The longest wait that an upstream may ask for.
    pub max_advice: Duration,
}

impl Backoff {
    /// Waits that grow from `base` to `cap`, which bounds what an upstream asks for, too.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap,
            max_advice: cap,
        }
    }

    /// The wait before attempt `attempt`, counted from 0; at least what the upstream asked for,
    /// up to `max_advice`.
    pub fn delay(&self, attempt: u32, retry_after: Option<Duration>) -> Duration {
        let ceiling = self.base.saturating_mul(1 << attempt.min(16)).min(self.cap);
        let jittered = ceiling.mul_f64(fastrand::f64());
        retry_after.map_or(jittered, |asked| asked.min(self.max_advice) + jittered)
    }
}

impl Default for Backoff {
    /// From half a second to eight seconds, and up to a minute where the upstream asks for it, as
    /// OpenAI's clients wait.
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
    fn the_cap_bounds_advice_too() {
        let cap = Duration::from_secs(1);
        let backoff = Backoff::new(Duration::ZERO, cap);
        assert_eq!(backoff.delay(0, Some(Duration::from_secs(60))), cap);
    }
}
