//! Generates traces that look like those of coding agents.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, LogNormal};
use serde_json::{Value, json};

/// The shape of a generated trace of agents.
///
/// All jobs share a long system prompt. A job then reads short results of tools, so that its prompt
/// grows with every turn. Some turns start helpers, which have their own conversations, and the next
/// turn waits for them. Equal values give equal traces.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AgentTraceSpec {
    /// The number of jobs.
    pub jobs: u32,
    /// Jobs that start per second on average, at random times; `None` writes no times.
    pub jobs_per_second: Option<f64>,
    /// The mean number of turns of a job, without helpers.
    pub turns: u32,
    /// The share of turns that start helpers, 0 to 1.
    pub helpers: f64,
    /// Tokens of the system prompt.
    pub system_tokens: u64,
    /// The seed.
    pub seed: u64,
}

impl Default for AgentTraceSpec {
    fn default() -> Self {
        Self {
            jobs: 50,
            jobs_per_second: None,
            turns: 12,
            helpers: 0.1,
            system_tokens: 4096,
            seed: 0,
        }
    }
}

impl AgentTraceSpec {
    /// The lines of the trace, in the form that [`crate::Trace::read`] reads.
    pub fn lines(&self) -> Vec<Value> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut lines = Vec::new();
        let mut at = 0.0;
        for job in 0..self.jobs {
            let id = format!("job-{job}");
            let own = u64::from(job + 1) << 32;
            let mut line = json!({"session_id": id});
            if let Some(rate) = self.jobs_per_second.filter(|rate| *rate > 0.0) {
                line["timestamp"] = json!(f64::floor(at));
                at += -f64::ln(1.0 - rng.random::<f64>()) / rate * 1e3;
            }
            let turns = 1 + spread(&mut rng, f64::from(self.turns.max(1)) - 1.0, 0.6);
            let mut written = Vec::new();
            for turn in 0..turns {
                let mut value = self.turn(turn, own, &mut rng);
                if turn + 1 < turns && rng.random::<f64>() < self.helpers {
                    value["spawns"] = self.spawn(&id, turn, own, &mut lines, &mut rng);
                }
                written.push(value);
            }
            line["turns"] = written.into();
            lines.push(line);
        }
        lines
    }

    /// A turn: first the system prompt and a task, then the result of a tool.
    fn turn(&self, number: u64, own: u64, rng: &mut ChaCha8Rng) -> Value {
        let output = spread(rng, 120.0, 0.8).max(2);
        if number > 0 {
            let result = spread(rng, 250.0, 1.0).max(1);
            let delay = spread(rng, 900.0, 1.0);
            return json!({"input_length": result, "output_length": output, "delay": delay});
        }
        // The blocks of the system prompt have the same text in all jobs.
        let task = spread(rng, 400.0, 0.8).max(1);
        let shared = self.system_tokens.div_ceil(BLOCK);
        let mut hashes: Vec<u64> = (1..=shared).collect();
        hashes.extend((0..task.div_ceil(BLOCK)).map(|block| own + block));
        let length = shared * BLOCK + task;
        json!({"input_length": length, "hash_ids": hashes, "output_length": output})
    }

    /// Writes one to three helpers and returns their ids.
    fn spawn(
        &self,
        parent: &str,
        turn: u64,
        own: u64,
        lines: &mut Vec<Value>,
        rng: &mut ChaCha8Rng,
    ) -> Value {
        let count = rng.random_range(1..=3_u64);
        let ids: Vec<String> = (0..count)
            .map(|helper| format!("{parent}/{turn}.{helper}"))
            .collect();
        for (id, helper) in ids.iter().zip(1..) {
            let turns = 1 + spread(rng, 3.0, 0.5);
            let own = own + (((turn + 1) * 8 + helper) << 16);
            let turns: Vec<Value> = (0..turns).map(|turn| self.turn(turn, own, rng)).collect();
            lines.push(json!({"session_id": id, "turns": turns}));
        }
        json!(ids)
    }
}

/// A whole number with this mean and a long tail, at most 50 times as high.
fn spread(rng: &mut ChaCha8Rng, mean: f64, sigma: f64) -> u64 {
    if mean <= 0.0 {
        return 0;
    }
    let centre = mean.ln() - sigma * sigma / 2.0;
    // The parameters are finite, and the deviation is positive.
    let value = LogNormal::new(centre, sigma).map_or(mean, |spread| spread.sample(rng));
    value.clamp(0.0, mean * 50.0).round() as u64
}

/// Tokens of a block of `hash_ids`.
const BLOCK: u64 = crate::workload::trace::BLOCK;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, Trace};

    fn text(spec: AgentTraceSpec) -> String {
        let lines = spec.lines();
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        lines.join("\n")
    }

    #[test]
    fn a_seed_has_always_the_same_trace_and_it_can_be_read() {
        let mut spec = AgentTraceSpec {
            seed: 7,
            jobs_per_second: Some(2.0),
            ..AgentTraceSpec::default()
        };
        let first = text(spec);
        assert_eq!(first, text(spec));
        spec.seed = 8;
        assert_ne!(first, text(spec));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &first).unwrap();
        let trace = Trace::read(file.path(), &Access::all()).unwrap();
        assert_eq!(trace.jobs(), 50);
        let mean = trace.len() as f64 / 50.0;
        assert!((8.0..30.0).contains(&mean), "{mean} requests per job");
        assert!(trace.has_times());
        assert!(first.contains("spawns"));
    }
}
