//! The options of `polyllm bench`; names are genai-bench's where it has the option.

use std::path::PathBuf;
use std::time::Duration;

use llm_bench::{ArrivalProcess, TextApi};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::args::key_variables;
use crate::args::number::{not_negative, positive, positive_share};
use crate::bench::commands::BenchCommand;
use crate::bench::mlflow::Mlflow;
use crate::bench::option_values::{
    BackendName, Header, IterationName, Rate, SearchKind, Secret, TaskName, TimeUnit, as_text,
    minutes, object, price, share,
};
use crate::bench::theirs::Theirs;

/// Measure latency, throughput and errors of a model at several loads
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    // As in genai-bench, of an option that is given twice the last one counts.
    args_override_self = true,
    subcommand_negates_reqs = true,
    after_help = after_help()
)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) command: Option<BenchCommand>,
    #[command(flatten)]
    pub(crate) api: Api,
    #[command(flatten)]
    pub(crate) load: Load,
    #[command(flatten)]
    pub(crate) prompts: Prompts,
    #[command(flatten)]
    pub(crate) measuring: Measurement,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) distributed: Distributed,
    #[command(flatten)]
    pub(crate) theirs: Theirs,
}

/// The examples, the keys that the providers declare, and the exit statuses.
fn after_help() -> String {
    let keys: Vec<&str> = key_variables().map(|(_, variable)| variable).collect();
    format!(
        "The options are genai-bench's; `genai-bench benchmark …` runs as `polyllm bench …`.\n\nExamples:\n  polyllm bench --api-model-name openai/gpt-oss-20b --traffic-scenario 'D(100,100)' \\\n    --num-concurrency 1,8,64 --max-requests-per-run 500\n  polyllm bench --api-backend replicate --api-model-name meta/meta-llama-3-8b-instruct \\\n    --num-concurrency 4\n  polyllm bench --api-backend openai --api-base http://127.0.0.1:4000 --api-model-name llama-3 \\\n    --request-rate 5,10,20 --arrivals poisson --against https://api.together.xyz\n  polyllm bench --api-model-name m/n --find-max-load rate --goodput ttft:200ms --goodput tpot:20ms\n  polyllm bench --api-backend vllm --api-base http://127.0.0.1:8000 --api-model-name m \\\n    --endpoint-type responses --no-stream --header x-team=red\n  polyllm bench trace generate --jobs 50 --seed 1 -o agents.jsonl\n  polyllm bench --api-model-name m/n --trace agents.jsonl --num-concurrency 4\n  polyllm bench --calibrate --num-concurrency 256\n\nKeys: --api-key, else {}; keys are never written to files.\nHTTPS trusts the system's certificates, or those of SSL_CERT_FILE, and those of --ca-file.\nImages, tokenizers, spreadsheets and coordinators need `cargo install --path crates/polyllm-cli --features full`.\nMLFLOW_TRACKING_TOKEN, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD are the credentials for --mlflow.\nExit status: 0 success, 1 no request succeeded, 2 usage error, 130 interrupted (with a report).",
        keys.join(" or ")
    )
}

#[derive(Clone, Debug, Deserialize, Serialize, clap::Args)]
#[command(next_help_heading = "Target")]
#[serde(deny_unknown_fields)]
pub(crate) struct Api {
    /// The API dialect
    #[arg(long, value_enum, default_value = "together")]
    pub(crate) api_backend: BackendName,
    /// The address, with or without /v1 [default: the backend's own]; several with weights, as in
    /// http://a=3,http://b=1, share the load, and a job stays at one
    #[arg(long, value_name = "URL[=WEIGHT],…")]
    pub(crate) api_base: Option<String>,
    /// The API key [default: from the environment]
    #[arg(
        long,
        visible_alias = "model-api-key",
        value_name = "KEY",
        env = "MODEL_API_KEY",
        hide_env_values = true
    )]
    #[serde(skip)]
    pub(crate) api_key: Option<Secret>,
    /// The model, by the API's name; or several with weights, as in m=3,n=1
    #[arg(long, value_name = "MODEL[=WEIGHT],…", required_unless_present_any = ["calibrate"])]
    pub(crate) api_model_name: Option<String>,
    /// The task
    #[arg(long, value_enum, default_value = "text-to-text")]
    pub(crate) task: TaskName,
    /// The API for text: chat, completions, messages (Anthropic's) or responses (OpenAI's)
    #[arg(long, value_name = "API", default_value = "chat")]
    #[serde(with = "as_text")]
    pub(crate) endpoint_type: TextApi,
    /// A JSON object that is merged into every request
    #[arg(long, value_name = "JSON", value_parser = object)]
    pub(crate) additional_request_params: Option<Map<String, Value>>,
    /// Request text in one piece instead of a stream
    #[arg(long)]
    pub(crate) no_stream: bool,
    /// A header of every request to --api-base, as NAME=VALUE (can be repeated)
    #[arg(long, value_name = "NAME=VALUE")]
    #[serde(skip)]
    pub(crate) header: Vec<Header>,
    /// Also trust the certificate authorities in this PEM file
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Accept any certificate: others could read the key
    #[arg(long)]
    #[serde(skip)]
    pub(crate) insecure: bool,
    /// A second address: every request is sent to both, and the difference is reported
    #[arg(long, value_name = "URL")]
    pub(crate) against: Option<String>,
    /// The API dialect of the second address, if different
    #[arg(long, value_enum, value_name = "BACKEND", requires = "against")]
    pub(crate) against_backend: Option<BackendName>,
    /// The key of the second address, if different
    #[arg(long, value_name = "KEY", requires = "against")]
    #[serde(skip)]
    pub(crate) against_api_key: Option<Secret>,
    /// The name of the model in reports
    #[arg(long = "model", value_name = "LABEL")]
    pub(crate) model_label: Option<String>,
    /// A label for reports: vLLM, SGLang …
    #[arg(long, value_name = "NAME")]
    pub(crate) server_engine: Option<String>,
    /// A label for reports
    #[arg(long, value_name = "VERSION")]
    pub(crate) server_version: Option<String>,
    /// A label for reports: H100, MI300 …
    #[arg(long, value_name = "NAME")]
    pub(crate) server_gpu_type: Option<String>,
    /// A label for reports
    #[arg(long, value_name = "N")]
    pub(crate) server_gpu_count: Option<u32>,
}

