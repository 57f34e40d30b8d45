//! The traffic of a model group, divided among its deployments.

use std::collections::HashMap;

/// The metrics by which LiteLLM's simple-shuffle weighs a model: `weight`, `rpm` and `tpm`, in this
/// order of precedence.
pub(super) type Metrics = [Option<f64>; 3];

/// The share of one model in its group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share {
    /// Its part of the traffic, relative to that of the others.
    pub(super) weight: u32,
    /// Whether it is the only model of the group.
    pub(super) is_alone: bool,
    /// Whether it has weight 0 only because others of the group set `weight`.
    pub(super) is_unweighted: bool,
}

/// The shares of `models`, in their order.
///
/// A group is weighed by the first metric that any of its models has; a model without it gets
/// no traffic. Without any metric, all have the same weight.
pub(super) fn shares<'m>(models: impl Iterator<Item = (&'m str, Metrics)>) -> Vec<Share> {
    let mut groups: HashMap<&str, Group> = HashMap::new();
    let models: Vec<_> = models.collect();
    for (name, metrics) in &models {
        groups.entry(name).or_default().add(metrics);
    }
    let share = |(name, metrics): &(&str, Metrics)| {
        let group = groups.get(name).copied().unwrap_or_default();
        Share {
            weight: group.weight(metrics),
            is_alone: group.count <= 1,
            is_unweighted: metrics[0].is_none() && group.metrics[0].is_set,
        }
    };
    models.iter().map(share).collect()
}

#[derive(Clone, Copy, Default)]
struct Group {
    count: usize,
    metrics: [Metric; 3],
}

/// One metric of the models of a group.
#[derive(Clone, Copy, Default)]
struct Metric {
    is_set: bool,
    largest: f64,
    has_fractions: bool,
}

impl Group {
    fn add(&mut self, metrics: &Metrics) {
        self.count += 1;
        for (metric, value) in self.metrics.iter_mut().zip(metrics) {
            if let Some(value) = value {
                metric.is_set = true;
                metric.largest = metric.largest.max(*value);
                metric.has_fractions |= value.fract() != 0.0;
            }
        }
    }

    fn weight(&self, metrics: &Metrics) -> u32 {
        let mut all = self.metrics.iter().zip(metrics);
        let Some((metric, value)) = all.find(|(metric, _)| metric.is_set) else {
            return 1;
        };
        metric.scaled(value.unwrap_or(0.0))
    }
}

impl Metric {
    /// `value` as a whole number: unchanged if all are whole, or else on a scale up to a million.
    fn scaled(&self, value: f64) -> u32 {
        let is_whole = !self.has_fractions && self.largest <= f64::from(u32::MAX);
        let scaled = if is_whole {
            value
        } else {
            value / self.largest * 1e6
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to u32::MAX"
        )]
        let scaled = scaled.ceil() as u32;
        scaled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(models: &[(&str, Metrics)]) -> Vec<u32> {
        let shares = shares(models.iter().copied());
        shares.into_iter().map(|share| share.weight).collect()
    }

    #[test]
    fn a_group_is_weighed_by_its_first_metric() {
        let models = [
            ("a", [Some(3.0), Some(10.0), None]),
            ("a", [None, Some(20.0), None]),
            ("b", [None, Some(100.0), Some(1.0)]),
            ("b", [None, Some(300.0), None]),
            ("c", [None; 3]),
            ("d", [None, None, Some(0.5)]),
            ("d", [None, None, Some(2.0)]),
            ("e", [Some(0.0), None, None]),
            ("e", [Some(0.0), None, None]),
            ("f", [Some(1e300), None, None]),
            ("f", [Some(1e-300), None, None]),
        ];
        let expected = [3, 0, 100, 300, 1, 250_000, 1_000_000, 0, 0, 1_000_000, 0];
        assert_eq!(weights(&models), expected);
        let unweighted = shares(models.iter().copied()).into_iter();
        let unweighted: Vec<bool> = unweighted.map(|share| share.is_unweighted).collect();
        assert!(unweighted[1] && unweighted.iter().filter(|is| **is).count() == 1);
        let alone = shares(models.iter().copied()).into_iter();
        let alone: Vec<bool> = alone.map(|share| share.is_alone).collect();
        assert!(alone[4] && alone.iter().filter(|alone| **alone).count() == 1);
    }
}
