//! The configuration of an experiment, and the results of its runs. No type here can hold an API
//! key.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::command_line::CommandLine;
use crate::load::Load;
use crate::record::RequestRecord;

/// The configuration of one call of `polyllm bench`.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Experiment {
    /// The name of the experiment and of its folder.
    pub name: String,
    /// The command line, without secrets.
    pub command: CommandLine,
    /// The version of this tool.
    pub version: String,
    /// The start, in milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// `together`, `openai` or `replicate`.
    pub backend: String,
    /// The address of the API, without user and password.
    pub api_base: String,
    /// The API for text, such as `chat`.
    #[serde(default)]
    pub text_api: String,
    /// The second target of a comparison, without user and password.
    pub against: Option<String>,
    /// The model.
    pub model: String,
    /// The models that the trace names; they follow those of `model`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace_models: Vec<String>,
    /// The name of the model in reports.
    pub model_label: String,
    /// The file of the tokenizer that counts tokens when the server does not.
    pub tokenizer: Option<String>,
    /// The task.
    pub task: Task,
    /// Traffic scenarios, as given.
    pub scenarios: Vec<String>,
    /// Loads, in the order of the runs.
    pub loads: Vec<Load>,
    /// Batch sizes; `[1]` for tasks without batches.
    pub batch_sizes: Vec<u32>,
    /// The parameter in which the runs differ, by genai-bench's names.
    pub iteration_type: IterationType,
    /// Parameters added to every request.
    pub additional_request_params: Map<String, Value>,
    /// Labels of the server, from the user.
    pub server: ServerLabels,
    /// The limits of a run.
    pub limits: RunLimits,
    /// The dataset's path, `None` for the built-in text.
    pub dataset: Option<String>,
    /// Share of completed requests excluded at the beginning of a run.
    pub warmup_ratio: f64,
    /// Share of completed requests excluded at the end of a run.
    pub cooldown_ratio: f64,
    /// The seed of all random choices.
    pub seed: u64,
    /// Objectives of goodput, such as `ttft:200ms`.
    pub goodput: Vec<String>,
    /// Tiers of goodput, such as `interactive=ttft:200ms`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goodput_tiers: Vec<String>,
    /// Dollars per million input tokens and per million output tokens.
    pub price_per_million: Option<(f64, f64)>,
    /// Whether each request opens its own connection.
    pub new_connections: bool,
    /// The results of searches for the highest load, one per scenario, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found_loads: Vec<String>,
    /// The machine of the client.
    pub machine: Machine,
    /// The client's own bias, measured after the first run.
    pub bias: Option<ClientBias>,
}

/// The measurements of one point: a scenario at one load and batch size.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Run {
    /// The traffic scenario as given, or `dataset`.
    pub scenario: String,
    /// The load.
    pub load: Load,
    /// Documents per request; 1 for tasks without batches.
    pub batch_size: u32,
    /// The start, in milliseconds since the Unix epoch; the times of records count from here.
    pub started_at_ms: u64,
    /// From the first dispatch to the end of the last request, in nanoseconds since the start;
    /// includes warm-up and cool-down.
    pub active_ns: (u64, u64),
    /// The measured part of it: from the end of the warm-up, or else from the first dispatch, to
    /// the end of the last measured request.
    pub measured_ns: (u64, u64),
    /// Every request, in the order of ids.
    pub records: Vec<RequestRecord>,
    /// The health of the client during the run.
    pub client: ClientHealth,
    /// The client's own bias at this load, if it was calibrated.
    pub bias: Option<ClientBias>,
    /// Why the run ended.
    pub end: RunEnd,
    /// What servers reported about themselves during the run, without what did not change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server: Vec<ServerSeries>,
}

/// A metric of a server over the time of a run.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ServerSeries {
    /// The address that was read.
    pub source: String,
    /// The name of the metric, and the GPU if there are several.
    pub name: String,
    /// The kind.
    pub kind: MetricKind,
    /// Seconds since the start of the run, and the values.
    pub points: Vec<(f64, f64)>,
}

/// The kind of a metric.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// It only rises; its rate is of interest.
    Counter,
    /// A value at a time.
    #[default]
    Gauge,
}

impl Experiment {
    /// The experiment's name as part of a file name.
    pub fn file_name(&self) -> String {
        crate::folder::file_name(&self.name)
    }

