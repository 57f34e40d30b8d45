use std::fmt;

use llm_bench::stats::{Change, Interval, Statistic, bootstrap_change};
use llm_bench::summary::{Aggregated, Metric, Unit};

use super::Pair;

/// A quantity of a run that can be compared.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// A statistic of a metric over requests: `p99(ttft)`.
    Statistic(Statistic, Metric),
    /// A quantity of the run as a whole.
    Run(RunQuantity),
}

/// A quantity of a run as a whole.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RunQuantity {
    /// `error_rate`: the share of failed requests.
    ErrorRate,
    /// `goodput`: the share of requests that met all objectives.
    Goodput,
    /// `input_throughput`: input tokens per second of the run.
    InputThroughput,
    /// `output_throughput`: output tokens per second of the run.
    OutputThroughput,
    /// `rps` or `requests_per_second`: completed requests per second of the run.
    RequestsPerSecond,
    /// `total_throughput`: tokens per second of the run.
    TotalThroughput,
}

impl RunQuantity {
    pub(super) const ALL: [Self; 6] = [
        Self::ErrorRate,
        Self::Goodput,
        Self::InputThroughput,
        Self::OutputThroughput,
        Self::RequestsPerSecond,
        Self::TotalThroughput,
    ];

    /// The name in conditions.
    pub fn name(self) -> &'static str {
        match self {
            Self::ErrorRate => "error_rate",
            Self::Goodput => "goodput",
            Self::InputThroughput => "input_throughput",
            Self::OutputThroughput => "output_throughput",
            Self::RequestsPerSecond => "requests_per_second",
            Self::TotalThroughput => "total_throughput",
        }
    }

    fn of(self, numbers: &Aggregated) -> Option<f64> {
        match self {
            // Undefined for a run without requests.
            Self::ErrorRate => (numbers.num_requests > 0).then_some(numbers.error_rate),
            Self::Goodput => Some(numbers.extra.goodput.as_ref()?.share),
            Self::InputThroughput => Some(numbers.mean_input_throughput_tokens_per_s),
            Self::OutputThroughput => Some(numbers.mean_output_throughput_tokens_per_s),
            Self::RequestsPerSecond => Some(numbers.requests_per_second),
            Self::TotalThroughput => Some(numbers.mean_total_tokens_throughput_tokens_per_s),
        }
    }
}

/// The unit of a quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Measure {
    Number,
    Seconds,
    Share,
}

impl Quantity {
    /// The value for a run; `None` if it was not measured.
    pub fn of(self, numbers: &Aggregated) -> Option<f64> {
        match self {
            Self::Statistic(statistic, metric) => numbers.get(statistic, metric),
            Self::Run(whole) => whole.of(numbers),
        }
    }

    /// The change between two runs. Statistics over requests have a bootstrap interval, and shares
    /// have one by the normal approximation. The others have none: a run has only one throughput,
    /// and the tokens of a request are not independent of each other.
    pub fn change(self, pair: Pair<'_>) -> Option<Change> {
        let (before, after) = (&pair.before.aggregated, &pair.after.aggregated);
        if let Self::Statistic(statistic, metric) = self {
            let values = (pair.before.values(metric), pair.after.values(metric));
            let change = bootstrap_change(&values.0, &values.1, statistic);
            if change.is_some() {
                return change;
            }
        }
        let mut change = Change::new(self.of(before)?, self.of(after)?);
        if self.measure() == Measure::Share {
            let error = |share: f64, numbers: &Aggregated| {
                share * (1.0 - share) / numbers.num_requests.max(1) as f64
            };
            let variance = error(change.before, before) + error(change.after, after);
            let half = 1.959_964 * variance.sqrt();
            change.interval = Some(Interval {
                low: change.absolute() - half,
                high: change.absolute() + half,
            });
        }
        Some(change)
    }

    /// Whether a higher value is better.
    pub fn higher_is_better(self) -> bool {
        match self {
            Self::Statistic(_, metric) => metric.unit() != Unit::Seconds,
            Self::Run(whole) => whole != RunQuantity::ErrorRate,
        }
    }

    pub(super) fn measure(self) -> Measure {
        match self {
            Self::Statistic(_, metric) if metric.unit() == Unit::Seconds => Measure::Seconds,
            Self::Run(RunQuantity::ErrorRate | RunQuantity::Goodput) => Measure::Share,
            _ => Measure::Number,
        }
    }

    /// Formats a value for users.
    pub fn text(self, value: f64) -> String {
        match self.measure() {
            Measure::Number => crate::number::number(value),
            Measure::Seconds => crate::number::duration(value),
            Measure::Share => crate::number::percent(value),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Statistic(statistic, metric) => write!(f, "{statistic}({metric})"),
            Self::Run(whole) => f.write_str(whole.name()),
        }
    }
}
