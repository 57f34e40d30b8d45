//! Values with weights.

/// Values, each with its share. They are chosen by number, so that equal runs choose alike and the shares
/// are right after few choices.
#[derive(Clone, Debug)]
pub(crate) struct Mix<T> {
    /// Each with the sum of the shares up to it.
    entries: Vec<(T, f64)>,
    /// Multiples of it modulo 1 are spread evenly.
    step: f64,
}

impl<T> Mix<T> {
    /// Creates a mix; there must be at least one value, and the weights must be above zero. Mixes with
    /// another step choose independently of each other.
    pub(crate) fn new(values: Vec<(T, f64)>, step: f64) -> Self {
        let total: f64 = values.iter().map(|(_, weight)| weight).sum();
        let mut sum = 0.0;
        let entries = values.into_iter().map(|(value, weight)| {
            sum += weight / total;
            (value, sum)
        });
        Self {
            entries: entries.collect(),
            step,
        }
    }

    /// The place of the value with this number, and the value; `None` only if there are no values.
    pub(crate) fn choose(&self, number: u64) -> Option<(usize, &T)> {
        let spread = (number as f64 + 0.5) * self.step;
        let at = spread - spread.floor();
        let place = self.entries.partition_point(|(_, sum)| *sum <= at);
        let place = place.min(self.entries.len().checked_sub(1)?);
        Some((place, &self.entries[place].0))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|(value, _)| value)
    }
}

/// The step of models: the golden ratio.
pub(crate) const MODELS: f64 = 0.618_033_988_749_894_9;

/// The step of targets: the silver ratio.
pub(crate) const TARGETS: f64 = std::f64::consts::SQRT_2 - 1.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_right_after_few_choices() {
        let mix = Mix::new(vec![("a", 3.0), ("b", 1.0)], MODELS);
        for count in [20, 100, 1000] {
            let chosen = (0..count).filter(|number| mix.choose(*number).unwrap().1 == &"b");
            let share = chosen.count() as f64 / count as f64;
            assert!(
                (share - 0.25).abs() <= 2.0 / count as f64,
                "{count}: {share}"
            );
        }
        let one = Mix::new(vec![("a", 0.1)], TARGETS);
        assert!((0..100).all(|number| one.choose(number) == Some((0, &"a"))));
    }
}
