use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::jobs::JobTotals;
use super::{Metric, SummaryRow};
use crate::stats::{Interval, Stats, mean_interval, percentile_interval, sorted};
use crate::{Phase, Side};

/// The difference between the experiment's target and that of `--against`, over pairs of requests.
///
/// A pair consists of two requests with the same id, sent one after the other. Slow changes, such
/// as the load of the machine, affect both and cancel out.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Paired {
    /// The metric.
    pub metric: Metric,
    /// The number of pairs in which both requests completed.
    pub pairs: u64,
    /// The mean difference in the metric's unit; positive if the experiment's target has the
    /// higher value.
    pub mean: f64,
    /// Its 95 % confidence interval.
    pub mean_interval: Option<Interval>,
    /// The median difference, which is robust against outliers.
    pub median: f64,
    /// Its 95 % confidence interval.
    pub median_interval: Option<Interval>,
}

/// Computes the differences of the metrics that describe a target; empty without pairs.
pub fn paired(rows: &[SummaryRow]) -> Vec<Paired> {
    let counts = |row: &&SummaryRow| row.is_ok() && row.phase == Phase::Measured;
    let (against, subject): (Vec<&SummaryRow>, Vec<&SummaryRow>) = rows
        .iter()
        .filter(counts)
        .partition(|row| row.side == Side::Against);
    let against: HashMap<u64, &SummaryRow> = against.into_iter().map(|row| (row.id, row)).collect();
    let pairs = subject
        .into_iter()
        .filter_map(|row| Some((row, *against.get(&row.id)?)));
    let pairs: Vec<(&SummaryRow, &SummaryRow)> = pairs.collect();
    let metrics = [Metric::Ttft, Metric::Tpot, Metric::E2eLatency];
    let of = |metric: Metric| {
        let differences = pairs
            .iter()
            .filter_map(|(subject, against)| Some(metric.of(subject)? - metric.of(against)?));
        difference(metric, &sorted(differences))
    };
    let of_jobs = difference(Metric::JobTime, &job_times(rows));
    metrics.into_iter().filter_map(of).chain(of_jobs).collect()
}

/// The differences in the times of jobs that completed at both targets.
fn job_times(rows: &[SummaryRow]) -> Vec<f64> {
    let against = JobTotals::of(rows, Side::Against);
    let subject = JobTotals::of(rows, Side::Subject);
    let pairs = subject.iter().filter_map(|(job, subject)| {
        let against = against.get(job)?;
        let time = |job: &JobTotals| job.get(Metric::JobTime).filter(|_| job.is_complete());
        Some(time(subject)? - time(against)?)
    });
    sorted(pairs)
}

fn difference(metric: Metric, differences: &[f64]) -> Option<Paired> {
    let stats = Stats::of_sorted(differences);
    Some(Paired {
        metric,
        pairs: differences.len() as u64,
        mean: stats.mean?,
        mean_interval: mean_interval(&stats, differences.len() as u64),
        median: stats.p50?,
        median_interval: percentile_interval(differences, 50.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, side: Side, ttft: f64) -> SummaryRow {
        SummaryRow {
            id,
            side,
            ttft: Some(ttft),
            ..SummaryRow::default()
        }
    }

    #[test]
    fn common_changes_cancel_out() {
        // The machine slows down; the gateway always adds a millisecond.
        let rows: Vec<SummaryRow> = (0..50)
            .flat_map(|id| {
                let slow = 0.05 + id as f64 / 100.0;
                [
                    row(id, Side::Against, slow),
                    row(id, Side::Subject, slow + 0.001),
                ]
            })
            .collect();
        let found = paired(&rows);
        assert_eq!(found.len(), 1, "only the first token was measured");
        assert_eq!((found[0].metric, found[0].pairs), (Metric::Ttft, 50));
        assert!((found[0].mean - 0.001).abs() < 1e-9);
        let interval = found[0].mean_interval.unwrap();
        assert!(interval.high - interval.low < 1e-9);
    }

    #[test]
    fn without_pairs_there_are_no_differences() {
        assert!(paired(&[row(1, Side::Subject, 0.1), row(2, Side::Against, 0.1)]).is_empty());
        assert!(paired(&[]).is_empty());
    }
}
