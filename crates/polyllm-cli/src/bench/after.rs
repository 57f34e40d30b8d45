//! What is done with measurements: `bench compare`, `merge`, `report`, and `worker`.

use std::path::PathBuf;

use clap::Subcommand;

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
    /// The page about several experiments
    #[arg(short, long, value_name = "FILE", default_value = "comparison.html")]
    pub(crate) output: PathBuf,
    /// Print the numbers of each run as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Measure what a `polyllm bench --coordinator` on another machine asks for
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The key is this machine's own, from its environment; none is ever sent. Files, such as a\ndataset, have to be on this machine too. Whoever may write to the coordinator can have this\nmachine measure something: use an engine of your own.\n\nExample, on each of two machines, and then on a third:\n  polyllm bench worker --coordinator redis://10.0.0.1\n  polyllm bench --coordinator redis://10.0.0.1 --workers 2 --api-model-name openai/gpt-oss-20b \\\n    --num-concurrency 64,128 --max-requests-per-run 5000"
)]
pub(crate) struct Worker {
    /// Redis or NATS: redis://… or nats://…
    #[arg(long, value_name = "URL")]
    pub(crate) coordinator: String,
    /// The name that leader and workers meet under
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) session: String,
    /// What to call this machine in reports
    #[arg(long, value_name = "NAME", default_value = "worker")]
    pub(crate) name: String,
    /// Where this machine's own results are written
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) experiment_base_dir: PathBuf,
}
