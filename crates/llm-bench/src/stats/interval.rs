use serde::{Deserialize, Serialize};

use super::Stats;

/// A 95 % confidence interval.
///
/// All intervals assume independent measurements. Requests that queue behind each other are not
/// quite independent, so the true uncertainty may be larger.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "an interval has two ends")]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether the interval contains a value.
    pub fn contains(self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// The interval of a mean by Student's t; `None` for fewer than two values.
pub fn mean_interval(stats: &Stats, count: u64) -> Option<Interval> {
    let (mean, stddev) = (stats.mean?, stats.stddev?);
    if count < 2 {
        return None;
    }
    // `stddev` divides by n; the standard error needs n - 1.
    let error = stddev / ((count - 1) as f64).sqrt();
    let half = student_t(count - 1) * error;
    Some(Interval {
        low: mean - half,
        high: mean + half,
    })
}

/// The interval of a percentile (0 to 100) of ascending values by order statistics, without
/// assumptions about the distribution. `None` if there are too few values, as for p99 of 100
/// values.
pub fn percentile_interval(sorted: &[f64], p: f64) -> Option<Interval> {
    let count = sorted.len() as f64;
    let share = p / 100.0;
    let middle = count * share;
    let half = Z * (count * share * (1.0 - share)).sqrt();
    let low = (middle - half).floor();
    let high = (middle + half).ceil();
    if low < 0.0 || high >= count {
        return None;
    }
    Some(Interval {
        low: sorted[low as usize],
        high: sorted[high as usize],
    })
}

/// The interval of a rate, such as the error rate, by Wilson's score; `None` if `total` is 0.
pub fn rate_interval(hits: u64, total: u64) -> Option<Interval> {
    if total == 0 {
        return None;
    }
    let (hits, total) = (hits as f64, total as f64);
    let rate = hits / total;
    let square = Z * Z;
    let middle = rate + square / (2.0 * total);
    let half = Z * (rate * (1.0 - rate) / total + square / (4.0 * total * total)).sqrt();
    let scale = 1.0 + square / total;
    Some(Interval {
        low: ((middle - half) / scale).max(0.0),
        high: ((middle + half) / scale).min(1.0),
    })
}

/// The 97.5th percentile of Student's t distribution: from tables for small samples, else by the
/// Cornish-Fisher expansion (Abramowitz and Stegun 26.7.5), which is accurate to 0.001 there.
fn student_t(degrees: u64) -> f64 {
    const SMALL: [f64; 5] = [12.706_20, 4.302_65, 3.182_45, 2.776_45, 2.570_58];
    match degrees {
        0 => f64::INFINITY,
        1..=5 => SMALL[degrees as usize - 1],
        _ => {
            let n = degrees as f64;
            let (z, z3, z5, z7) = (Z, Z.powi(3), Z.powi(5), Z.powi(7));
            z + (z3 + z) / (4.0 * n)
                + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * n.powi(2))
                + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * n.powi(3))
        }
    }
}

/// The 97.5th percentile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() <= within, "{found}: {expected}");
    }

    #[test]
    fn student_t_agrees_with_the_tables() {
        let table = [
            (1, 12.706),
            (4, 2.776),
            (6, 2.447),
            (9, 2.262),
            (29, 2.045),
            (999, 1.962),
        ];
        for (degrees, t) in table {
            close(student_t(degrees), t, 0.002);
        }
    }

    #[test]
    fn the_interval_of_a_mean() {
        // 3 ± 2.776 · sqrt(2.5 / 5)
        let interval = mean_interval(&Stats::of([1.0, 2.0, 3.0, 4.0, 5.0]), 5).unwrap();
        close(interval.low, 1.0368, 0.001);
        close(interval.high, 4.9632, 0.001);
        assert_eq!(mean_interval(&Stats::of([1.0]), 1), None);
    }

    #[test]
    fn the_interval_of_a_percentile_needs_enough_values() {
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        let median = percentile_interval(&values, 50.0).unwrap();
        close(median.low, 469.0, 1.0);
        close(median.high, 531.0, 1.0);
        assert!(percentile_interval(&values, 99.0).is_some());
        assert_eq!(percentile_interval(&values[..100], 99.0), None);
        assert_eq!(percentile_interval(&[], 50.0), None);
    }

    #[test]
    fn the_interval_of_a_rate_is_between_0_and_1() {
        let interval = rate_interval(23, 87).unwrap();
        close(interval.low, 0.183_100, 1e-6);
        close(interval.high, 0.365_564, 1e-6);
        assert_eq!(rate_interval(0, 10).unwrap().low, 0.0);
        close(rate_interval(10, 10).unwrap().high, 1.0, 1e-9);
        assert_eq!(rate_interval(0, 0), None);
    }
}
