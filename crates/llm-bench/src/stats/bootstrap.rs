use serde::Serialize;

use super::{Interval, Statistic, percentile, sorted};

/// The change of a statistic between two experiments.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// The value in the first.
    pub before: f64,
    /// The value in the second.
    pub after: f64,
    /// The 95 % interval of `after - before`, if the values of both samples are known.
    pub interval: Option<Interval>,
}

impl Change {
    /// A change of which only the two values are known.
    pub fn new(before: f64, after: f64) -> Self {
        Self {
            before,
            after,
            interval: None,
        }
    }

    /// `after - before`.
    pub fn absolute(self) -> f64 {
        self.after - self.before
    }

    /// The change relative to `before`: 0.05 for five percent more. Infinite if `before` is 0.
    pub fn relative(self) -> f64 {
        if self.absolute() == 0.0 {
            0.0
        } else {
            self.absolute() / self.before.abs()
        }
    }

    /// Whether the interval excludes zero, so that chance is an unlikely cause.
    pub fn is_significant(self) -> bool {
        self.interval
            .is_some_and(|interval| !interval.contains(0.0))
    }
}

/// Computes the change of a statistic between two samples, with the interval of the percentile
/// bootstrap: 2,000 resamples (500 above 20,000 values). The seed is fixed, so equal samples give
/// equal intervals. `None` if a sample is empty.
pub fn bootstrap_change(before: &[f64], after: &[f64], statistic: Statistic) -> Option<Change> {
    let before = sorted(before.iter().copied());
    let after = sorted(after.iter().copied());
    let mut change = Change::new(statistic.of_sorted(&before)?, statistic.of_sorted(&after)?);
    if before.len() < 2 || after.len() < 2 {
        return Some(change);
    }
    let mut random = fastrand::Rng::with_seed(SEED);
    let draws = match before.len().max(after.len()) {
        ..=20_000 => 2000,
        _ => 500,
    };
    let mut differences = Vec::with_capacity(draws);
    for _ in 0..draws {
        let one = resampled(&before, statistic, &mut random)?;
        let two = resampled(&after, statistic, &mut random)?;
        differences.push(two - one);
    }
    let differences = sorted(differences);
    change.interval = Some(Interval {
        low: percentile(&differences, 2.5)?,
        high: percentile(&differences, 97.5)?,
    });
    Some(change)
}

/// The statistic of a resample with replacement.
///
/// The draws from the ascending sample are counted per value instead of sorted: value `i` occurs
/// `counts[i]` times in the resample.
fn resampled(values: &[f64], statistic: Statistic, random: &mut fastrand::Rng) -> Option<f64> {
    let mut counts = vec![0u32; values.len()];
    for _ in 0..values.len() {
        counts[random.usize(..values.len())] += 1;
    }
    if statistic == Statistic::Mean {
        let drawn = values.iter().zip(&counts);
        let sum: f64 = drawn.map(|(value, count)| value * f64::from(*count)).sum();
        return Some(sum / values.len() as f64);
    }
    let mut drawn = Vec::with_capacity(values.len());
    for (value, count) in values.iter().zip(&counts) {
        drawn.extend(std::iter::repeat_n(*value, *count as usize));
    }
    statistic.of_sorted(&drawn)
}

const SEED: u64 = 0x706f_6c79_6c6c_6d00;

#[cfg(test)]
mod tests {
    use super::*;

    /// Approximately normal values: sums of twelve uniform ones.
    fn sample(mean: f64, spread: f64, count: usize, seed: u64) -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut next = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        (0..count).map(|_| mean + spread * next()).collect()
    }

    #[test]
    fn a_real_change_is_significant_and_inside_its_interval() {
        let (before, after) = (sample(100.0, 5.0, 400, 1), sample(110.0, 5.0, 400, 2));
        for statistic in [Statistic::Mean, Statistic::Percentile(50.0)] {
            let change = bootstrap_change(&before, &after, statistic).unwrap();
            assert!(change.is_significant(), "{change:?}");
            assert!(change.interval.unwrap().contains(10.0), "{change:?}");
            assert!((change.relative() - 0.1).abs() < 0.02, "{change:?}");
        }
    }

    #[test]
    fn the_false_positive_rate_is_about_5_percent() {
        let found = (0..100).filter(|seed| {
            let before = sample(100.0, 5.0, 60, seed * 2 + 1);
            let after = sample(100.0, 5.0, 60, seed * 2 + 2);
            bootstrap_change(&before, &after, Statistic::Mean)
                .unwrap()
                .is_significant()
        });
        let found = found.count();
        assert!((1..=12).contains(&found), "{found} of 100");
    }

    #[test]
    fn equal_samples_give_equal_intervals() {
        let (before, after) = (sample(1.0, 0.1, 50, 3), sample(1.0, 0.1, 50, 4));
        let statistic = Statistic::Percentile(99.0);
        assert_eq!(
            bootstrap_change(&before, &after, statistic),
            bootstrap_change(&before, &after, statistic)
        );
    }

    #[test]
    fn small_samples_are_not_significant() {
        assert_eq!(bootstrap_change(&[], &[1.0], Statistic::Mean), None);
        let change = bootstrap_change(&[1.0], &[2.0, 3.0], Statistic::Mean).unwrap();
        assert!(!change.is_significant());
        assert_eq!(change.absolute(), 1.5);
        assert_eq!(Change::new(0.0, 0.0).relative(), 0.0);
        assert_eq!(Change::new(0.0, 1.0).relative(), f64::INFINITY);
    }
}
