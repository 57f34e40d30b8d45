//! The arguments of `polyllm replicate`.

use clap::Subcommand;

use crate::args::Account;

/// Look after an account on Replicate: predictions, deployments, models and versions
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    mut_arg("api_base", |arg| arg.global(true)),
    mut_arg("simulate", |arg| arg.global(true)),
    after_help = "Examples:\n  polyllm replicate predictions list -n 10\n  polyllm replicate predictions wait 9q6s1jxz8hrm80cj0m0bsp9m8c\n  polyllm replicate models get meta/meta-llama-3-8b-instruct   what it takes\n  polyllm replicate deployments update acme/chat --max-instances 3\n\nThe key is REPLICATE_API_TOKEN or REPLICATE_API_KEY. With --json each document is a line, with all\nthat Replicate tells of it."
)]
pub(crate) struct Replicate {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) account: Account,
    /// Print JSON, a document a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See predictions, wait for them, stop them
    #[command(subcommand)]
    Predictions(Predictions),
    /// See, make, change and delete deployments
    #[command(subcommand)]
    Deployments(Deployments),
    /// See models, and what they take
    #[command(subcommand)]
    Models(Models),
    /// List a model's versions, the newest first
    Versions {
        /// The model
        #[arg(value_name = "OWNER/NAME")]
        model: String,
        #[command(flatten)]
        most: Most,
    },
    /// Show whose account it is
    Account,
    /// Print the secret that the account's webhooks are signed with
    WebhookSecret,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Predictions {
    /// List the account's predictions, the newest first
    List(Most),
    /// Show a prediction, and its output as long as Replicate keeps it: an hour
    Get {
        /// Its id
        id: String,
    },
    /// Stop a prediction
    Cancel {
        /// Its id
        id: String,
    },
    /// Wait for a prediction's end, and print its output; exit status 1 unless it succeeds
    #[command(
        after_help = "How far it is comes on standard error: one line on a terminal, else a line for each change.\nCtrl-C stops the waiting; the prediction goes on, unless --cancel-on-interrupt is given."
    )]
    Wait {
        /// Its id
        id: String,
        /// On Ctrl-C, stop the prediction as well
        #[arg(long)]
        cancel_on_interrupt: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Deployments {
    /// List the account's deployments
    List(Most),
    /// Show a deployment
    Get {
        /// The deployment
        #[arg(value_name = "OWNER/NAME")]
        name: String,
    },
    /// Make a deployment, which costs money as long as it has instances
    #[command(
        disable_version_flag = true,
        after_help = "Example:\n  polyllm replicate deployments create chat --model acme/llama --version 2796ee94… \\\n    --hardware gpu-t4 --min-instances 0 --max-instances 1\n\nIts models are asked for as replicate/deployments/OWNER/NAME."
    )]
    Create {
        /// Its name, without owner
        name: String,
        /// The model to serve
        #[arg(long, value_name = "OWNER/NAME")]
        model: String,
        /// The model's version
        #[arg(long, value_name = "ID")]
        version: String,
        /// The sort of machine, such as gpu-t4
        #[arg(long, value_name = "SKU")]
        hardware: String,
        /// How many machines run always, 0 to 5
        #[arg(long, value_name = "N", default_value_t = 0)]
        min_instances: u64,
        /// How many machines run at most, 0 to 20
        #[arg(long, value_name = "N", default_value_t = 1)]
        max_instances: u64,
    },
    /// Change a deployment; what is not given stays
    #[command(disable_version_flag = true)]
    Update {
        /// The deployment
        #[arg(value_name = "OWNER/NAME")]
        name: String,
        #[command(flatten)]
        change: Change,
    },
    /// Delete a deployment that has been offline and unused for 15 minutes
    Delete {
        /// The deployment
        #[arg(value_name = "OWNER/NAME")]
        name: String,
    },
}

/// What can be changed of a deployment.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Change {
    /// Another version of the model
    #[arg(long, value_name = "ID")]
    pub(crate) version: Option<String>,
    /// Another sort of machine
    #[arg(long, value_name = "SKU")]
    pub(crate) hardware: Option<String>,
    /// How many machines run always, 0 to 5
    #[arg(long, value_name = "N")]
    pub(crate) min_instances: Option<u64>,
    /// How many machines run at most, 0 to 20
    #[arg(long, value_name = "N")]
    pub(crate) max_instances: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Models {
    /// List public models
    List(Most),
    /// Search for public models
    Search {
        /// What to look for
        #[arg(required = true)]
        words: Vec<String>,
        #[command(flatten)]
        most: Most,
    },
    /// Show a model, and the parameters that it takes: their types, defaults and ranges
    Get {
        /// The model
        #[arg(value_name = "OWNER/NAME")]
        name: String,
    },
}

/// How much of a list to print.
#[derive(Debug, clap::Args)]
pub(crate) struct Most {
    /// The most entries to print
    #[arg(short = 'n', long = "limit", value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
}
