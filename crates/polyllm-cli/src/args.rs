pub(crate) mod number;
mod request;

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use llm_gateway::Period;
use llm_sim::{Faults, Rate};

use crate::log::LogFormat;

pub(crate) use self::request::{Account, Chat, Complete, Embed, ModelOptions, Models, Rerank};

/// OpenAI-compatible access to models on Together AI and Replicate
#[derive(Debug, Parser)]
#[command(
    name = "polyllm",
    version,
    arg_required_else_help = true,
    propagate_version = true,
    after_help = after_help()
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Log more on standard error (-vv: even more)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The examples, the keys that the providers declare, and the exit statuses.
fn after_help() -> String {
    let keys: Vec<String> = key_variables()
        .map(|(provider, variable)| format!("{variable} for {provider}/…"))
        .collect();
    format!(
        "Try:\n  polyllm serve                      the gateway with simulated upstreams; needs no key\n  polyllm serve --config config.yaml the gateway with LiteLLM's config.yaml\n  polyllm chat --simulate --model together_ai/openai/gpt-oss-20b \"Hello\"\n\nKeys: {}\nExit status: 0 success, 1 failure, 2 usage error, 130 stopped by Ctrl-C, SIGTERM or SIGHUP (`serve` and `sim`: 0).",
        keys.join(", ")
    )
}

/// Each provider, and the first environment variable of its key.
pub(crate) fn key_variables() -> impl Iterator<Item = (String, &'static str)> {
    let registry = polyllm::registry();
    let variables = registry.specs().filter_map(|spec| {
        let key = spec.setting("api_key")?;
        Some((spec.name().to_owned(), *key.variables.first()?))
    });
    variables.collect::<Vec<_>>().into_iter()
}

impl Args {
    /// Parses the command line of the process.
    ///
    /// # Errors
    /// The text to print instead of running a command: help, the version or a usage error.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let args = Self::try_parse()?;
        let (name, checked) = match &args.command {
            Command::Chat(chat) => ("chat", chat.check()),
            Command::Complete(complete) => ("complete", complete.check()),
            Command::Embed(embed) => ("embed", embed.check()),
            Command::Rerank(rerank) => ("rerank", rerank.check()),
            _ => return Ok(args),
        };
        let Err(message) = checked else {
            return Ok(args);
        };
        let mut command = Self::command();
        command.build();
        let command = command.find_subcommand_mut(name).map(std::mem::take);
        let mut command = command.unwrap_or_else(Self::command);
        Err(command.error(ErrorKind::ArgumentConflict, message))
    }

    /// The log level: LiteLLM's `--debug` is `-vv`.
    pub(crate) fn verbosity(&self) -> u8 {
        match &self.command {
            Command::Serve(serve) if serve.debug => self.verbose.max(2),
            _ => self.verbose,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(Serve),
    Chat(Chat),
    Complete(Complete),
    Embed(Embed),
    Rerank(Rerank),
    Models(Models),
    Providers(crate::providers::Providers),
    Replicate(Box<crate::replicate::args::Replicate>),
    Bench(Box<crate::bench::args::Bench>),
    Check(Check),
    Sim(Sim),
    Sse(Sse),
    /// List prompt formats and render prompts
    #[command(subcommand)]
    Template(TemplateCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Run the gateway, an OpenAI-compatible server
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without --config, the gateway serves simulated upstreams and adds a response header that\nsays so. With --config, it serves the models of LiteLLM's config.yaml:\n\n  model_list:\n    - model_name: llama-3\n      litellm_params:\n        model: replicate/meta/meta-llama-3-8b-instruct\n        api_key: os.environ/REPLICATE_API_KEY\n\nA changed file is reloaded, also at SIGHUP: new requests use the new configuration, running\nrequests keep the old one. A file with errors is reported and not used.\n\nWith a master key, virtual keys and spend are kept in polyllm.db beside the file, or in\ngeneral_settings.database_url."
)]
pub(crate) struct Serve {
    /// LiteLLM's config.yaml
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The address to listen on, or a name such as localhost
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// The port to listen on; 0 chooses a free port
    #[arg(short, long, default_value_t = 4000)]
    pub(crate) port: u16,
    /// The certificate of the server in PEM, for HTTPS (general_settings.ssl_certfile)
    #[arg(
        long = "ssl_certfile_path",
        alias = "ssl-certfile-path",
        value_name = "FILE",
        requires = "ssl_keyfile_path"
    )]
    pub(crate) ssl_certfile_path: Option<PathBuf>,
    /// The private key of the certificate in PEM (general_settings.ssl_keyfile)
    #[arg(
        long = "ssl_keyfile_path",
        alias = "ssl-keyfile-path",
        value_name = "FILE",
        requires = "ssl_certfile_path"
    )]
    pub(crate) ssl_keyfile_path: Option<PathBuf>,
    /// Keep responses of /v1/responses for this time, such as 30d, for previous_response_id,
    /// retrieval and background: in the database, or in memory without a master key. Wins over
    /// general_settings.store_responses
    #[arg(long, value_name = "TIME", value_parser = period)]
    pub(crate) store_responses: Option<Duration>,
    /// Log every request on standard error, as -vv does
    #[arg(long)]
    pub(crate) debug: bool,
    /// The form of log lines [default: text, or json with litellm_settings.json_logs]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// Log the prompts of all calls, at most 16 KiB of each
    #[arg(long)]
    pub(crate) log_prompts: bool,
    /// Do not serve the dashboard at /ui
    #[arg(long)]
    pub(crate) no_ui: bool,
    /// Print the address as one line of JSON instead of the banner
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check a config.yaml: report all errors with line, column and a suggested fix
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// LiteLLM's config.yaml
    #[arg(short, long, value_name = "FILE", required_unless_present = "schema")]
    pub(crate) config: Option<PathBuf>,
    /// Print the problems as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the JSON Schema of config.yaml, for editors
    #[arg(long, conflicts_with_all = ["config", "json"])]
    pub(crate) schema: bool,
}

