use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Metric, SummaryRow};
use crate::{Phase, Side};

/// The jobs of agents in a run. Their times and tokens are the metrics [`Metric::JobTime`],
/// [`Metric::JobRequests`], [`Metric::JobInputTokens`] and [`Metric::JobOutputTokens`].
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Jobs {
    /// Jobs of which all requests completed.
    pub completed: u64,
    /// Other jobs: a request failed, or the run ended before.
    pub incomplete: u64,
    /// Completed jobs per second.
    pub jobs_per_second: f64,
}

/// What all requests of a job used together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct JobTotals {
    /// The number of requests that the job has.
    planned: u32,
    completed: u32,
    started: f64,
    ended: f64,
    input: u64,
    output: u64,
    is_measured: bool,
}

impl JobTotals {
    /// The jobs of one target by number; without those of warm-up and cool-down.
    pub(super) fn of(rows: &[SummaryRow], side: Side) -> BTreeMap<u64, Self> {
        let mut jobs: BTreeMap<u64, Self> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.side == side) {
            let (Some(part), Some(started), Some(ended)) = (row.job, row.started, row.ended) else {
                continue;
            };
            let job = jobs.entry(part.job).or_insert_with(|| Self {
                planned: part.requests,
                started,
                is_measured: true,
                ..Self::default()
            });
            job.completed += u32::from(row.is_ok());
            job.started = job.started.min(started);
            job.ended = job.ended.max(ended);
            job.input += row.num_input_tokens.unwrap_or(0);
            job.output += row.num_output_tokens.unwrap_or(0);
            job.is_measured &= row.phase == Phase::Measured;
        }
        jobs.retain(|_, job| job.is_measured);
        jobs
    }

    pub(super) fn is_complete(&self) -> bool {
        self.completed == self.planned
    }

    /// The value of a metric of jobs, in its unit.
    pub(super) fn get(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::JobTime => Some(self.ended - self.started),
            Metric::JobRequests => Some(f64::from(self.planned)),
            Metric::JobInputTokens => Some(self.input as f64),
            Metric::JobOutputTokens => Some(self.output as f64),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobPart;
    use crate::summary::RowOutcome;

    fn row(job: u64, started: f64, ended: f64) -> SummaryRow {
        SummaryRow {
            job: Some(JobPart { job, requests: 2 }),
            started: Some(started),
            ended: Some(ended),
            num_input_tokens: Some(10),
            num_output_tokens: Some(3),
            ..SummaryRow::default()
        }
    }

    #[test]
    fn a_job_lasts_from_its_first_request_to_its_last_end() {
        let failed = SummaryRow {
            outcome: RowOutcome::Cancelled,
            ..row(1, 3.0, 4.0)
        };
        let warmup = SummaryRow {
            phase: Phase::Warmup,
            ..row(2, 0.0, 1.0)
        };
        let against = SummaryRow {
            side: Side::Against,
            ..row(0, 0.0, 90.0)
        };
        let rows = [
            row(0, 2.0, 2.5),
            row(0, 1.0, 4.0),
            row(1, 1.0, 2.0),
            failed,
            warmup,
            row(2, 1.0, 2.0),
            against,
        ];
        let jobs = JobTotals::of(&rows, Side::Subject);
        assert_eq!(jobs.len(), 2);
        assert!(jobs[&0].is_complete() && !jobs[&1].is_complete());
        assert_eq!(jobs[&0].get(Metric::JobTime), Some(3.0));
        assert_eq!(jobs[&0].get(Metric::JobInputTokens), Some(20.0));
        assert_eq!(jobs[&0].get(Metric::JobOutputTokens), Some(6.0));
        assert_eq!(jobs[&0].get(Metric::Ttft), None);
    }
}
