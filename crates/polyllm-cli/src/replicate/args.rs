//! The arguments of `polyllm replicate`.

use clap::Subcommand;

use crate::args::Account;

/// Manage a Replicate account: predictions, deployments, models and versions
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    mut_arg("api_base", |arg| arg.global(true)),
    mut_arg("simulate", |arg| arg.global(true)),
    after_help = "Examples:\n  polyllm replicate predictions list -n 10\n  polyllm replicate predictions wait 9q6s1jxz8hrm80cj0m0bsp9m8c\n  polyllm replicate models get meta/meta-llama-3-8b-instruct   its inputs\n  polyllm replicate deployments update acme/chat --max-instances 3\n\nThe key is REPLICATE_API_TOKEN or REPLICATE_API_KEY. With --json, each document is a line with all\nmembers that Replicate sent."
)]
pub(crate) struct Replicate {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) account: Account,
    /// Print each document as a line of JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show predictions, wait for them, cancel them
    #[command(subcommand)]
    Predictions(Predictions),
    /// Show, create, change and delete deployments
    #[command(subcommand)]
    Deployments(Deployments),
    /// Show models and their inputs
    #[command(subcommand)]
    Models(Models),
    /// List the versions of a model, the newest first
    Versions {
        /// The model
        #[arg(value_name = "OWNER/NAME")]
        model: String,
        #[command(flatten)]
        max: ListOptions,
    },
    /// Show the account of the key
    Account,
    /// Print the signing secret of the account's webhooks
    WebhookSecret,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Predictions {
    /// List the account's predictions, the newest first
    List(ListOptions),
    /// Show a prediction and its output, which Replicate keeps for an hour
    Get {
        /// The prediction's id
        id: String,
    },
    /// Cancel a prediction
    Cancel {
        /// The prediction's id
        id: String,
    },
    /// Wait for the end of a prediction and print its output; exit status 1 unless it succeeds
    #[command(
        after_help = "Progress is printed on standard error: one line on a terminal, else a line per change.\nCtrl-C ends the wait; the prediction continues, unless --cancel-on-interrupt is set."
    )]
    Wait {
        /// The prediction's id
        id: String,
        /// Cancel the prediction on Ctrl-C
        #[arg(long)]
        cancel_on_interrupt: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Deployments {
    /// List the account's deployments
    List(ListOptions),
    /// Show a deployment
    Get {
        /// The deployment
        #[arg(value_name = "OWNER/NAME")]
        name: String,
    },
    /// Create a deployment, which costs money while it has instances
    #[command(
        disable_version_flag = true,
        after_help = "Example:\n  polyllm replicate deployments create chat --model acme/llama --version 2796ee94… \\\n    --hardware gpu-t4 --min-instances 0 --max-instances 1\n\nThe model name of a deployment is replicate/deployments/OWNER/NAME."
    )]
    Create {
        /// The name, without owner
        name: String,
        /// The model to serve
        #[arg(long, value_name = "OWNER/NAME")]
        model: String,
        /// The model's version
        #[arg(long, value_name = "ID")]
        version: String,
        /// The hardware, such as gpu-t4
        #[arg(long, value_name = "SKU")]
        hardware: String,
        /// The minimum of instances, 0 to 5
        #[arg(long, value_name = "N", default_value_t = 0)]
        min_instances: u64,
        /// The maximum of instances, 0 to 20
        #[arg(long, value_name = "N", default_value_t = 1)]
        max_instances: u64,
    },
    /// Change a deployment; omitted options stay unchanged
    #[command(disable_version_flag = true)]
    Update {
        /// The deployment
        #[arg(value_name = "OWNER/NAME")]
        name: String,
        #[command(flatten)]
        change: DeploymentOptions,
    },
    /// Delete a deployment that has been offline and unused for 15 minutes
    Delete {
        /// The deployment
        #[arg(value_name = "OWNER/NAME")]
        name: String,
    },
}

/// The options of a deployment that can be changed.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct DeploymentOptions {
    /// Another version of the model
    #[arg(long, value_name = "ID")]
    pub(crate) version: Option<String>,
    /// Other hardware
    #[arg(long, value_name = "SKU")]
    pub(crate) hardware: Option<String>,
    /// The minimum of instances, 0 to 5
    #[arg(long, value_name = "N")]
    pub(crate) min_instances: Option<u64>,
    /// The maximum of instances, 0 to 20
    #[arg(long, value_name = "N")]
    pub(crate) max_instances: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Models {
    /// List public models
    List(ListOptions),
    /// Search public models
    Search {
        /// The search text
        #[arg(required = true)]
        words: Vec<String>,
        #[command(flatten)]
        max: ListOptions,
    },
    /// Show a model and its inputs: types, defaults and ranges
    Get {
        /// The model
        #[arg(value_name = "OWNER/NAME")]
        name: String,
    },
}

/// The options of a list.
#[derive(Debug, clap::Args)]
pub(crate) struct ListOptions {
    /// The maximum of entries
    #[arg(short = 'n', long = "limit", value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
}
