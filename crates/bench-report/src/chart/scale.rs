use super::{Axis, AxisKind};

/// Maps the values of an axis to positions on a line.
#[derive(Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
    from: f64,
    to: f64,
    /// Labelled values.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Scale {
    /// Fits an axis to values, on a line between two positions.
    pub(super) fn new(axis: &Axis, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        if let AxisKind::Named(names) = &axis.kind {
            return Self {
                low: -0.5,
                high: names.len() as f64 - 0.5,
                log: false,
                from,
                to,
                ticks: (0u32..).map(f64::from).zip(names.iter().cloned()).collect(),
            };
        }
        let log = axis.kind == AxisKind::Log;
        let usable = values.filter(|value| value.is_finite() && (!log || *value > 0.0));
        let (low, high) = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (low, high, ticks) = match (low <= high, log) {
            (false, _) => (0.0, 1.0, Vec::new()),
            (true, false) if axis.kind == AxisKind::Linear => linear(low.min(0.0), high.max(0.0)),
            (true, false) => linear(low, high),
            (true, true) => logarithmic(low, high),
        };
        let labels = axis.format.ticks(&ticks);
        Self {
            low,
            high,
            log,
            from,
            to,
            ticks: ticks.into_iter().zip(labels).collect(),
        }
    }

    /// The position of a value; values outside are moved to the nearest end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        let share = if share.is_finite() {
            share.clamp(0.0, 1.0)
        } else {
            0.0
        };
        self.from + share * (self.to - self.from)
    }

    /// Whether the scale includes a value.
    pub(super) fn contains(&self, value: f64) -> bool {
        value.is_finite() && (!self.log || value > 0.0)
    }
}

/// Round ends around the values, and round steps between them.
fn linear(low: f64, high: f64) -> (f64, f64, Vec<f64>) {
    let spread = if high > low {
        high - low
    } else {
        high.abs().max(1.0)
    };
    let rough = spread / 4.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power);
    let (mut first, mut last) = ((low / step).floor(), (high / step).ceil());
    if first == last {
        first -= 1.0;
        last += 1.0;
        if low >= 0.0 {
            first = first.max(0.0);
        }
    }
    let count = (last - first).min(20.0) as u32;
    let ticks = (0..=count).map(|n| (first + f64::from(n)) * step);
    (first * step, last * step, ticks.collect())
}

/// Ends at 1, 2 or 5 times a power of ten; ticks at these, or at the powers if there are many.
fn logarithmic(low: f64, high: f64) -> (f64, f64, Vec<f64>) {
    let mut steps = Vec::new();
    let first = low.log10().floor() as i32 - 1;
    let last = high.log10().ceil() as i32 + 1;
    for power in first..=last {
        steps.extend([1.0, 2.0, 5.0].map(|factor| factor * 10f64.powi(power)));
    }
    let below = steps
        .iter()
        .rposition(|step| *step <= low * 1.0001)
        .unwrap_or(0);
    let above = steps.iter().position(|step| *step >= high * 0.9999);
    let above = above.unwrap_or(steps.len() - 1).max(below + 1);
    let mut ticks = steps[below..=above].to_vec();
    let (low, high) = (steps[below], steps[above]);
    if ticks.len() > 7 {
        ticks.retain(|tick| (tick.log10() - tick.log10().round()).abs() < 1e-6);
        let every = ticks.len().div_ceil(8);
        ticks = ticks.into_iter().step_by(every).collect();
    }
    (low, high, ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(kind: AxisKind, values: &[f64]) -> Vec<String> {
        let axis = Axis {
            kind,
            ..Axis::default()
        };
        let scale = Scale::new(&axis, values.iter().copied(), 0.0, 100.0);
        scale.ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            ticks(AxisKind::Linear, &[3.0, 97.0]),
            ["0", "25", "50", "75", "100"]
        );
        assert_eq!(
            ticks(AxisKind::Linear, &[98.0, 99.0]),
            ["0", "25", "50", "75", "100"]
        );
        let range = ticks(AxisKind::Range, &[98.0, 99.0]);
        assert_eq!(range, ["98.00", "98.25", "98.50", "98.75", "99.00"]);
        assert_eq!(
            ticks(AxisKind::Log, &[0.03, 0.9]),
            ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]
        );
        assert_eq!(
            ticks(AxisKind::Log, &[1.0, 900.0]),
            ["1", "10", "100", "1,000"]
        );
        assert_eq!(ticks(AxisKind::Named(vec!["a".into()]), &[]), ["a"]);
    }

    #[test]
    fn hostile_values_have_a_position() {
        for kind in [AxisKind::Linear, AxisKind::Log, AxisKind::Range] {
            for values in [
                &[][..],
                &[0.0],
                &[-1.0],
                &[f64::NAN, f64::INFINITY],
                &[5.0, 5.0],
                &[1e300, 1e-300],
            ] {
                let axis = Axis {
                    kind: kind.clone(),
                    ..Axis::default()
                };
                let scale = Scale::new(&axis, values.iter().copied(), 10.0, 90.0);
                assert!(scale.ticks.len() <= 21, "{values:?}");
                for value in [0.0, -5.0, f64::NAN, f64::INFINITY, 3.0] {
                    assert!(
                        (10.0..=90.0).contains(&scale.at(value)),
                        "{kind:?} {values:?} {value}"
                    );
                }
            }
        }
    }
}
