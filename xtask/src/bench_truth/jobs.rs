//! The jobs of a trace, and what the raw lines of a run say about them. Nothing of `llm-bench` is used.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// What a trace says about each request, in the order in which `polyllm bench` numbers them.
pub(super) struct PlannedJobs {
    pub(super) requests: usize,
    /// The delay of a request in seconds, and the requests that must have ended before it.
    before: Vec<(f64, Vec<u64>)>,
}

impl PlannedJobs {
    pub(super) fn read(trace: &Path) -> Result<Self> {
        let text = fs::read_to_string(trace)?;
        let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        let lines = lines?;
        let by_id: BTreeMap<&str, &Value> = lines
            .iter()
            .filter_map(|line| Some((line["session_id"].as_str()?, line)))
            .collect();
        let mut jobs = Self {
            requests: 0,
            before: Vec::new(),
        };
        let is_root = |line: &&Value| !line["session_id"].as_str().unwrap_or("/").contains('/');
        for root in lines.iter().filter(is_root) {
            jobs.add(root, None, &by_id)?;
        }
        jobs.requests = jobs.before.len();
        Ok(jobs)
    }

    /// Adds a conversation that starts after a request; returns its last one. A conversation has
    /// successive numbers, and its helpers the next ones.
    fn add(
        &mut self,
        line: &Value,
        after: Option<u64>,
        by_id: &BTreeMap<&str, &Value>,
    ) -> Result<u64> {
        let turns = line["turns"].as_array().context("no turns")?;
        let first = self.before.len();
        let id = |turn: usize| (first + turn) as u64;
        for (number, turn) in turns.iter().enumerate() {
            let delay = turn["delay"].as_f64().unwrap_or(0.0) / 1e3;
            let before = match number {
                0 => after.into_iter().collect(),
                _ => vec![id(number - 1)],
            };
            self.before.push((delay, before));
        }
        for (number, turn) in turns.iter().enumerate() {
            for helper in turn["spawns"].as_array().into_iter().flatten() {
                let helper = helper.as_str().and_then(|id| by_id.get(id));
                let last = self.add(helper.context("no such helper")?, Some(id(number)), by_id)?;
                if number + 1 < turns.len() {
                    self.before[first + number + 1].1.push(last);
                }
            }
        }
        Ok(id(turns.len() - 1))
    }
}

/// The requests of a run by job.
pub(super) struct SeenJobs<'a>(BTreeMap<u64, Vec<&'a Value>>);

impl<'a> SeenJobs<'a> {
    pub(super) fn of(records: &'a [Value]) -> Result<Self> {
        let mut jobs: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
        for record in records {
            let job = record["job"]["job"].as_u64();
            jobs.entry(job.context("a request without a job")?)
                .or_default()
                .push(record);
        }
        Ok(Self(jobs))
    }

    pub(super) fn jobs(&self) -> usize {
        self.0.len()
    }

    /// The number of requests that started before their time.
    pub(super) fn early(&self, planned: &PlannedJobs, speed: f64) -> Result<usize> {
        let all = self.0.values().flatten();
        let by_id: BTreeMap<u64, &Value> = all
            .filter_map(|record| Some((record["id"].as_u64()?, *record)))
            .collect();
        let mut early = 0;
        for (id, record) in &by_id {
            let number = usize::try_from(*id)?;
            let (delay, before) = planned.before.get(number).context("an unknown request")?;
            let ends = before
                .iter()
                .filter_map(|id| by_id.get(id)?["end_ns"].as_f64());
            let Some(ended) = ends.reduce(f64::max) else {
                continue;
            };
            let started = record["dispatched_ns"].as_f64().context("no dispatch")?;
            // A delay is rounded down to nanoseconds.
            early += usize::from(started + 1.0 < ended + delay / speed * 1e9);
        }
        Ok(early)
    }

    /// The values of each metric, one per job.
    pub(super) fn metrics(&self) -> [(&'static str, Vec<f64>); 4] {
        let sum = |records: &[&Value], of: &str| -> f64 {
            let values = records
                .iter()
                .filter_map(|record| record["tokens"][of].as_f64());
            values.sum()
        };
        let time = |records: &[&Value]| {
            let at = |of: &str| {
                let times = records.iter().filter_map(|record| record[of].as_f64());
                times.collect::<Vec<f64>>()
            };
            let first = at("dispatched_ns")
                .into_iter()
                .fold(f64::INFINITY, f64::min);
            (at("end_ns").into_iter().fold(0.0, f64::max) - first) / 1e9
        };
        let each = |of: &dyn Fn(&[&Value]) -> f64| -> Vec<f64> {
            let mut values: Vec<f64> = self.0.values().map(|records| of(records)).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        [
            ("job_time", each(&time)),
            ("job_requests", each(&|records| records.len() as f64)),
            ("job_input_tokens", each(&|records| sum(records, "input"))),
            ("job_output_tokens", each(&|records| sum(records, "output"))),
        ]
    }
}