/// Run the simulated Together and Replicate upstreams
#[derive(Debug, clap::Args)]
#[command(after_help = SIM_HELP)]
pub(crate) struct Sim {
    /// The port of the simulated Together; 0 chooses a free port
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) together_port: u16,
    /// The port of the simulated Replicate; 0 chooses a free port
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) replicate_port: u16,
    /// Faults of every request, such as "status=503" (can be repeated)
    #[arg(long, value_name = "FAULTS")]
    pub(crate) fault: Vec<Faults>,
    /// Respond immediately instead of at a model's speed
    #[arg(long)]
    pub(crate) instant: bool,
    /// Time to first token, such as 200ms
    #[arg(long, value_name = "TIME", value_parser = llm_sim::parse_duration)]
    pub(crate) first_token: Option<Duration>,
    /// Time between tokens, such as 20ms
    #[arg(long, value_name = "TIME", value_parser = llm_sim::parse_duration)]
    pub(crate) token: Option<Duration>,
    /// Rate limit of Together per key and model, such as 600/m
    #[arg(long, value_name = "RATE")]
    pub(crate) together_requests: Option<Rate>,
    /// Token limit of Together per key and model, such as 3000/s
    #[arg(long, value_name = "RATE")]
    pub(crate) together_tokens: Option<Rate>,
    /// Rate limit of Replicate's predictions per key, such as 600/m
    #[arg(long, value_name = "RATE")]
    pub(crate) replicate_creates: Option<Rate>,
    /// Conversations with tool calls for the models of Together, in JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,
    /// Print the addresses as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const SIM_HELP: &str = "\
To use the providers' own clients, set
  TOGETHER_BASE_URL, REPLICATE_BASE_URL   to the printed addresses

Every key is accepted, except those that start with \"invalid\".

