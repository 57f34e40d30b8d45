//! Moving averages and counts per minute in atomic numbers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Nanos;

/// An exponentially weighted moving average of latencies.
///
/// It is written without a lock: one of two simultaneous samples may be lost. It decays toward zero
/// without samples, so that a deployment that was slow is tried again.
#[derive(Debug, Default)]
pub(crate) struct MovingLatency {
    /// The average in nanoseconds, as the bits of an `f64`.
    average: AtomicU64,
    updated: AtomicU64,
}

impl MovingLatency {
    /// Adds a sample. If `peak`, a sample above the average replaces it. `decay` is the time constant.
    pub(crate) fn add(&self, sample: Nanos, now: Nanos, decay: Nanos, peak: bool) {
        let average = f64::from_bits(self.average.load(Relaxed));
        let sample = as_f64(sample);
        let next = if average == 0.0 || (peak && sample > average) {
            sample
        } else {
            let kept = self.kept(now, decay).clamp(0.0, MAX_KEPT);
            average * kept + sample * (1.0 - kept)
        };
        self.average.store(next.to_bits(), Relaxed);
        self.updated.store(now, Relaxed);
    }

    /// The average in nanoseconds; 0 without samples.
    pub(crate) fn get(&self, now: Nanos, decay: Nanos) -> f64 {
        match self.average.load(Relaxed) {
            0 => 0.0,
            average => f64::from_bits(average) * self.kept(now, decay),
        }
    }

    /// The share of the average that is left.
    fn kept(&self, now: Nanos, decay: Nanos) -> f64 {
        let age = now.saturating_sub(self.updated.load(Relaxed));
        (-as_f64(age) / as_f64(decay)).exp()
    }
}

/// An amount within the current minute.
#[derive(Debug, Default)]
pub(crate) struct PerMinute(AtomicU64);

impl PerMinute {
    pub(crate) fn add(&self, amount: u64, now: Nanos) {
        let add = |packed| Some(pack(now, count(packed, now).saturating_add(amount)));
        let _ = self.0.fetch_update(Relaxed, Relaxed, add);
    }

    pub(crate) fn set(&self, amount: u64, now: Nanos) {
        self.0.store(pack(now, amount), Relaxed);
    }

    pub(crate) fn get(&self, now: Nanos) -> u64 {
        count(self.0.load(Relaxed), now)
    }
}

fn count(packed: u64, now: Nanos) -> u64 {
    let is_current = packed >> COUNT_BITS == minute(now);
    if is_current { packed & COUNT_MASK } else { 0 }
}

fn pack(now: Nanos, count: u64) -> u64 {
    (minute(now) << COUNT_BITS) | count.min(COUNT_MASK)
}

fn minute(now: Nanos) -> u64 {
    (now / 60_000_000_000) & (u64::MAX >> COUNT_BITS)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "times, whose last digits do not matter"
)]
pub(crate) fn as_f64(nanos: Nanos) -> f64 {
    nanos as f64
}

/// Enough for a trillion per minute.
const COUNT_BITS: u32 = 40;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// A sample has a weight of at least a tenth, however soon it follows the previous one.
const MAX_KEPT: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn a_peak_counts_at_once_and_decays() {
        let latency = MovingLatency::default();
        let decay = 10 * SECOND;
        latency.add(SECOND, SECOND, decay, true);
        latency.add(5 * SECOND, 2 * SECOND, decay, true);
        assert_eq!(latency.get(2 * SECOND, decay), 5e9);
        latency.add(SECOND, 3 * SECOND, decay, true);
        let after = latency.get(3 * SECOND, decay);
        assert!((4.5e9..4.8e9).contains(&after), "{after}");
        assert!(latency.get(300 * SECOND, decay) < 1.0);
    }

    #[test]
    fn a_minute_starts_at_zero() {
        let tokens = PerMinute::default();
        tokens.add(7, 100 * SECOND);
        tokens.add(5, 110 * SECOND);
        assert_eq!(tokens.get(110 * SECOND), 12);
        assert_eq!(tokens.get(120 * SECOND), 0);
        tokens.add(u64::MAX, 120 * SECOND);
        assert_eq!(tokens.get(120 * SECOND), COUNT_MASK);
    }
}
