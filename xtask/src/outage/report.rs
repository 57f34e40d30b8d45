//! What was measured, and what must hold.

use std::time::Duration;

use serde_json::json;

use super::load::Replies;

/// All phases, in their order. The first one is without an outage.
pub(super) struct Report {
    pub(super) phases: Vec<Phase>,
}

/// The time with one state of Redis.
#[derive(Clone, Debug, Default)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    /// With times in ascending order.
    pub(super) replies: Replies,
    /// The processor time of the gateway.
    pub(super) processor: Duration,
    /// The lines of its log.
    pub(super) lines: usize,
}

impl Phase {
    fn errors(&self) -> usize {
        self.replies.errors.values().sum()
    }

    /// A quantile of the times, in milliseconds.
    fn quantile(&self, percent: usize) -> f64 {
        let times = &self.replies.times;
        let rank = (times.len() * percent).div_ceil(100).max(1);
        times.get(rank - 1).map_or(0.0, |time| *time as f64 / 1e3)
    }

    /// The processor time of a request, in milliseconds.
    fn processor_per_request(&self) -> f64 {
        let requests = (self.replies.times.len() + self.errors()).max(1);
        self.processor.as_secs_f64() * 1e3 / requests as f64
    }
}

impl Report {
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{:<14} {:>8} {:>6} {:>8} {:>8} {:>8} {:>14} {:>9}\n",
            "Redis",
            "requests",
            "errors",
            "p50 ms",
            "p99 ms",
            "max ms",
            "CPU ms/request",
            "log lines"
        );
        for phase in &self.phases {
            text += &format!(
                "{:<14} {:>8} {:>6} {:>8.1} {:>8.1} {:>8.1} {:>14.2} {:>9}\n",
                phase.name,
                phase.replies.times.len(),
                phase.errors(),
                phase.quantile(50),
                phase.quantile(99),
                phase.quantile(100),
                phase.processor_per_request(),
                phase.lines,
            );
        }
        text
    }

    pub(super) fn json(&self) -> String {
        let line = |phase: &Phase| {
            let line = json!({
                "redis": phase.name,
                "requests": phase.replies.times.len(),
                "errors": phase.errors(),
                "p50_ms": phase.quantile(50),
                "p99_ms": phase.quantile(99),
                "max_ms": phase.quantile(100),
                "cpu_ms_per_request": phase.processor_per_request(),
                "log_lines": phase.lines,
            });
            format!("{line}\n")
        };
        self.phases.iter().map(line).collect()
    }

    /// What does not hold.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let Some(up) = self.phases.first() else {
            return vec!["nothing was measured".to_owned()];
        };
        for phase in &self.phases {
            let name = phase.name;
            if phase.replies.times.is_empty() {
                problems.push(format!("{name}: no request ended"));
            }
            for (error, count) in &phase.replies.errors {
                problems.push(format!("{name}: {count} requests failed: {error}"));
            }
            if phase.lines > MOST_LINES {
                problems.push(format!("{name}: {} lines in the log", phase.lines));
            }
            let (time, usual) = (phase.quantile(99), up.quantile(99));
            if time > usual * MOST_RATIO + WAIT_MS * MOST_RATIO {
                problems.push(format!(
                    "{name}: a p99 of {time:.1} ms, {usual:.1} with Redis"
                ));
            }
            let (time, usual) = (phase.processor_per_request(), up.processor_per_request());
            if time > usual * MOST_RATIO {
                problems.push(format!(
                    "{name}: {time:.2} ms of processor time per request, {usual:.2} with Redis"
                ));
            }
        }
        problems
    }
}

/// The most lines of a phase: one for each change of the state of Redis, which may be seen twice.
const MOST_LINES: usize = 4;
/// How much longer than with Redis times may be: generous, since other load changes them.
const MOST_RATIO: f64 = 5.0;
/// How long a call waits for Redis.
const WAIT_MS: f64 = 50.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(name: &'static str, time: u64) -> Phase {
        Phase {
            name,
            replies: Replies {
                times: (1..=100).map(|at| at * time).collect(),
                ..Replies::default()
            },
            processor: Duration::from_millis(100),
            lines: 1,
        }
    }

    #[test]
    fn quantiles_are_those_of_the_nearest_rank() {
        let phase = phase("up", 1_000);
        assert!((phase.quantile(50) - 50.0).abs() < 1e-9);
        assert!((phase.quantile(99) - 99.0).abs() < 1e-9);
        assert!((phase.quantile(100) - 100.0).abs() < 1e-9);
        assert!(Phase::default().quantile(99).abs() < 1e-9);
    }

    #[test]
    fn errors_lines_and_long_times_are_problems() {
        let report = |change: fn(&mut Phase)| {
            let mut frozen = phase("frozen", 20);
            change(&mut frozen);
            let report = Report {
                phases: vec![phase("up", 10), frozen],
            };
            report.problems().join("; ")
        };
        assert_eq!(report(|_| {}), "");
        let failed = |phase: &mut Phase| {
            phase.replies.errors.insert("503".to_owned(), 2);
        };
        assert_eq!(report(failed), "frozen: 2 requests failed: 503");
        assert_eq!(
            report(|phase| phase.lines = 5),
            "frozen: 5 lines in the log"
        );
        let slow = report(|phase| phase.replies.times.fill(900_000));
        assert_eq!(slow, "frozen: a p99 of 900.0 ms, 1.0 with Redis");
        assert!(report(|phase| phase.processor *= 9).contains("processor time"));
        assert!(report(|phase| phase.replies.times.clear()).contains("no request ended"));
    }
}
