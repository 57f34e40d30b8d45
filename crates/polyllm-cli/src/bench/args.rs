//! The options of `polyllm bench`: genai-bench's names where it has them.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use llm_bench::{ArrivalProcess, Backend, Task, TrafficScenario};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::args::number::{not_negative, positive, positive_share};
use crate::bench::after::After;

/// Measure a model: latency, throughput, errors, at one load after another
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "The options are genai-bench's; `genai-bench benchmark …` runs as `polyllm bench …`.\n\nExamples:\n  polyllm bench --api-model-name openai/gpt-oss-20b --traffic-scenario 'D(100,100)' \\\n    --num-concurrency 1,8,64 --max-requests-per-run 500\n  polyllm bench --api-backend replicate --api-model-name meta/meta-llama-3-8b-instruct --num-concurrency 4\n  polyllm bench --api-backend openai --api-base http://127.0.0.1:4000 --api-model-name llama-3 \\\n    --request-rate 5,10,20 --arrivals poisson --against https://api.together.xyz\n  polyllm bench --api-model-name m/n --find-max-load rate --goodput ttft:200ms --goodput tpot:20ms\n  polyllm bench --calibrate --num-concurrency 256\n\nKeys: --api-key, else TOGETHERAI_API_KEY, REPLICATE_API_KEY or OPENAI_API_KEY; none is written anywhere.\nHTTPS trusts the system's certificates, or those of SSL_CERT_FILE.\nImages, tokenizers, spreadsheets and coordinators need `cargo install --path crates/polyllm-cli --features full`.\nExit status: 0 measured, 1 nothing was answered, 2 misused, 130 interrupted (with a report)."
)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) after: Option<After>,
    #[command(flatten)]
    pub(crate) api: Api,
    #[command(flatten)]
    pub(crate) load: Load,
    #[command(flatten)]
    pub(crate) prompts: Prompts,
    #[command(flatten)]
    pub(crate) measuring: Measuring,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) together: Together,
}

#[derive(Clone, Debug, Deserialize, Serialize, clap::Args)]
#[command(next_help_heading = "What is measured")]
#[serde(deny_unknown_fields)]
pub(crate) struct Api {
    /// Whose API it is
    #[arg(long, value_enum, default_value = "together")]
    pub(crate) api_backend: BackendName,
    /// The address, with or without /v1; the backend's own without it
    #[arg(long, value_name = "URL")]
    pub(crate) api_base: Option<String>,
    /// The API key; from the environment without it
    #[arg(
        long,
        visible_alias = "model-api-key",
        value_name = "KEY",
        env = "MODEL_API_KEY",
        hide_env_values = true
    )]
    #[serde(skip)]
    pub(crate) api_key: Option<Secret>,
    /// The model, by the API's name
    #[arg(long, value_name = "MODEL", required_unless_present_any = ["calibrate"])]
    pub(crate) api_model_name: Option<String>,
    /// What the model does
    #[arg(long, value_enum, default_value = "text-to-text")]
    pub(crate) task: TaskName,
    /// A JSON object, merged into every request
    #[arg(long, value_name = "JSON", value_parser = object)]
    pub(crate) additional_request_params: Option<Map<String, Value>>,
    /// A second address: every request goes to both, and their difference is reported
    #[arg(long, value_name = "URL")]
    pub(crate) against: Option<String>,
    /// Whose API that is, if another's
    #[arg(long, value_enum, value_name = "BACKEND", requires = "against")]
    pub(crate) against_backend: Option<BackendName>,
    /// The key for it, if another
    #[arg(long, value_name = "KEY", requires = "against")]
    #[serde(skip)]
    pub(crate) against_api_key: Option<Secret>,
    /// What to call the model in reports
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
#[command(next_help_heading = "How much load")]
#[serde(deny_unknown_fields)]
pub(crate) struct Load {
    /// Requests in flight, a run for each [default: 1,2,4,8,16,32,64,128,256; 1 for batches]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) num_concurrency: Vec<u32>,
    /// Documents in a request of embeddings or rerank, a run for each with every concurrency
    /// [default: 1,2,4,8,24,48,96]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) batch_size: Vec<u32>,
    /// What reports call the parameter that runs differ in
    #[arg(long, value_enum)]
    pub(crate) iteration_type: Option<IterationName>,
    /// Requests a second instead of a concurrency, a run for each; 1..20 rises over --ramp-up
    #[arg(long, value_name = "R,…", value_delimiter = ',', conflicts_with_all = ["num_concurrency", "trace"])]
    pub(crate) request_rate: Vec<Rate>,
    /// How requests at a rate are spread: constant, poisson or gamma:SHAPE
    #[arg(long, value_name = "HOW", default_value = "constant")]
    #[serde(with = "as_text")]
    pub(crate) arrivals: ArrivalProcess,
    /// The most requests in flight at a rate or of a trace; later ones wait, and that counts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) max_concurrency: Option<u32>,
    /// Send requests when those of a trace were sent (JSON Lines with timestamp in milliseconds,
    /// input_length, output_length, hash_ids: Mooncake's form; or with prompt or messages)
    #[arg(long, value_name = "FILE", conflicts_with = "num_concurrency")]
    pub(crate) trace: Option<PathBuf>,
    /// How much faster than the trace
    #[arg(long, value_name = "X", default_value_t = 1.0, requires = "trace")]
    pub(crate) trace_speed: f64,
    /// How long until the whole load is on, such as 30s
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) ramp_up: Option<Duration>,
    /// The same in slots a second
    #[arg(long, value_name = "N", conflicts_with = "ramp_up", value_parser = positive)]
    pub(crate) spawn_rate: Option<f64>,
    /// Look for the highest load that meets --goodput: double it until it does not, then bisect
    #[arg(
        long,
        value_enum,
        value_name = "KIND",
        requires = "goodput",
        conflicts_with = "trace"
    )]
    pub(crate) find_max_load: Option<SearchKind>,
    /// Where the search ends
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4096.0,
        value_parser = positive,
        requires = "find_max_load"
    )]
    pub(crate) search_limit: f64,
    /// An objective of every request, such as ttft:200ms or tpot:20ms (repeat it for more)
    #[arg(long, value_name = "METRIC:LIMIT", num_args = 1..)]
    pub(crate) goodput: Vec<String>,
    /// The share of requests that has to meet the objectives
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.95,
        value_parser = positive_share,
        requires = "find_max_load"
    )]
    pub(crate) attainment: f64,
    /// End a run at a rate when requests come in faster than they are answered
    #[arg(long)]
    pub(crate) stop_on_saturation: bool,
    /// Start no request later: minutes, or with a unit such as 90s [default: 10]
    #[arg(long, value_name = "MINUTES", value_parser = minutes)]
    pub(crate) max_time_per_run: Option<Duration>,
    /// Requests in a run [default: 100, and at least 10 for each in flight]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_requests_per_run: Option<u64>,
    /// Dollars to spend at most, by --price
    #[arg(long, value_name = "DOLLARS", requires = "price", value_parser = not_negative)]
    pub(crate) max_cost: Option<f64>,
    /// Dollars per million tokens, in and out
    #[arg(long, value_name = "IN,OUT", value_parser = price)]
    pub(crate) price: Option<(f64, f64)>,
}

