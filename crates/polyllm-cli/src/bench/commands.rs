//! The subcommands: `bench compare`, `excel`, `merge`, `plot`, `report` and `worker`.

use std::path::PathBuf;

use bench_report::Format;
use clap::{Subcommand, ValueEnum};
use llm_bench::stats::Statistic;

use crate::args::number::positive;
use crate::bench::mlflow::Mlflow;
use crate::bench::option_values::share;
use crate::bench::permissions::AllowedBase;

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    Compare(Compare),
    Excel(Excel),
    Merge(Merge),
    Plot(Plot),
    Report(Report),
    Trace(Trace),
    Worker(Worker),
}

/// Make a trace of agents for --trace
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A line of the trace is a conversation: session_id; timestamp in milliseconds; and turns. A turn has\ninput_length (tokens of a synthetic message), text or messages; output_length; delay in\nmilliseconds after the last response, such as the run time of a tool; and spawns, the ids of\nhelpers. Its model is that of the command line, unless it has a member model. A helper is a conversation of its own, which starts after that turn; the next turn waits\nfor it, or turn N with {\"children\": [\"ID\"], \"join_at\": N}. With forks, it continues the\nconversation. All conversations that start each other are a job.\n\nExamples:\n  polyllm bench trace generate --jobs 50 --seed 1 --jobs-per-second 0.5 -o agents.jsonl\n  curl -H 'authorization: Bearer KEY' 'http://127.0.0.1:4000/spend/logs?size=1000' > log.json\n  polyllm bench trace record log.json -o agents.jsonl\n  polyllm bench --api-model-name m/n --trace agents.jsonl --num-concurrency 4"
)]
pub(crate) struct Trace {
    #[command(subcommand)]
    pub(crate) command: TraceCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TraceCommand {
    Generate(GenerateTrace),
    Record(RecordTrace),
}

/// Generate jobs that look like those of coding agents: long growing prompts, short results of tools
#[derive(Debug, clap::Args)]
pub(crate) struct GenerateTrace {
    /// The number of jobs
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) jobs: u32,
    /// Jobs that start per second on average [default: no times; set --num-concurrency]
    #[arg(long, value_name = "R", value_parser = positive)]
    pub(crate) jobs_per_second: Option<f64>,
    /// The mean number of turns of a job, without helpers
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) turns: u32,
    /// The share of turns that start one to three helpers
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    pub(crate) helpers: f64,
    /// Tokens of the system prompt, which all jobs share
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub(crate) system_tokens: u64,
    /// The seed: equal options give equal traces
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Convert a gateway's log, from GET /spend/logs, to lengths and times without keys, users and models
#[derive(Debug, clap::Args)]
pub(crate) struct RecordTrace {
    /// The log: a JSON array, or JSON Lines
    #[arg(value_name = "FILE")]
    pub(crate) log: PathBuf,
    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Compare two experiments; exit status 1 if a condition of --fail-if holds
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A CONDITION is `p99(ttft) > +5%`: a statistic (mean, min, max, median, p50, p99.9 …) of a\nmetric (ttft, tpot, e2e, itl, inter_chunk, ttft_from_schedule …), or error_rate, goodput,\nrps, input_throughput, output_throughput, total_throughput; then >, >=, < or <=; then a limit.\nA limit with a sign applies to the change (+5%, +10ms, +1pp), one without a sign to the second\nexperiment alone (200ms, 1%). Combine conditions by and, or, not and parentheses. The\ncommand fails if it holds for a pair of runs, if a quantity was not measured, or if the second\nexperiment lacks a run of the first.\n\nExamples:\n  polyllm bench compare main branch --fail-if 'p99(ttft) > +5%' --fail-if 'error_rate > 1%'\n  polyllm bench compare main branch --significant --fail-if 'mean(tpot) > +2% or rps < -5%'"
)]
pub(crate) struct Compare {
    /// The folder of the first experiment, the baseline
    pub(crate) before: PathBuf,
    /// The folder of the second experiment
    pub(crate) after: PathBuf,
    /// Fail if this holds for any pair of runs (can be repeated)
    #[arg(long, value_name = "CONDITION")]
    pub(crate) fail_if: Vec<String>,
    /// Ignore changes that are not significant (95 %, by the bootstrap)
    #[arg(long)]
    pub(crate) significant: bool,
    /// Write an HTML page about both
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Print each pair of runs as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Merge what several machines measured together into one experiment
#[derive(Debug, clap::Args)]
pub(crate) struct Merge {
    /// The folders of experiments, or folders that contain them
    #[arg(required = true, value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
    /// The folder to write
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
}

/// Write the reports of an experiment, or one HTML page about several
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For one experiment, all reports are written into its folder: HTML, Markdown, CSV, spreadsheet and\nplots. For several, one HTML page shows them side by side. Folders of genai-bench are supported."
)]
pub(crate) struct Report {
    /// The folders of experiments, or folders that contain them
    #[arg(required = true, value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
    /// Write only these formats, for a single experiment [default: all formats of this build except
    /// png and parquet]
    #[arg(long, value_enum, value_name = "FORMAT,…", value_delimiter = ',')]
    pub(crate) format: Vec<FormatName>,
    /// The HTML page about several experiments
    #[arg(short, long, value_name = "FILE", default_value = "comparison.html")]
    pub(crate) output: PathBuf,
    /// Print the statistics of each run as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) mlflow: Mlflow,
}

