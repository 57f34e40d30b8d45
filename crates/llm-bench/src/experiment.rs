//! What was asked for, and what each of its runs gave. No type here can hold an API key.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::command_line::CommandLine;
use crate::record::RequestRecord;

/// What was asked for: one call of `polyllm bench`.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Experiment {
    /// Name of the experiment and of its folder.
    pub name: String,
    /// The call, without secrets.
    pub command: CommandLine,
    /// Version of this tool.
    pub version: String,
    /// When it started: milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// `together`, `openai` or `replicate`.
    pub backend: String,
    /// Where requests went, without user and password.
    pub api_base: String,
    /// The second target of a comparison, without user and password.
    pub against: Option<String>,
    /// The model that was asked for.
    pub model: String,
    /// What to call the model in reports.
    pub model_label: String,
    /// Where token counts came from when the server gave none: the tokenizer's file.
    pub tokenizer: Option<String>,
    /// What was measured.
    pub task: Task,
    /// Traffic scenarios as they were given.
    pub scenarios: Vec<String>,
    /// Loads, in the order of the runs.
    pub loads: Vec<Load>,
    /// Batch sizes; `[1]` for tasks without batches.
    pub batch_sizes: Vec<u32>,
    /// What genai-bench would call the parameter that the runs differ in.
    pub iteration_type: IterationType,
    /// Parameters added to every request.
    pub additional_request_params: Map<String, Value>,
    /// What the user told about the server.
    pub server: ServerLabels,
    /// When a run ends.
    pub limits: RunLimits,
    /// The dataset's path, `None` for the built-in text.
    pub dataset: Option<String>,
    /// Share of completed requests left out at the beginning of a run.
    pub warmup_ratio: f64,
    /// Share of completed requests left out at the end of a run.
    pub cooldown_ratio: f64,
    /// What the random choices began with.
    pub seed: u64,
    /// Objectives of goodput, such as `ttft:200ms`.
    pub goodput: Vec<String>,
    /// Dollars per million tokens, in and out, when given.
    pub price_per_million: Option<(f64, f64)>,
    /// Whether each request opens a connection of its own.
    pub new_connections: bool,
    /// Where the client ran.
    pub machine: Machine,
    /// The client's own bias, measured before the first run.
    pub bias: Option<ClientBias>,
}

/// The measurements of one point: a scenario at one load and batch size.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Run {
    /// The traffic scenario as it was given, `dataset` without one.
    pub scenario: String,
    /// How requests came about.
    pub load: Load,
    /// Documents per request; 1 for tasks without batches.
    pub batch_size: u32,
    /// When it started, the zero of the records' times: milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// From the first dispatch to the end of the last request, in nanoseconds since the run's
    /// start; warm-up and cool-down included.
    pub active_ns: (u64, u64),
    /// The same for the requests that count.
    pub measured_ns: (u64, u64),
    /// Every request, in the order of their numbers.
    pub records: Vec<RequestRecord>,
    /// How the client itself was doing.
    pub client: ClientHealth,
    /// The client's own bias at this load, if it was calibrated.
    pub bias: Option<ClientBias>,
    /// Why the run ended.
    pub end: RunEnd,
}

/// How requests come about.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Load {
    /// Closed loop: as many requests in flight at any time.
    Concurrency {
        /// How many.
        concurrency: u32,
    },
    /// Open loop: requests start at times that do not depend on the answers.
    Rate {
        /// Mean requests per second.
        per_second: f64,
        /// `constant`, `poisson` or `gamma:SHAPE`.
        arrivals: String,
        /// Most requests in flight; later ones wait, and their wait counts from the schedule.
        max_concurrency: Option<u32>,
    },
    /// Open loop: requests start when those of a trace did.
    Trace {
        /// How much faster than the trace.
        speed: f64,
        /// Most requests in flight.
        max_concurrency: Option<u32>,
    },
}

impl Experiment {
    /// The experiment's name as part of a file's name.
    pub fn file_name(&self) -> String {
        crate::folder::file_name(&self.name)
    }

    /// The content of `experiment_metadata.json`: genai-bench's fields, and ours under `polyllm`.
    pub fn metadata(&self) -> Value {
        crate::folder::metadata(self)
    }
}

impl Load {
    /// The number that genai-bench would put into `num_concurrency`: the concurrency, or the cap
    /// of an open loop, or 0 for an open loop without one.
    pub fn concurrency(&self) -> u32 {
        match self {
            Self::Concurrency { concurrency } => *concurrency,
            Self::Rate {
                max_concurrency, ..
            }
            | Self::Trace {
                max_concurrency, ..
            } => max_concurrency.unwrap_or(0),
        }
    }