    /// The content of `experiment_metadata.json`: genai-bench's fields, and ours under `polyllm`.
    pub fn metadata(&self) -> Value {
        crate::folder::metadata(self)
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

    /// Whether a request has several documents.
    pub fn has_batches(self) -> bool {
        matches!(self, Self::TextToEmbeddings | Self::TextToRerank)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The parameter in which runs differ, by genai-bench's names.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IterationType {
    /// The batch size.
    BatchSize,
    /// The concurrency.
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

/// Labels of the server, for reports only.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ServerLabels {
    /// The engine, such as vLLM or SGLang.
    pub engine: Option<String>,
    /// The engine's version.
    pub version: Option<String>,
    /// The GPU, such as H100 or MI300.
    pub gpu_type: Option<String>,
    /// The number of GPUs.
    pub gpu_count: Option<u32>,
}

/// The limits of a run. It ends at the first one.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RunLimits {
    /// The time after which no request starts, in seconds.
    pub max_seconds: f64,
    /// The number of requests.
    pub max_requests: u64,
    /// The cost of all runs in dollars, by `price_per_million`.
    pub max_cost: Option<f64>,
    /// The number of failed requests after which no request starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_errors: Option<u64>,
}

/// Why a run ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// The cost limit was reached.
    Cost,
    /// The limit of failed requests was reached.
    Errors,
    /// All requests failed for a lasting reason: no connection, a wrong key, an unknown model.
    Failing,
    /// The user pressed Ctrl-C.
    Interrupted,
    /// The number of requests was reached.
    #[default]
    Requests,
    /// The server could not keep up with an open loop.
    Saturated,
    /// The time limit was reached.
    Time,
}

/// The machine of the client.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Machine {
    /// The operating system, such as `linux` or `macos`.
    pub os: String,
    /// The architecture, such as `x86_64` or `aarch64`.
    pub arch: String,
    /// Processors available to this process.
    pub cpus: u32,
    /// The name of the worker, when several machines measure together.
    pub worker: Option<String>,
}

/// The health of the client during a run.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ClientHealth {
    /// Measuring threads.
    pub threads: u32,
    /// Processor time of this process during the run, where the system reports it.
    pub cpu_seconds: Option<f64>,
    /// Times at which a measuring thread did not run.
    pub stalls: Vec<Stall>,
    /// How late timers fired during the run, in nanoseconds: median, 99th percentile and maximum.
    pub timer_late_ns: (u64, u64, u64),
    /// How often a free slot waited because the next prompt was not ready.
    pub starved: u64,
    /// How long slots waited for that reason in total, in nanoseconds.
    #[serde(default)]
    pub lost_slot_ns: u64,
    /// Prompts that could not be written, such as those with an unreadable image.
    #[serde(default)]
    pub skipped_prompts: u64,
    /// Why the first of them could not be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_error: Option<String>,
    /// The addresses of server metrics that were never read, each with the last error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread_metrics: Vec<String>,
}

/// A time at which a measuring thread did not run.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Stall {
    /// The start, in nanoseconds since the start of the run.
    pub start_ns: u64,
    /// The length in nanoseconds.
    pub length_ns: u64,
}

/// What the client itself adds, measured against a simulation with known delays.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ClientBias {
    /// The concurrency of the calibration.
    pub concurrency: u32,
    /// The number of requests.
    pub requests: u64,
    /// Mean of measured minus true time to first token, in seconds.
    pub ttft_mean_s: f64,
    /// 99th percentile of the same.
    pub ttft_p99_s: f64,
    /// Mean of measured minus true inter-token time, in seconds.
    pub itl_mean_s: f64,
    /// 99th percentile of the same.
    pub itl_p99_s: f64,
    /// Stalls during the calibration.
    pub stalls: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Ramp;

    #[test]
    fn metadata_round_trips_through_json() {
        let experiment = Experiment {
            loads: vec![
                Load::Concurrency { concurrency: 4 },
                Load::Rate {
                    per_second: 12.5,
                    ramp: None,
                    arrivals: "poisson".to_owned(),
                    max_concurrency: Some(64),
                },
                Load::Rate {
                    per_second: 20.0,
                    ramp: Some(Ramp {
                        from: 2.0,
                        seconds: 1.5,
                    }),
                    arrivals: "constant".to_owned(),
                    max_concurrency: None,
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
