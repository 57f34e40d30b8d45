//! What is done with measurements: `bench compare`, `merge`, `report`, and `worker`.

use std::path::PathBuf;

use bench_report::Format;
use clap::{Subcommand, ValueEnum};

use crate::bench::allowed::Base;

#[derive(Debug, Subcommand)]
pub(crate) enum After {
    Compare(Compare),
    Merge(Merge),
    Report(Report),
    Worker(Worker),
}

/// Tell what changed between two experiments; exit status 1 when it is too much
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A CONDITION is `p99(ttft) > +5%`: a statistic (mean, min, max, median, p50, p99.9 …) of a\nmetric (ttft, tpot, e2e, itl, inter_chunk, ttft_from_schedule …), or error_rate, goodput,\nrps, input_throughput, output_throughput, total_throughput; then >, >=, < or <=; then a limit.\nA limit with a sign is about the change (+5%, +10ms, +1pp), one without about the second\nexperiment alone (200ms, 1%). Join them with and, or, not and parentheses. It has to hold for\nnone of the pairs of runs; what was not measured fails too.\n\nExamples:\n  polyllm bench compare main branch --fail-if 'p99(ttft) > +5%' --fail-if 'error_rate > 1%'\n  polyllm bench compare main branch --significant --fail-if 'mean(tpot) > +2% or rps < -5%'"
)]
pub(crate) struct Compare {
    /// The folder of the first experiment, to which the second is compared
    pub(crate) before: PathBuf,
    /// The folder of the second experiment
    pub(crate) after: PathBuf,
    /// Fail when this holds for any pair of runs (repeat it for more)
    #[arg(long, value_name = "CONDITION")]
    pub(crate) fail_if: Vec<String>,
    /// Fail on changes only that chance does not explain (95 %, by the bootstrap)
    #[arg(long)]
    pub(crate) significant: bool,
    /// Write a page that shows both
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Print a line of JSON for each pair of runs
    #[arg(long)]
    pub(crate) json: bool,
}

/// Join what several machines measured together into one experiment
#[derive(Debug, clap::Args)]
pub(crate) struct Merge {
    /// The folders of the experiments, or folders of such
    #[arg(required = true, value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
    /// The folder to write
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
}

/// Write the reports of experiments anew, or one page about several
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Of one experiment, all reports are written into its folder: page, Markdown, CSV, spreadsheet\nand plots. Of several, a page that shows them side by side. Folders of genai-bench are read too."
)]
pub(crate) struct Report {
    /// The folders of the experiments, or folders of such
    #[arg(required = true, value_name = "DIR")]
    pub(crate) folders: Vec<PathBuf>,
    /// Only these formats, for the folder of one experiment [default: all that this build has]
    #[arg(long, value_enum, value_name = "FORMAT,…", value_delimiter = ',')]
    pub(crate) format: Vec<FormatName>,
    /// The page about several experiments
    #[arg(short, long, value_name = "FILE", default_value = "comparison.html")]
    pub(crate) output: PathBuf,
    /// Print the numbers of each run as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FormatName {
    Html,
    #[value(alias = "markdown")]
    Md,
    Csv,
    Xlsx,
    Svg,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Html => Self::Html,
            FormatName::Md => Self::Markdown,
            FormatName::Csv => Self::Csv,
            FormatName::Xlsx => Self::Xlsx,
            FormatName::Svg => Self::Svg,
        }
    }
}

/// Measure what a `polyllm bench --coordinator` on another machine asks for
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A leader decides what is measured, within what this command line allows: it names the\naddresses, the folders of datasets and traces, and nothing else is sent to or read. The key is\nthis machine's own, from its environment; it is never sent to the leader.\n\nLeader and workers authenticate each other's messages by a secret that they share, in\nPOLYLLM_BENCH_SECRET or in a file. Messages are not encrypted: those who can read the coordinator\nsee plans and results.\n\nExample, on each of two machines, and then on a third:\n  openssl rand -hex 32 > secret    (once; copy it to all three)\n  polyllm bench worker --coordinator redis://10.0.0.1 --secret-file secret \\\n    --allow-base https://api.together.xyz\n  polyllm bench --coordinator redis://10.0.0.1 --secret-file secret --workers 2 \\\n    --api-model-name openai/gpt-oss-20b --num-concurrency 64,128 --max-requests-per-run 5000"
)]
pub(crate) struct Worker {
    /// Redis or NATS: redis://… or nats://…
    #[arg(long, value_name = "URL")]
    pub(crate) coordinator: String,
    /// The name that leader and workers meet under
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) session: String,
    /// The file that holds the secret which leader and workers share; POLYLLM_BENCH_SECRET
    /// without it
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// An address that may be measured, with this machine's key for its API (repeat it for more):
    /// together=URL, replicate=URL or openai=URL; the API's own address needs no name
    #[arg(long, value_name = "[BACKEND=]URL")]
    pub(crate) allow_base: Vec<Base>,
    /// A folder whose datasets, traces and tokenizers may be read (repeat it for more)
    #[arg(long, value_name = "DIR")]
    pub(crate) allow_folder: Vec<PathBuf>,
    /// Datasets may be fetched from Hugging Face, with this machine's HF_TOKEN
    #[arg(long)]
    pub(crate) allow_hub: bool,
    /// What to call this machine in reports
    #[arg(long, value_name = "NAME", default_value = "worker")]
    pub(crate) name: String,
    /// Where this machine's own results are written
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) experiment_base_dir: PathBuf,
}