#[derive(Clone, Debug, Deserialize, Serialize, clap::Args)]
#[command(next_help_heading = "What is asked")]
#[serde(deny_unknown_fields)]
pub(crate) struct Prompts {
    /// How long prompts and answers are (repeat it for more): D(in,out), N(mean,sd)/(mean,sd),
    /// U(min,max)/(min,max), E(tokens), R(document,query), I(width,height), dataset; at most
    /// 10,000,000 tokens and 8,192 pixels a side
    #[arg(long, value_name = "SCENARIO")]
    pub(crate) traffic_scenario: Vec<String>,
    /// Prompts: a .txt, .csv, .json or .jsonl file, a dataset config, or a dataset on Hugging Face
    #[arg(long, value_name = "PATH", conflicts_with = "dataset_config")]
    pub(crate) dataset_path: Option<PathBuf>,
    /// How to read a dataset, in genai-bench's JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset_config: Option<PathBuf>,
    /// The column with prompts
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset_prompt_column: Option<String>,
    /// The column with images
    #[arg(long, value_name = "NAME")]
    pub(crate) dataset_image_column: Option<String>,
    /// Tokens that all prompts begin with alike
    #[arg(long, value_name = "N", conflicts_with = "prefix_ratio")]
    pub(crate) prefix_len: Option<u64>,
    /// The share of a prompt that all begin with alike
    #[arg(long, value_name = "SHARE")]
    pub(crate) prefix_ratio: Option<f64>,
    /// A tokenizer.json, to count tokens where the server does not
    #[arg(long, value_name = "PATH")]
    pub(crate) model_tokenizer: Option<PathBuf>,
    /// What random choices begin with
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize, clap::Args)]
#[command(next_help_heading = "How it is measured")]
#[serde(deny_unknown_fields)]
pub(crate) struct Measuring {
    /// Open a connection for every request, and count that as part of it
    #[arg(long)]
    pub(crate) new_connections: bool,
    /// How long an answer may take
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
    /// How long requests under way may take when a run ends; then they are given up
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) drain_timeout: Duration,
    /// The share of completed requests left out at the beginning of a run
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) warmup_ratio: Option<f64>,
    /// The share of completed requests left out at the end of a run
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) cooldown_ratio: Option<f64>,
    /// Threads that measure [default: one for 256 in flight]
    #[arg(long, visible_alias = "threads", value_name = "N")]
    pub(crate) num_workers: Option<u32>,
    /// Between two looks at a Replicate prediction that has no stream
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = humantime::parse_duration)]
    pub(crate) poll_interval: Duration,
    /// A Replicate prediction that waits longer than this to start counts as a cold boot
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    pub(crate) cold_after: Duration,
    /// Only measure this client itself, against a simulation whose times are known
    #[arg(long)]
    #[serde(skip)]
    pub(crate) calibrate: bool,
    /// Do without the short calibration before each run
    #[arg(long, conflicts_with = "calibrate")]
    pub(crate) no_calibration: bool,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What comes out")]
