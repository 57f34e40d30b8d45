//! Statistics: descriptions of samples, histograms, confidence intervals and significance. All
//! functions are pure.

mod bootstrap;
mod histogram;
mod interval;

pub use bootstrap::{Change, bootstrap_change};
pub use histogram::Histogram;
pub use interval::{Interval, mean_interval, percentile_interval, rate_interval};

use serde::{Deserialize, Serialize};

/// A description of a sample in genai-bench's fields, and p99.9.
///
/// Percentiles interpolate linearly between the two closest ranks, as numpy's default does;
/// `stddev` divides by n. All fields are null for an empty sample.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub struct Stats {
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub mean: Option<f64>,
    pub stddev: Option<f64>,
    pub sum: Option<f64>,
    pub p25: Option<f64>,
    pub p50: Option<f64>,
    pub p75: Option<f64>,
    pub p90: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    /// Not a field of genai-bench, whose readers ignore it.
    #[serde(default)]
    pub p99_9: Option<f64>,
}

impl Stats {
    /// Describes a sample in any order; NaN is ignored.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        Self::of_sorted(&sorted(values))
    }

    /// Describes a sample of ascending values.
    pub fn of_sorted(values: &[f64]) -> Self {
        let (Some(&min), Some(&max)) = (values.first(), values.last()) else {
            return Self::default();
        };
        let count = values.len() as f64;
        let sum: f64 = values.iter().sum();
        let mean = sum / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let at = |p| percentile(values, p);
        Self {
            min: Some(min),
            max: Some(max),
            mean: Some(mean),
            stddev: Some((squares / count).sqrt()),
            sum: Some(sum),
            p25: at(25.0),
            p50: at(50.0),
            p75: at(75.0),
            p90: at(90.0),
            p95: at(95.0),
            p99: at(99.0),
            p99_9: at(99.9),
        }
    }

    /// The value of a statistic.
    pub fn get(&self, statistic: Statistic) -> Option<f64> {
        match statistic {
            Statistic::Max => self.max,
            Statistic::Mean => self.mean,
            Statistic::Min => self.min,
            Statistic::Percentile(p) => {
                let known = [
                    (25.0, self.p25),
                    (50.0, self.p50),
                    (75.0, self.p75),
                    (90.0, self.p90),
                    (95.0, self.p95),
                    (99.0, self.p99),
                    (99.9, self.p99_9),
                ];
                known.iter().find(|(known, _)| *known == p)?.1
            }
        }
    }

    /// The statistics with every value multiplied by `factor`, such as to convert seconds to
    /// milliseconds.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let scale = |value: Option<f64>| value.map(|value| value * factor);
        Self {
            min: scale(self.min),
            max: scale(self.max),
            mean: scale(self.mean),
            stddev: scale(self.stddev),
            sum: scale(self.sum),
            p25: scale(self.p25),
            p50: scale(self.p50),
            p75: scale(self.p75),
            p90: scale(self.p90),
            p95: scale(self.p95),
            p99: scale(self.p99),
            p99_9: scale(self.p99_9),
        }
    }
}

/// A statistic of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Statistic {
    /// The largest value.
    Max,
    /// The arithmetic mean.
    Mean,
    /// The smallest value.
    Min,
    /// A percentile, from 0 to 100.
    Percentile(f64),
}

impl Statistic {
    /// The statistics of each metric in files for other programs.
    pub const EXPORTED: [Self; 9] = [
        Self::Mean,
        Self::Min,
        Self::Max,
        Self::Percentile(50.0),
        Self::Percentile(75.0),
        Self::Percentile(90.0),
        Self::Percentile(95.0),
        Self::Percentile(99.0),
        Self::Percentile(99.9),
    ];

    /// Reads `mean`, `min`, `max`, `median` or `p99.9`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "max" => Some(Self::Max),
            "mean" | "avg" => Some(Self::Mean),
            "median" => Some(Self::Percentile(50.0)),
            "min" => Some(Self::Min),
            _ => {
                let p: f64 = name.strip_prefix('p')?.parse().ok()?;
                (0.0..=100.0).contains(&p).then_some(Self::Percentile(p))
            }
        }
    }

    /// Computes it for ascending values; `None` if there are none.
    pub fn of_sorted(self, values: &[f64]) -> Option<f64> {
        match self {
            Self::Max => values.last().copied(),
            Self::Mean if values.is_empty() => None,
            Self::Mean => Some(values.iter().sum::<f64>() / values.len() as f64),
            Self::Min => values.first().copied(),
            Self::Percentile(p) => percentile(values, p),
        }
    }
}

impl std::fmt::Display for Statistic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::Mean => f.write_str("mean"),
            Self::Min => f.write_str("min"),
            Self::Percentile(p) => write!(f, "p{p}"),
        }
    }
}

/// The values in ascending order, without NaN.
pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|v| !v.is_nan()).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// A percentile (0 to 100) of ascending values, by linear interpolation between closest ranks.
pub fn percentile(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let rank = p.clamp(0.0, 100.0) / 100.0 * last as f64;
    let below = sorted[rank.floor() as usize];
    let above = sorted[rank.ceil() as usize];
    Some(below + (above - below) * rank.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn agrees_with_numpy() {
        // np.percentile([3, 1, 4, 1, 5, 9, 2, 6], [25, 50, 75, 90, 95, 99, 99.9]), np.std
        let stats = Stats::of([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]);
        close(stats.p25, 1.75);
        close(stats.p50, 3.5);
        close(stats.p75, 5.25);
        close(stats.p90, 6.9);
        close(stats.p95, 7.95);
        close(stats.p99, 8.79);
        close(stats.p99_9, 8.979);
        close(stats.stddev, 2.570_870_475_150_391_7);
        close(stats.sum, 31.0);
    }

    #[test]
    fn an_empty_sample_has_no_statistics_and_one_value_has_all() {
        assert_eq!(Stats::of([]), Stats::default());
        assert_eq!(Stats::of([f64::NAN]), Stats::default());
        let one = Stats::of([7.0]);
        close(one.p99_9, 7.0);
        close(one.stddev, 0.0);
    }

    #[test]
    fn statistics_are_parsed_by_name() {
        for name in ["mean", "min", "max", "p50", "p99.9"] {
            assert_eq!(Statistic::parse(name).unwrap().to_string(), name);
        }
        assert_eq!(
            Statistic::parse("median"),
            Some(Statistic::Percentile(50.0))
        );
        for bad in ["p", "p101", "p-1", "pNaN", "q50", ""] {
            assert_eq!(Statistic::parse(bad), None, "{bad}");
        }
        let stats = Stats::of([1.0, 2.0, 3.0]);
        assert_eq!(stats.get(Statistic::Mean), Some(2.0));
        assert_eq!(stats.get(Statistic::Percentile(50.0)), Some(2.0));
        assert_eq!(stats.get(Statistic::Percentile(42.0)), None);
    }
}
