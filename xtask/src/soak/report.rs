//! What was found, and whether it is as it should be.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::load::Totals;
use super::process::Process;

/// The result of a soak.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) time: Duration,
    /// The most requests per second.
    pub(super) most: f64,
    pub(super) rate: f64,
    pub(super) totals: Totals,
    /// Before the load, after the maximum rate was measured.
    pub(super) idle: Sample,
    pub(super) samples: Vec<Sample>,
    /// After the load.
    pub(super) rest: Sample,
    /// Calls in flight after the load.
    pub(super) in_flight: f64,
}

/// The gateway at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    at: Duration,
    memory_kib: u64,
    descriptors: usize,
    threads: u64,
}

impl Sample {
    pub(super) fn of(process: &Process, at: Duration) -> Result<Self> {
        let (memory_kib, threads) = process.memory_and_threads()?;
        Ok(Self {
            at,
            memory_kib,
            descriptors: process.descriptors()?,
            threads,
        })
    }

    fn json(self) -> Value {
        json!({
            "seconds": self.at.as_secs_f64(),
            "memory_kib": self.memory_kib,
            "descriptors": self.descriptors,
            "threads": self.threads,
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            at,
            memory_kib,
            descriptors,
            threads,
        } = self;
        let memory = *memory_kib as f64 / 1024.0;
        let seconds = at.as_secs();
        write!(
            f,
            "{seconds:>5} s: {memory:.1} MiB, {descriptors} descriptors, {threads} threads"
        )
    }
}

impl Report {
    /// What is not as it should be.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (how, count) in &self.totals.unexplained {
            problems.push(format!("{count} requests without a fault failed: {how}"));
        }
        if self.totals.complete == 0 {
            problems.push("no request was served".to_owned());
        }
        let (early, late) = self.memory();
        if late > early + early / 10 + SLACK_KIB {
            problems.push(format!("the memory grew from {early} to {late} KiB"));
        }
        let (before, after) = (&self.idle, &self.rest);
        if after.descriptors > before.descriptors + SLACK_DESCRIPTORS {
            let (before, after) = (before.descriptors, after.descriptors);
            problems.push(format!(
                "{before} descriptors before the load, {after} after it"
            ));
        }
        if after.threads > before.threads + SLACK_THREADS {
            let (before, after) = (before.threads, after.threads);
            problems.push(format!(
                "{before} threads before the load, {after} after it"
            ));
        }
        if self.in_flight > 0.0 {
            problems.push(format!("{} calls are left after the load", self.in_flight));
        }
        problems
    }

    /// The median memory in KiB in the second quarter of the load, and in the last one.
    fn memory(&self) -> (u64, u64) {
        let quarter = self.samples.len() / 4;
        let median = |from: usize| {
            let part = self.samples.iter().skip(from).take(quarter.max(1));
            let mut part: Vec<_> = part.map(|sample| sample.memory_kib).collect();
            part.sort_unstable();
            part.get(part.len() / 2).copied().unwrap_or(0)
        };
        (
            median(quarter),
            median(self.samples.len().saturating_sub(quarter)),
        )
    }

    pub(super) fn text(&self) -> String {
        let Totals {
            requests,
            complete,
            left,
            explained,
            unexplained,
        } = &self.totals;
        let (early, late) = self.memory();
        let unexplained: u64 = unexplained.values().sum();
        let rows = [
            (
                "rate",
                format!("{:.0} of {:.0} requests per second", self.rate, self.most),
            ),
            (
                "requests",
                format!(
                    "{requests} in {:.0} s: {complete} complete, {left} left by the client, {explained} \
                     failed after a fault, {unexplained} failed without",
                    self.time.as_secs_f64()
                ),
            ),
            (
                "memory",
                format!("{early} KiB in the second quarter, {late} in the last one"),
            ),
            (
                "descriptors",
                format!(
                    "{} before, {} after",
                    self.idle.descriptors, self.rest.descriptors
                ),
            ),
            (
                "threads",
                format!("{} before, {} after", self.idle.threads, self.rest.threads),
            ),
            (
                "in flight",
                format!("{} calls after the load", self.in_flight),
            ),
        ];
        rows.map(|(name, found)| format!("{name:<12} {found}\n"))
            .concat()
    }

    pub(super) fn json(&self) -> Value {
        let (early, late) = self.memory();
        json!({
            "seconds": self.time.as_secs_f64(),
            "most_requests_per_second": self.most,
            "requests_per_second": self.rate,
            "requests": self.totals.requests,
            "complete": self.totals.complete,
            "left": self.totals.left,
            "failed_after_fault": self.totals.explained,
            "failed_without_fault": self.totals.unexplained,
            "memory_kib": { "second_quarter": early, "last_quarter": late },
            "before": self.idle.json(),
            "after": self.rest.json(),
            "in_flight": self.in_flight,
            "samples": self.samples.iter().map(|sample| sample.json()).collect::<Vec<_>>(),
            "problems": self.problems(),
        })
    }
}

/// What memory may grow besides a tenth: the allocator keeps what it freed.
const SLACK_KIB: u64 = 2048;
/// Idle connections to upstreams differ.
const SLACK_DESCRIPTORS: usize = 8;
/// The runtime starts and ends threads that wait for files.
const SLACK_THREADS: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(memory_kib: u64, descriptors: usize) -> Sample {
        Sample {
            at: Duration::ZERO,
            memory_kib,
            descriptors,
            threads: 3,
        }
    }

    fn report(last_memory: u64, descriptors: usize, in_flight: f64) -> Report {
        let memory = [1_000, 20_000, 20_000, last_memory];
        Report {
            time: Duration::from_secs(60),
            most: 100.0,
            rate: 50.0,
            totals: Totals {
                complete: 1,
                ..Totals::default()
            },
            idle: sample(20_000, 30),
            samples: memory.map(|memory| sample(memory, 40)).to_vec(),
            rest: sample(20_000, descriptors),
            in_flight,
        }
    }

    #[test]
    fn growth_and_leaks_are_problems() {
        assert_eq!(report(21_000, 31, 0.0).problems(), [""; 0]);
        for (report, wanted) in [
            (
                report(25_000, 31, 0.0),
                "the memory grew from 20000 to 25000 KiB",
            ),
            (
                report(20_000, 99, 0.0),
                "30 descriptors before the load, 99 after it",
            ),
            (report(20_000, 31, 2.0), "2 calls are left after the load"),
        ] {
            assert_eq!(report.problems(), [wanted]);
        }
        let mut failed = report(20_000, 31, 0.0);
        failed.totals.unexplained.insert("500".to_owned(), 3);
        assert_eq!(
            failed.problems(),
            ["3 requests without a fault failed: 500"]
        );
    }
}