pub(crate) struct Output {
    /// The name of the results' folder
    #[arg(long, value_name = "NAME")]
    pub(crate) experiment_folder_name: Option<String>,
    /// Where that folder is made
    #[arg(long, value_name = "DIR")]
    pub(crate) experiment_base_dir: Option<PathBuf>,
    /// The unit of times on the terminal; files are in seconds
    #[arg(long, value_enum, default_value = "ms")]
    pub(crate) metrics_time_unit: TimeUnit,
    /// Print a line of JSON for each run, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Several machines")]
pub(crate) struct Together {
    /// Have workers measure at one time, who meet at redis://… or nats://…: see `bench worker`
    #[arg(
        long,
        value_name = "URL",
        requires = "workers",
        conflicts_with = "calibrate"
    )]
    pub(crate) coordinator: Option<String>,
    /// How many workers; each measures at the whole load that is asked for
    #[arg(long, value_name = "N", requires = "coordinator", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) workers: Option<u16>,
    /// The name that leader and workers meet under
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) session: String,
    /// The file that holds the secret which leader and workers share; POLYLLM_BENCH_SECRET
    /// without it
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// How long to wait for the workers to come
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(crate) patience: Duration,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BackendName {
    Together,
    #[value(alias = "vllm", alias = "sglang")]
    Openai,
    Replicate,
}

impl From<BackendName> for Backend {
    fn from(name: BackendName) -> Self {
        match name {
            BackendName::Together => Self::Together,
            BackendName::Openai => Self::OpenAi,
            BackendName::Replicate => Self::Replicate,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TaskName {
    TextToText,
    ImageTextToText,
    TextToEmbeddings,
    TextToRerank,
}

impl From<TaskName> for Task {
    fn from(name: TaskName) -> Self {
        match name {
            TaskName::TextToText => Self::TextToText,
            TaskName::ImageTextToText => Self::ImageTextToText,
            TaskName::TextToEmbeddings => Self::TextToEmbeddings,
            TaskName::TextToRerank => Self::TextToRerank,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum IterationName {
    NumConcurrency,
    BatchSize,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SearchKind {
    Concurrency,
    Rate,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum TimeUnit {
    S,
    Ms,
}

/// A key that cannot be shown.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) polyllm::ApiKey);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(polyllm::ApiKey::new(text)))
    }
}

/// `20`, or `1..20`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    pub(crate) from: f64,
    pub(crate) to: f64,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let number = text.trim().parse::<f64>().ok();
            number
                .filter(|n| n.is_finite() && *n >= 0.0)
                .ok_or_else(|| "expected requests per second, as in 10 or 1..20".to_owned())
        };
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let (from, to) = (number(from)?, number(to)?);
        if to == 0.0 {
            return Err("the rate has to end above 0".to_owned());
        }
        Ok(Self { from, to })
    }
}

/// The scenarios in one value; their own commas stand in parentheses.
pub(crate) fn scenarios(text: &str) -> Result<Vec<TrafficScenario>, llm_bench::Error> {
    let mut depth = 0_i32;
    let parts = text.split(|c| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        c == ',' && depth == 0
    });
    parts.map(str::parse).collect()
}

/// A value as the text that its parser reads.
mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("it has to be a JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn minutes(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(minutes) => Duration::try_from_secs_f64(minutes * 60.0).map_err(|e| e.to_string()),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string()),
    }
}

fn price(text: &str) -> Result<(f64, f64), String> {
    let (input, output) = text
        .split_once(',')
        .ok_or("it has to be IN,OUT, as in 0.2,0.6")?;
    Ok((not_negative(input)?, not_negative(output)?))
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("it has to be at least 0 and below 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_documented() {
        assert_eq!(
            "1..20".parse(),
            Ok(Rate {
                from: 1.0,
                to: 20.0
            })
        );
        assert_eq!("7.5".parse(), Ok(Rate { from: 7.5, to: 7.5 }));
        assert!("0".parse::<Rate>().is_err() && "x".parse::<Rate>().is_err());
        assert_eq!(minutes("2"), Ok(Duration::from_secs(120)));
        assert_eq!(minutes("90s"), Ok(Duration::from_secs(90)));
        assert!(minutes("-1").is_err());
        assert_eq!(price("0.2, 0.6"), Ok((0.2, 0.6)));
        assert_eq!(scenarios("D(1,2),N(3,4)/(5,6)").unwrap().len(), 2);
        assert!(scenarios("D(1,2),").is_err());
    }
}