    /// The number that loads are sorted and drawn by: the concurrency, the requests per second, or
    /// the speed of a trace.
    pub fn value(&self) -> f64 {
        match self {
            Self::Concurrency { concurrency } => f64::from(*concurrency),
            Self::Rate { per_second, .. } => *per_second,
            Self::Trace { speed, .. } => *speed,
        }
    }
}

impl Default for Load {
    fn default() -> Self {
        Self::Concurrency { concurrency: 1 }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Concurrency { concurrency } => write!(f, "concurrency {concurrency}"),
            Self::Rate {
                per_second,
                arrivals,
                ..
            } => write!(f, "{per_second}/s {arrivals}"),
            Self::Trace { speed, .. } => write!(f, "trace x{speed}"),
        }
    }
}

/// What is measured, by genai-bench's names.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Chat about images.
    ImageTextToText,
    /// Embeddings.
    TextToEmbeddings,
    /// Rerank.
    TextToRerank,
    /// Chat.
    #[default]
    TextToText,
}

impl Task {
    /// genai-bench's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ImageTextToText => "image-text-to-text",
            Self::TextToEmbeddings => "text-to-embeddings",
            Self::TextToRerank => "text-to-rerank",
            Self::TextToText => "text-to-text",
        }
    }

    /// Whether a request holds several documents.
    pub fn has_batches(self) -> bool {
        matches!(self, Self::TextToEmbeddings | Self::TextToRerank)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What runs differ in, by genai-bench's names.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IterationType {
    /// Their batch size.
    BatchSize,
    /// Their concurrency.
    #[default]
    NumConcurrency,
}

impl IterationType {
    /// genai-bench's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::BatchSize => "batch_size",
            Self::NumConcurrency => "num_concurrency",
        }
    }
}

/// What the user told about the server: labels for reports, nothing else.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ServerLabels {
    /// vLLM, SGLang …
    pub engine: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// H100, MI300 …
    pub gpu_type: Option<String>,
    /// How many.
    pub gpu_count: Option<u32>,
}

/// When a run ends: at the first of these.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RunLimits {
    /// Seconds after which no request is started.
    pub max_seconds: f64,
    /// Requests.
    pub max_requests: u64,
    /// Dollars over all runs, by `price_per_million`.
    pub max_cost: Option<f64>,
}

/// Why a run ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// The money was spent.
    Cost,
    /// From the beginning everything failed for a reason that does not go away: no connection, a
    /// wrong key, an unknown model.
    Failing,
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// All requests were made.
    #[default]
    Requests,
    /// More came in than went out.
    Saturated,
    /// The time was over.
    Time,
}

/// Where the client ran.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Machine {
    /// `linux`, `macos` …
    pub os: String,
    /// `x86_64`, `aarch64` …
    pub arch: String,
    /// Processors that this process may use.
    pub cpus: u32,
    /// Name of this worker, when several machines measure together.
    pub worker: Option<String>,
}

/// How the client was doing during a run.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ClientHealth {
    /// Threads that measured.
    pub threads: u32,
    /// Processor time of this process during the run, where the system tells.
    pub cpu_seconds: Option<f64>,
    /// Times when a measuring thread did not get to run.
    pub stalls: Vec<Stall>,
    /// How late a timer of this machine fires while the run goes on, in nanoseconds: median, 99th
    /// percentile and most.
    pub timer_late_ns: (u64, u64, u64),
    /// How often a free slot had to wait for the next prompt to be made.
    pub starved: u64,
}

/// A time when a measuring thread did not get to run.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Stall {
    /// When it began, in nanoseconds since the start of the run.
    pub start_ns: u64,
    /// How long it took.
    pub length_ns: u64,
}

/// What the client itself adds, measured against a simulation whose delays are known.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ClientBias {
    /// The concurrency at which it was measured.
    pub concurrency: u32,
    /// Requests that it was measured with.
    pub requests: u64,
    /// Mean of measured minus true time to the first token, in seconds.
    pub ttft_mean_s: f64,
    /// 99th percentile of the same.
    pub ttft_p99_s: f64,
    /// Mean of measured minus true time between tokens, in seconds.
    pub itl_mean_s: f64,
    /// 99th percentile of the same.
    pub itl_p99_s: f64,
    /// Stalls during the calibration.
    pub stalls: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_come_back_from_json() {
        let experiment = Experiment {
            loads: vec![
                Load::Concurrency { concurrency: 4 },
                Load::Rate {
                    per_second: 12.5,
                    arrivals: "poisson".to_owned(),
                    max_concurrency: Some(64),
                },
            ],
            price_per_million: Some((0.2, 0.6)),
            ..Experiment::default()
        };
        let text = serde_json::to_string(&experiment).unwrap();
        assert_eq!(
            serde_json::from_str::<Experiment>(&text).unwrap(),
            experiment
        );
    }
}
