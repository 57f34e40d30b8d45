use std::fmt;

use hdrhistogram::Histogram as Hdr;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Counts of durations in buckets of 0.1 % width (three significant digits).
///
/// It uses little memory for any number of values, and histograms of several machines can be added
/// without loss; therefore per-token values are kept in one. Its JSON form is a list of
/// `[nanoseconds, count]`.
#[derive(Clone, PartialEq)]
pub struct Histogram(Hdr<u64>);

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Self {
        // The constant is within the range that `new` accepts.
        #[allow(clippy::expect_used, reason = "the constant is valid")]
        Self(Hdr::new(DIGITS).expect("three significant digits"))
    }

    /// Counts the values of a sample, in seconds.
    pub fn of_seconds(values: impl IntoIterator<Item = f64>) -> Self {
        let mut histogram = Self::new();
        for value in values {
            // A float cast saturates: negative values and NaN count as zero.
            histogram.record((value * 1e9).round() as u64);
        }
        histogram
    }

    /// Counts a duration in nanoseconds, at most a day.
    pub fn record(&mut self, nanoseconds: u64) {
        self.record_many(nanoseconds, 1);
    }

    /// Counts a duration in nanoseconds several times.
    pub fn record_many(&mut self, nanoseconds: u64, count: u64) {
        // The histogram resizes itself, and a day is within its range.
        let recorded = self.0.record_n(nanoseconds.min(DAY), count);
        debug_assert!(recorded.is_ok(), "a day fits");
    }

    /// Adds the counts of another histogram.
    pub fn add(&mut self, other: &Self) {
        for (nanoseconds, count) in other.buckets() {
            self.record_many(nanoseconds, count);
        }
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A percentile (0 to 100) in seconds; `None` if empty.
    pub fn percentile(&self, p: f64) -> Option<f64> {
        let value = || self.0.value_at_percentile(p.clamp(0.0, 100.0));
        (!self.is_empty()).then(|| self.middle(value()) / 1e9)
    }

    /// The statistics of the values in seconds, exact to 0.1 %.
    pub fn stats(&self) -> super::Stats {
        if self.is_empty() {
            return super::Stats::default();
        }
        let at = |p| self.percentile(p);
        let mean = self.0.mean() / 1e9;
        super::Stats {
            min: Some(self.0.min() as f64 / 1e9),
            max: Some(self.0.max() as f64 / 1e9),
            mean: Some(mean),
            stddev: Some(self.0.stdev() / 1e9),
            sum: Some(mean * self.count() as f64),
            p25: at(25.0),
            p50: at(50.0),
            p75: at(75.0),
            p90: at(90.0),
            p95: at(95.0),
            p99: at(99.0),
            p99_9: at(99.9),
        }
    }

    /// The buckets with values: a representative value in nanoseconds, and the count.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter_recorded().map(|step| {
            let nanoseconds = self.0.median_equivalent(step.value_iterated_to());
            (nanoseconds, step.count_at_value())
        })
    }

    fn middle(&self, nanoseconds: u64) -> f64 {
        self.0.median_equivalent(nanoseconds) as f64
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.buckets()).finish()
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.buckets())
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let buckets = Vec::<(u64, u64)>::deserialize(deserializer)?;
        let mut histogram = Self::new();
        let mut total = 0u64;
        for (nanoseconds, count) in buckets {
            total = total.saturating_add(count);
            if total > MAX_COUNT {
                return Err(D::Error::custom("the counts of a histogram exceed 2^50"));
            }
            histogram.record_many(nanoseconds, count);
        }
        Ok(histogram)
    }
}

/// The most counts of a histogram that is read; a thousand of them can be added.
const MAX_COUNT: u64 = 1 << 50;

const DIGITS: u8 = 3;
const DAY: u64 = 86_400_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_exact_to_a_thousandth() {
        let histogram = Histogram::of_seconds((1..=10_000).map(|n| f64::from(n) / 1e3));
        for (p, expected) in [(50.0, 5.0), (99.0, 9.9), (99.9, 9.99), (100.0, 10.0)] {
            let found = histogram.percentile(p).unwrap();
            assert!((found / expected - 1.0).abs() < 1e-3, "p{p}: {found}");
        }
        assert!((histogram.stats().mean.unwrap() / 5.0005 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn the_sum_of_two_histograms_equals_one_of_all_values() {
        let all: Vec<f64> = (1..5000).map(|n| f64::from(n * n) / 1e6).collect();
        let (one, two) = all.split_at(1234);
        let mut joined = Histogram::of_seconds(one.iter().copied());
        joined.add(&Histogram::of_seconds(two.iter().copied()));
        assert_eq!(joined, Histogram::of_seconds(all));
    }

    #[test]
    fn a_histogram_round_trips_through_json() {
        let histogram = Histogram::of_seconds([0.0, 1e-9, 0.0123456789, 3.5, 3.5, 1e9, -1.0]);
        assert_eq!(histogram.count(), 7);
        let json = serde_json::to_string(&histogram).unwrap();
        let back: Histogram = serde_json::from_str(&json).unwrap();
        assert_eq!(back, histogram);
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
    }

    #[test]
    fn empty_and_hostile_histograms_are_handled() {
        assert_eq!(Histogram::new().percentile(50.0), None);
        assert_eq!(Histogram::new().stats(), Default::default());
        let huge = format!("[[{}, 1]]", u64::MAX);
        let huge: Histogram = serde_json::from_str(&huge).unwrap();
        assert!((huge.percentile(50.0).unwrap() / 86_400.0 - 1.0).abs() < 1e-3);
        let overflow = format!("[[1, {0}], [2, {0}]]", u64::MAX);
        assert!(serde_json::from_str::<Histogram>(&overflow).is_err());
    }
}