#[derive(Clone, Debug, Deserialize, Serialize, clap::Args)]
#[command(next_help_heading = "Load")]
#[serde(deny_unknown_fields)]
pub(crate) struct Load {
    /// Requests in flight, one run each [default: 1,2,4,8,16,32,64,128,256; 1 for batches]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) num_concurrency: Vec<u32>,
    /// Documents per request of embeddings or rerank, one run each at every concurrency
    /// [default: 1,2,4,8,24,48,96]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) batch_size: Vec<u32>,
    /// The parameter in which runs differ, for reports
    #[arg(long, value_enum)]
    pub(crate) iteration_type: Option<IterationName>,
    /// Requests per second instead of a concurrency, one run each; 1..20 rises over --ramp-up
    #[arg(long, value_name = "R,…", value_delimiter = ',', conflicts_with_all = ["num_concurrency", "trace"])]
    pub(crate) request_rate: Vec<Rate>,
    /// The arrival process of a rate: constant, poisson or gamma:SHAPE
    #[arg(long, value_name = "HOW", default_value = "constant")]
    #[serde(with = "as_text")]
    pub(crate) arrivals: ArrivalProcess,
    /// The limit of requests in flight for a rate or a trace; the wait of later ones counts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) max_concurrency: Option<u32>,
    /// Replay a trace: JSON Lines with timestamp in milliseconds, input_length, output_length and
    /// hash_ids, as in Mooncake's traces; or with prompt or messages; or conversations of agents with
    /// turns, delays and helpers, as in AIPerf's (see `bench trace`). With --num-concurrency N, N
    /// requests or jobs run at a time; otherwise they start at their recorded times
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// The speed of the replay, as a factor
    #[arg(long, value_name = "X", default_value_t = 1.0, requires = "trace")]
    pub(crate) trace_speed: f64,
    /// The time until the whole load is active, such as 30s
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) ramp_up: Option<Duration>,
    /// The same in slots per second
    #[arg(long, value_name = "N", conflicts_with = "ramp_up", value_parser = positive)]
    pub(crate) spawn_rate: Option<f64>,
    /// Search the highest load that meets --goodput: doubling, then bisection
    #[arg(
        long,
        value_enum,
        value_name = "KIND",
        requires = "goodput",
        conflicts_with = "trace"
    )]
    pub(crate) find_max_load: Option<SearchKind>,
    /// The upper end of the search: if it meets the objectives, the result is "at least" this
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4096.0,
        value_parser = positive,
        requires = "find_max_load"
    )]
    pub(crate) search_limit: f64,
    /// An objective of every request, such as ttft:200ms or tpot:20ms (can be repeated)
    #[arg(long, value_name = "METRIC:LIMIT", num_args = 1..)]
    pub(crate) goodput: Vec<String>,
    /// A tier of goodput with its own objectives, as NAME=METRIC:LIMIT,… (can be repeated)
    #[arg(long, value_name = "NAME=OBJECTIVES")]
    pub(crate) goodput_tier: Vec<String>,
    /// The share of requests that must meet the objectives
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.95,
        value_parser = positive_share,
        requires = "find_max_load"
    )]
    pub(crate) attainment: f64,
    /// Continue with the other runs after one in which nothing can succeed, such as with a wrong key
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// End a run at a rate if requests arrive faster than they finish
    #[arg(long)]
    pub(crate) stop_on_saturation: bool,
    /// The time limit of a run: minutes, or with a unit such as 90s [default: 10]
    #[arg(long, value_name = "MINUTES", value_parser = minutes)]
    pub(crate) max_time_per_run: Option<Duration>,
    /// Requests per run [default: 100, and at least 10 per request in flight]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_requests_per_run: Option<u64>,
    /// End a run after this many failed requests
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_errors: Option<u64>,
    /// Send a request again after status 429, at most this often and when the server says; the
    /// waits are a part of its latencies
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100))]
    pub(crate) rate_limit_retries: u32,
    /// Run every point this often; the report has 95 % intervals across the repeats
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100), conflicts_with = "find_max_load")]
    pub(crate) repeat: u32,
    /// The cost limit in dollars, by --price
    #[arg(long, value_name = "DOLLARS", requires = "price", value_parser = not_negative)]
    pub(crate) max_cost: Option<f64>,
    /// Dollars per million input tokens and per million output tokens
    #[arg(long, value_name = "IN,OUT", value_parser = price)]
    pub(crate) price: Option<(f64, f64)>,
}

