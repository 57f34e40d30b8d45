//! The highest load that still meets objectives: double until it does not, then bisect.

/// Decides which load to try next, from which loads were good.
///
/// ```
/// use llm_bench::LoadSearch;
///
/// let mut search = LoadSearch::new(1.0, 1000.0);
/// while let Some(load) = search.next_load() {
///     search.tell(load <= 37.0);
/// }
/// assert_eq!(search.best(), Some(37.0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LoadSearch {
    start: f64,
    most: f64,
    least: f64,
    good: Option<f64>,
    bad: Option<f64>,
}

impl LoadSearch {
    /// Looks from `start` up to `most`, in whole steps above 1 and down to a tenth below.
    pub fn new(start: f64, most: f64) -> Self {
        Self {
            start: start.min(most),
            most,
            least: 0.1,
            good: None,
            bad: None,
        }
    }

    /// Tries no load below `least`, such as 1 for a number of requests in flight.
    #[must_use]
    pub fn with_least(mut self, least: f64) -> Self {
        self.least = least;
        self
    }

    /// The next load to try; `None` when the answer is known to a twentieth, or to a step.
    pub fn next_load(&self) -> Option<f64> {
        match (self.good, self.bad) {
            (None, None) => Some(self.start),
            (Some(good), None) if good < self.most => Some((good * 2.0).min(self.most)),
            (Some(_), None) => None,
            (None, Some(bad)) => {
                Some(step(bad / 2.0)).filter(|next| *next < bad && *next >= self.least)
            }
            (Some(good), Some(bad)) => {
                let middle = step((good + bad) / 2.0);
                let fine = (bad - good) / good <= FINENESS;
                (!fine && middle > good && middle < bad).then_some(middle)
            }
        }
    }

    /// What came of the load that was tried.
    pub fn tell(&mut self, good: bool) {
        let Some(tried) = self.next_load() else {
            return;
        };
        if good {
            self.good = Some(tried);
        } else {
            self.bad = Some(tried);
        }
    }

    /// The highest load that was good.
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

const FINENESS: f64 = 0.02;

#[cfg(test)]
mod tests {
    use super::*;

    fn best(limit: f64, start: f64, most: f64) -> (Option<f64>, u32) {
        let mut search = LoadSearch::new(start, most);
        let mut tries = 0;
        while let Some(load) = search.next_load() {
            search.tell(load <= limit);
            tries += 1;
            assert!(tries < 50);
        }
        (search.best(), tries)
    }

    #[test]
    fn no_load_below_the_least_is_tried() {
        for (least, lowest) in [(1.0, 1.0), (0.1, 0.1)] {
            let mut search = LoadSearch::new(8.0, 64.0).with_least(least);
            let mut tried = Vec::new();
            while let Some(load) = search.next_load() {
                tried.push(load);
                search.tell(false);
            }
            assert_eq!(tried.last(), Some(&lowest), "{tried:?}");
            assert_eq!(search.best(), None);
        }
    }

    #[test]
    fn the_limit_is_found_in_few_tries() {
        assert_eq!(best(37.0, 1.0, 1000.0), (Some(37.0), 12));
        assert_eq!(best(5000.0, 1.0, 64.0).0, Some(64.0));
        assert_eq!(best(3.0, 16.0, 64.0).0, Some(3.0));
        assert_eq!(best(0.0, 8.0, 64.0).0, None);
        let (near, _) = best(777.0, 1.0, 10_000.0);
        assert!((760.0..=777.0).contains(&near.unwrap()), "{near:?}");
    }
}
