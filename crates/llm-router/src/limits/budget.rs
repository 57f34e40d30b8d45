use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Limits additional attempts to a share of the calls, so that an outage is not amplified.
///
/// Each call adds half an attempt; up to a hundred are saved. A router that fails over for at
/// most every second call never reaches the limit.
#[derive(Debug)]
pub(crate) struct RetryBudget(AtomicU64);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicU64::new(MOST))
    }
}

impl RetryBudget {
    /// Adds the share of a call.
    pub(crate) fn deposit(&self) {
        // Without failures the budget is full, and nothing is written.
        if self.0.load(Relaxed) < MOST {
            let add = |saved: u64| Some((saved + PER_CALL).min(MOST));
            let _ = self.0.fetch_update(Relaxed, Relaxed, add);
        }
    }

    /// Takes an additional attempt; `false` if none is left.
    pub(crate) fn withdraw(&self) -> bool {
        let take = |saved: u64| saved.checked_sub(PER_ATTEMPT);
        self.0.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    /// Returns an additional attempt that is not made.
    pub(crate) fn put_back(&self) {
        let add = |saved: u64| Some((saved + PER_ATTEMPT).min(MOST));
        let _ = self.0.fetch_update(Relaxed, Relaxed, add);
    }
}

const PER_ATTEMPT: u64 = 2;
const PER_CALL: u64 = 1;
const MOST: u64 = 100 * PER_ATTEMPT;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_an_outage_half_of_the_calls_are_tried_again() {
        let budget = RetryBudget::default();
        let retried = (0..10_000).filter(|_| {
            budget.deposit();
            budget.withdraw()
        });
        let retried = retried.count();
        assert!((5000..=5101).contains(&retried), "{retried}");
    }
}
