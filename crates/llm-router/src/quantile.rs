//! The quantiles of a group's latencies, in atomic numbers.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Counts of latencies in buckets, each a quarter longer than the one before. Old ones fade: all counts
/// are halved from time to time.
#[derive(Debug)]
pub(crate) struct Latencies {
    buckets: [AtomicU32; BUCKETS],
    count: AtomicU32,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            buckets: [const { AtomicU32::new(0) }; BUCKETS],
            count: AtomicU32::new(0),
        }
    }
}

impl Latencies {
    pub(crate) fn add(&self, latency: Duration) {
        let place = bounds().position(|bound| latency <= bound);
        if let Some(bucket) = self.buckets.get(place.unwrap_or(BUCKETS - 1)) {
            bucket.fetch_add(1, Relaxed);
        }
        if self.count.fetch_add(1, Relaxed) >= FULL {
            self.halve();
        }
    }

    /// The time within which 95 % of the latencies are; `None` while too few are known.
    pub(crate) fn p95(&self) -> Option<Duration> {
        let counts = || self.buckets.iter().map(|bucket| bucket.load(Relaxed));
        let total: u32 = counts().sum();
        if total < ENOUGH {
            return None;
        }
        let mut left = total - total / 20;
        let place = counts().position(|count| {
            left = left.saturating_sub(count);
            left == 0
        });
        bounds().nth(place?)
    }

    fn halve(&self) {
        let mut total = 0;
        for bucket in &self.buckets {
            let half = bucket.load(Relaxed) / 2;
            bucket.store(half, Relaxed);
            total += half;
        }
        self.count.store(total, Relaxed);
    }
}

/// The upper bounds of the buckets, from 1 ms to 18 minutes.
fn bounds() -> impl Iterator<Item = Duration> {
    let first = Duration::from_millis(1);
    std::iter::successors(Some(first), |bound| Some(*bound * 5 / 4)).take(BUCKETS)
}

const BUCKETS: usize = 64;
const ENOUGH: u32 = 20;
const FULL: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_slowest_twentieth_is_beyond_the_quantile() {
        let latencies = Latencies::default();
        for _ in 0..19 {
            latencies.add(millis(100));
        }
        assert_eq!(latencies.p95(), None);
        latencies.add(millis(9000));
        let p95 = latencies.p95().unwrap();
        assert!((millis(100)..millis(125)).contains(&p95), "{p95:?}");
        for _ in 0..2 {
            latencies.add(Duration::MAX);
        }
        assert!(latencies.p95().unwrap() >= millis(9000));
    }

    #[test]
    fn old_latencies_fade() {
        let latencies = Latencies::default();
        for _ in 0..100_000 {
            latencies.add(millis(10));
        }
        for _ in 0..2000 {
            latencies.add(millis(1000));
        }
        assert!(latencies.p95().unwrap() >= millis(1000));
    }
}