/// Write a spreadsheet of an experiment, with genai-bench's options
#[derive(Debug, clap::Args)]
pub(crate) struct Excel {
    /// The folder of the experiment, ours or genai-bench's
    #[arg(long, value_name = "DIR")]
    pub(crate) experiment_folder: PathBuf,
    /// The name of the spreadsheet, without .xlsx
    #[arg(long, value_name = "NAME")]
    pub(crate) excel_name: String,
    /// The statistic of latencies and speed
    #[arg(long, value_name = "STATISTIC", default_value = "mean", value_parser = statistic)]
    pub(crate) metric_percentile: Statistic,
    /// Accepted for compatibility; files always use seconds
    #[arg(long, value_name = "UNIT", default_value = "s")]
    pub(crate) metrics_time_unit: String,
}

/// Write the charts of experiments as SVG or PNG files, with genai-bench's options
#[derive(Debug, clap::Args)]
pub(crate) struct Plot {
    /// The folder of an experiment, or a folder that contains experiments; receives the files
    #[arg(long, value_name = "DIR")]
    pub(crate) experiments_folder: PathBuf,
    /// The field of the metadata that names the lines of several experiments, such as
    /// server_version; traffic_scenario and none name them by experiment and scenario
    #[arg(long, value_name = "FIELD", default_value = "none")]
    pub(crate) group_key: String,
    /// Only experiments whose metadata have these values, as a JSON object; traffic_scenario takes a
    /// list, and only these scenarios are shown
    #[arg(long, value_name = "JSON")]
    pub(crate) filter_criteria: Option<String>,
    /// The format of the files; png needs a font on this machine
    #[arg(long, value_name = "FORMAT", default_value = "svg")]
    pub(crate) format: ChartFormat,
    /// Print the fields for --group-key and --filter-criteria
    #[arg(long)]
    pub(crate) list_fields: bool,
    /// Check the options and the folder, and write nothing
    #[arg(long)]
    pub(crate) validate_only: bool,
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) preset: Option<String>,
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) plot_config: Option<PathBuf>,
    #[arg(long, value_name = "UNIT", hide = true)]
    pub(crate) metrics_time_unit: Option<String>,
}

fn statistic(text: &str) -> Result<Statistic, String> {
    let percentiles = [25.0, 50.0, 75.0, 90.0, 95.0, 99.0].map(Statistic::Percentile);
    let known = [Statistic::Mean].into_iter().chain(percentiles);
    let mut found = known.filter(|statistic| statistic.to_string() == text);
    found
        .next()
        .ok_or_else(|| "expected mean, p25, p50, p75, p90, p95 or p99".to_owned())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FormatName {
    Html,
    #[value(alias = "markdown")]
    Md,
    Csv,
    Parquet,
    Xlsx,
    Svg,
    Png,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ChartFormat {
    Svg,
    Png,
}

impl From<ChartFormat> for Format {
    fn from(name: ChartFormat) -> Self {
        match name {
            ChartFormat::Svg => Self::Svg,
            ChartFormat::Png => Self::Png,
        }
    }
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Html => Self::Html,
            FormatName::Md => Self::Markdown,
            FormatName::Csv => Self::Csv,
            FormatName::Parquet => Self::Parquet,
            FormatName::Xlsx => Self::Xlsx,
            FormatName::Svg => Self::Svg,
            FormatName::Png => Self::Png,
        }
    }
}

/// Measure for a leader on another machine (`polyllm bench --coordinator`)
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The leader decides what is measured, within the limits of this command line: no address and no\nfolder other than the ones given here is used. The key is this machine's own, from its\nenvironment; it is never sent to the leader.\n\nLeader and workers authenticate their messages by a shared secret, from POLYLLM_BENCH_SECRET or a\nfile. Messages are not encrypted: anyone with access to the coordinator can read plans and results.\n\nExample, on each of two machines, and then on a third:\n  openssl rand -hex 32 > secret    (once; copy it to all three)\n  polyllm bench worker --coordinator redis://10.0.0.1 --secret-file secret \\\n    --allow-base https://api.together.xyz\n  polyllm bench --coordinator redis://10.0.0.1 --secret-file secret --workers 2 \\\n    --api-model-name openai/gpt-oss-20b --num-concurrency 64,128 --max-requests-per-run 5000"
)]
pub(crate) struct Worker {
    /// Redis or NATS: redis://… or nats://…
    #[arg(long, value_name = "URL")]
    pub(crate) coordinator: String,
    /// The session that leader and workers share
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) session: String,
    /// The file of the secret that leader and workers share [default: POLYLLM_BENCH_SECRET]
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// An address that may be measured, with this machine's key for its API (can be repeated):
    /// together=URL, replicate=URL or openai=URL; the API's own address needs no prefix
    #[arg(long, value_name = "[BACKEND=]URL")]
    pub(crate) allow_base: Vec<AllowedBase>,
    /// A folder whose datasets, traces and tokenizers may be read (can be repeated)
    #[arg(long, value_name = "DIR")]
    pub(crate) allow_folder: Vec<PathBuf>,
    /// Allow datasets from Hugging Face, with this machine's HF_TOKEN
    #[arg(long)]
    pub(crate) allow_hub: bool,
    /// The name of this machine in reports
    #[arg(long, value_name = "NAME", default_value = "worker")]
    pub(crate) name: String,
    /// The folder for this machine's own results
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) experiment_base_dir: PathBuf,
}