#[derive(Clone, Debug, Deserialize, Serialize, clap::Args)]
#[command(next_help_heading = "Prompts")]
#[serde(deny_unknown_fields)]
pub(crate) struct Prompts {
    /// The lengths of prompts and outputs (can be repeated): D(in,out), N(mean,sd)/(mean,sd),
    /// U(min,max)/(min,max), E(tokens), R(document,query), I(width,height), dataset; at most
    /// 10,000,000 tokens and 8,192 pixels per side
    #[arg(long, value_name = "SCENARIO")]
    pub(crate) traffic_scenario: Vec<String>,
    /// Prompts: a .txt, .csv, .json or .jsonl file, a dataset config, or a dataset on Hugging Face
    #[arg(long, value_name = "PATH", conflicts_with = "dataset_config")]
    pub(crate) dataset_path: Option<PathBuf>,
    /// The dataset config, in genai-bench's JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset_config: Option<PathBuf>,
    /// The column of prompts
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset_prompt_column: Option<String>,
    /// The column of images
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset_image_column: Option<String>,
    /// The length of a prefix that all prompts share, in tokens
    #[arg(long, value_name = "N", conflicts_with = "prefix_ratio")]
    pub(crate) prefix_len: Option<u64>,
    /// The length of that prefix as a share of each prompt
    #[arg(long, value_name = "SHARE")]
    pub(crate) prefix_ratio: Option<f64>,
    /// Count tokens if the server does not: a tokenizer.json, or a model's name on Hugging Face
    #[arg(long, value_name = "PATH")]
    pub(crate) model_tokenizer: Option<PathBuf>,
    /// The seed of all random choices
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize, clap::Args)]
#[command(next_help_heading = "Measurement")]
#[serde(deny_unknown_fields)]
pub(crate) struct Measurement {
    /// Open a connection for every request and include it in the times
    #[arg(long)]
    pub(crate) new_connections: bool,
    /// The timeout of a response
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
    /// How long running requests may take when a run ends, before they are cancelled
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) drain_timeout: Duration,
    /// The share of completed requests that is excluded at the beginning of a run
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) warmup_ratio: Option<f64>,
    /// The share of completed requests that is excluded at the end of a run
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) cooldown_ratio: Option<f64>,
    /// Measurement threads [default: one per 256 in flight, on at most half of
    /// the processors]
    #[arg(long, visible_alias = "threads", value_name = "N")]
    pub(crate) num_workers: Option<u32>,
    /// The poll interval of Replicate predictions without a stream
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = humantime::parse_duration)]
    pub(crate) poll_interval: Duration,
    /// A Replicate prediction that waits longer than this counts as a cold boot
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    pub(crate) cold_after: Duration,
    /// Read the metrics of a server once per second during each run and draw them under the same
    /// time axis: vLLM's, SGLang's, the gateway's, a GPU exporter's … (can be repeated)
    #[arg(long, value_name = "URL")]
    #[serde(skip)]
    pub(crate) server_metrics: Vec<String>,
    /// Measure only this client, against a simulation with known times
    #[arg(long)]
    #[serde(skip)]
    pub(crate) calibrate: bool,
    /// Skip the short calibration that follows each run, of half a second
    #[arg(long, conflicts_with = "calibrate")]
    pub(crate) no_calibration: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// The name of the results' folder
    #[arg(long, value_name = "NAME")]
    pub(crate) experiment_folder_name: Option<String>,
    /// The parent of that folder
    #[arg(long, value_name = "DIR")]
    pub(crate) experiment_base_dir: Option<PathBuf>,
    /// The unit of times on the terminal; files use seconds
    #[arg(long, value_enum, default_value = "ms")]
    pub(crate) metrics_time_unit: TimeUnit,
    /// Print only a line of JSON per run
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) mlflow: Mlflow,
}

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Several machines")]
pub(crate) struct Distributed {
    /// Let workers measure at the same time, over redis://… or nats://…: see `bench worker`
    #[arg(
        long,
        value_name = "URL",
        requires = "workers",
        conflicts_with = "calibrate"
    )]
    pub(crate) coordinator: Option<String>,
    /// The number of workers; each measures with the whole configured load
    #[arg(long, value_name = "N", requires = "coordinator", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) workers: Option<u16>,
    /// The session that leader and workers share
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) session: String,
    /// The file of the secret that leader and workers share [default: POLYLLM_BENCH_SECRET]
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// How long to wait for the workers to join
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(crate) patience: Duration,
}
