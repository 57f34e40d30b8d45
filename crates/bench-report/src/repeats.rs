//! Runs of the same point: how much their results vary from run to run.

use llm_bench::Results;
use llm_bench::stats::{Interval, Statistic, Stats, mean_interval, sorted};
use llm_bench::summary::{Metric, RunSummary};

use crate::number::{metric, number};

/// A quantity over the repeats of a point.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Repeated {
    /// The name of the runs.
    pub(crate) label: String,
    /// The number of runs that have the quantity.
    pub(crate) runs: usize,
    pub(crate) quantity: RunQuantity,
    /// The mean over the runs.
    pub(crate) mean: f64,
    /// Its 95 % confidence interval: Student's t over the runs.
    pub(crate) interval: Option<Interval>,
}

/// A quantity of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RunQuantity {
    RequestsPerSecond,
    OutputThroughput,
    Statistic(Statistic, Metric),
}

/// The quantities of all points that were run more than once.
pub(crate) fn repeated(results: &Results) -> Vec<Repeated> {
    let mut points: Vec<(String, Vec<&RunSummary>)> = Vec::new();
    for run in &results.runs {
        let label = run.label();
        match points.iter_mut().find(|(known, _)| *known == label) {
            Some((_, runs)) => runs.push(run),
            None => points.push((label, vec![run])),
        }
    }
    points.retain(|(_, runs)| runs.len() > 1);
    let all = points.iter().flat_map(|(label, runs)| {
        let quantities = RunQuantity::ALL.into_iter();
        quantities.filter_map(move |quantity| quantity.over(label, runs))
    });
    all.collect()
}

impl RunQuantity {
    const ALL: [Self; 7] = [
        Self::RequestsPerSecond,
        Self::OutputThroughput,
        Self::Statistic(Statistic::Mean, Metric::Ttft),
        Self::Statistic(Statistic::Percentile(99.0), Metric::Ttft),
        Self::Statistic(Statistic::Mean, Metric::Tpot),
        Self::Statistic(Statistic::Mean, Metric::E2eLatency),
        Self::Statistic(Statistic::Mean, Metric::JobTime),
    ];

    fn over(self, label: &str, runs: &[&RunSummary]) -> Option<Repeated> {
        let values = sorted(runs.iter().filter_map(|run| self.of(run)));
        let stats = Stats::of_sorted(&values);
        Some(Repeated {
            label: label.to_owned(),
            runs: values.len(),
            quantity: self,
            mean: stats.mean?,
            interval: mean_interval(&stats, values.len() as u64).map(|mut interval| {
                // No quantity can be negative, but the interval of two runs is wide.
                interval.low = interval.low.max(0.0);
                interval
            }),
        })
    }

    fn of(self, run: &RunSummary) -> Option<f64> {
        let numbers = &run.aggregated;
        match self {
            Self::RequestsPerSecond => Some(numbers.requests_per_second),
            Self::OutputThroughput => Some(numbers.mean_output_throughput_tokens_per_s),
            Self::Statistic(statistic, metric) => numbers.get(statistic, metric),
        }
    }

    pub(crate) fn title(self) -> String {
        match self {
            Self::RequestsPerSecond => "requests per second".to_owned(),
            Self::OutputThroughput => "output tokens per second".to_owned(),
            Self::Statistic(statistic, metric) => format!("{}, {statistic}", metric.title()),
        }
    }

    /// A value with its unit.
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Self::Statistic(_, of) => metric(of, Some(value)),
            _ => number(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use llm_bench::test_util::experiment;

    use super::*;

    #[test]
    fn the_interval_is_that_of_the_runs_and_not_of_their_requests() {
        let (experiment, runs) = experiment();
        let once = Results::new(experiment.clone(), &runs);
        assert_eq!(repeated(&once), []);

        // Three runs of one point; the second is slower by 3 ms, the third by 6 ms.
        let mut first = runs[0].clone();
        first.records.truncate(20);
        let repeats = [0, 3_000_000, 6_000_000].map(|later| {
            let mut run = first.clone();
            for record in &mut run.records {
                record.first_token_ns = record.first_token_ns.map(|at| at + later);
                record.end_ns += later;
            }
            run
        });
        let results = Results::new(experiment, &repeats);
        let found = repeated(&results);
        let ttft = RunQuantity::Statistic(Statistic::Mean, Metric::Ttft);
        let ttft = found.iter().find(|one| one.quantity == ttft).unwrap();
        let alone = results.runs[0]
            .aggregated
            .get(Statistic::Mean, Metric::Ttft);
        assert_eq!(ttft.runs, 3);
        assert!((ttft.mean - alone.unwrap() - 0.003).abs() < 1e-9);
        // Student's t with two degrees of freedom: 4.303 times the standard error of 3 ms / sqrt(3).
        let interval = ttft.interval.unwrap();
        let half = (interval.high - interval.low) / 2.0;
        assert!((half - 4.303 * 0.003 / 3_f64.sqrt()).abs() < 1e-5, "{half}");

        // Of two runs that differ, the interval by Student's t reaches below zero.
        let mut slow = repeats[0].clone();
        for record in &mut slow.records {
            record.first_token_ns = record.first_token_ns.map(|at| at * 3);
            record.end_ns *= 3;
        }
        let found = repeated(&Results::new(results.experiment, &[first, slow]));
        let lows = found.iter().filter_map(|one| Some(one.interval?.low));
        assert!(lows.clone().any(|low| low == 0.0));
        assert!(lows.clone().all(|low| low >= 0.0));
    }
}
