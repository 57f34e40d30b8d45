//! Detects that requests arrive faster than they finish.

/// The number of requests in flight in an open loop, once a second.
#[derive(Debug, Default)]
pub(crate) struct Backlog(Vec<f64>);

impl Backlog {
    pub(crate) fn note(&mut self, in_flight: usize) {
        self.0.push(in_flight as f64);
    }

    /// Whether the number in flight has grown steadily over the last seconds: a fitted line rises
    /// by half of its mean and explains most of the variance.
    pub(crate) fn is_growing(&self) -> bool {
        let Some(recent) = self.0.len().checked_sub(WINDOW).map(|from| &self.0[from..]) else {
            return false;
        };
        let n = WINDOW as f64;
        let mean = recent.iter().sum::<f64>() / n;
        let middle = (n - 1.0) / 2.0;
        let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
        for (x, y) in recent.iter().enumerate() {
            let (dx, dy) = (x as f64 - middle, y - mean);
            xy += dx * dy;
            xx += dx * dx;
            yy += dy * dy;
        }
        let rise = xy / xx * (n - 1.0);
        let explained = if yy > 0.0 { xy * xy / (xx * yy) } else { 0.0 };
        mean >= MIN_MEAN && rise > mean / 2.0 && explained > 0.8
    }
}

const WINDOW: usize = 8;

/// Smaller means are not significant.
const MIN_MEAN: f64 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(in_flight: &[usize], growing: bool) {
        let mut backlog = Backlog::default();
        in_flight.iter().for_each(|count| backlog.note(*count));
        assert_eq!(backlog.is_growing(), growing);
    }

    #[test]
    fn a_steady_rise_is_distinguished_from_noise() {
        check(&[10, 20, 30, 40, 50, 60, 70, 80], true);
        check(&[50, 52, 47, 55, 49, 51, 48, 53], false);
        check(&[1, 1, 2, 2, 3, 3, 4, 4], false);
        check(&[10, 20, 30], false);
        check(&[90, 80, 70, 60, 50, 40, 30, 20], false);
    }
}