Faults, separated by commas:
  status=503             respond with the provider's own error of that status
  delay=250ms            wait before processing the request
  hang                   never respond
  cut-after=BYTES        break the connection after this much of the body
  end-after=BYTES        end the body there as if it were complete
  hang-after=BYTES       stall the body there, without an end
  garbage                send a body that is neither JSON nor text
  garbage-after=BYTES    end the body there with garbage
  half-char-after=BYTES  end the body there with an incomplete UTF-8 character
  split=BYTES            send the body in writes of this size
  drip=BYTES/TIME        send the body in writes of this size, with this pause
  content-type=TYPE      send another content type
  error-after=TOKENS     end a stream of Together with an error event
  fail=KIND              fail a prediction: director, interrupted, oom, sensitive, timeout

--fault affects all requests. One request is affected by its header x-sim-fault: status=503, or by
[sim: status=503] anywhere in its prompt, which also works through a gateway. To affect some, run
  curl -d 'status=503' 'http://127.0.0.1:PORT/_sim/faults?path=/chat&times=2'

GET /_sim/requests lists requests and the times of their responses, GET /_sim/counts counts
requests by outcome, GET /_sim/predictions lists predictions, GET /_sim/webhooks sent webhooks.";

/// Convert an event stream to JSON lines, for debugging
#[derive(Debug, clap::Args)]
#[command(
    after_help = "  curl -sN … | polyllm sse\n\nIf the stream ends within an event, before its blank line, the event is marked \"incomplete\"."
)]
pub(crate) struct Sse {
    /// The stream [default: standard input]
    pub(crate) file: Option<PathBuf>,
    /// Print comments, too
    #[arg(long)]
    pub(crate) comments: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TemplateCommand {
    /// List the families of prompt formats
    List {
        /// Print each as a line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a family: the source of its format, its tokens, and an example
    Show {
        /// The name, as in `list`
        family: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the families of models; exit status 1 if one is unknown
    Match {
        /// The models, with or without their provider
        #[arg(required = true)]
        models: Vec<String>,
        /// Print each as a line of JSON
        #[arg(long)]
        json: bool,
    },
    Render(Render),
}

/// Render the prompt of a conversation
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("template").required(true),
    after_help = "The conversation is a list of OpenAI's messages, or a chat request's body:\n\n  echo '[{\"role\": \"user\", \"content\": \"Hi\"}]' | polyllm template render --family llama-3\n  polyllm template render --file tokenizer_config.json --jsonl < requests.jsonl > prompts.jsonl"
)]
pub(crate) struct Render {
    /// Use the format of this family
    #[arg(long, group = "template", value_name = "NAME")]
    pub(crate) family: Option<String>,
    /// Use the format of this model
    #[arg(long, group = "template", value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// A chat template in Jinja, or a tokenizer_config.json that contains one
    #[arg(long, group = "template", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// A template with the keys of config.yaml: roles, initial_prompt_value, …
    #[arg(long, group = "template", value_name = "FILE")]
    pub(crate) custom: Option<PathBuf>,
    /// The conversation [default: standard input]
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Read one conversation per line, and print one prompt per line as JSON
    #[arg(long)]
    pub(crate) jsonl: bool,
    /// Print the prompt as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Start with the BOS token, which completion servers add by default
    #[arg(long)]
    pub(crate) bos: bool,
    /// Do not open the assistant's turn at the end
    #[arg(long)]
    pub(crate) no_generation_prompt: bool,
    /// Leave the last message, which must be the assistant's, open to be continued
    #[arg(long)]
    pub(crate) continue_final: bool,
    /// Adapt messages that the format does not support, instead of failing
    #[arg(long)]
    pub(crate) fold: bool,
}

/// A time as in `general_settings.store_responses`.
fn period(text: &str) -> Result<Duration, String> {
    let period: Result<Period, _> = text.parse();
    period
        .map(Period::duration)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_definition_is_valid() {
        Args::command().debug_assert();
    }

    #[test]
    fn responses_may_be_kept_for_days() {
        assert_eq!(period("30d").unwrap().as_secs(), 30 * 24 * 3600);
        assert!(period("30x").is_err());
    }
}
