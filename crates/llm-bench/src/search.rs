//! The highest load that meets the objectives: doubling until one fails, then bisection.

/// Chooses the next load of a search from the results so far.
///
/// ```
/// use llm_bench::LoadSearch;
///
/// let mut search = LoadSearch::new(1.0, 1000.0);
/// while let Some(load) = search.next_load() {
///     search.report(load <= 37.0);
/// }
/// assert_eq!(search.best(), Some(37.0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LoadSearch {
    start: f64,
    max: f64,
    min: f64,
    good: Option<f64>,
    bad: Option<f64>,
}

impl LoadSearch {
    /// Searches from `start` to `max`, in whole steps above 1 and in tenths below.
    pub fn new(start: f64, max: f64) -> Self {
        Self {
            start: start.min(max),
            max,
            min: 0.1,
            good: None,
            bad: None,
        }
    }

    /// Sets the lowest load, such as 1 for a number of requests in flight.
    #[must_use]
    pub fn with_min(mut self, min: f64) -> Self {
        self.min = min;
        self
    }

    /// The next load to try; `None` when the result is known to 2 % or to one step.
    pub fn next_load(&self) -> Option<f64> {
        match (self.good, self.bad) {
            (None, None) => Some(self.start),
            (Some(good), None) if good < self.max => Some((good * 2.0).min(self.max)),
            (Some(_), None) => None,
            (None, Some(bad)) => {
                Some(step(bad / 2.0)).filter(|next| *next < bad && *next >= self.min)
            }
            (Some(good), Some(bad)) => {
                let middle = step((good + bad) / 2.0);
                let fine = (bad - good) / good <= TOLERANCE;
                (!fine && middle > good && middle < bad).then_some(middle)
            }
        }
    }

    /// Reports whether the last load met the objectives.
    pub fn report(&mut self, good: bool) {
        let Some(tried) = self.next_load() else {
            return;
        };
        if good {
            self.good = Some(tried);
        } else {
            self.bad = Some(tried);
        }
    }

    /// The highest load that met the objectives.
    pub fn best(&self) -> Option<f64> {
        self.good
    }
}

fn step(load: f64) -> f64 {
    if load >= 1.0 {
        load.floor()
    } else {
        (load * 10.0).floor() / 10.0
    }
}

const TOLERANCE: f64 = 0.02;

#[cfg(test)]
mod tests {
    use super::*;

    fn best(limit: f64, start: f64, max: f64) -> (Option<f64>, u32) {
        let mut search = LoadSearch::new(start, max);
        let mut tries = 0;
        while let Some(load) = search.next_load() {
            search.report(load <= limit);
            tries += 1;
            assert!(tries < 50);
        }
        (search.best(), tries)
    }

    #[test]
    fn no_load_below_the_minimum_is_tried() {
        for min in [1.0, 0.1] {
            let mut search = LoadSearch::new(8.0, 64.0).with_min(min);
            let mut tried = Vec::new();
            while let Some(load) = search.next_load() {
                tried.push(load);
                search.report(false);
            }
            assert_eq!(tried.last(), Some(&min), "{tried:?}");
            assert_eq!(search.best(), None);
        }
    }

    #[test]
    fn the_limit_is_found_in_few_steps() {
        assert_eq!(best(37.0, 1.0, 1000.0), (Some(37.0), 12));
        assert_eq!(best(5000.0, 1.0, 64.0).0, Some(64.0));
        assert_eq!(best(3.0, 16.0, 64.0).0, Some(3.0));
        assert_eq!(best(0.0, 8.0, 64.0).0, None);
        let (near, _) = best(777.0, 1.0, 10_000.0);
        assert!((760.0..=777.0).contains(&near.unwrap()), "{near:?}");
    }
}
