mod ask;
pub(crate) mod number;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use llm_sim::{Faults, Rate};

pub(crate) use self::ask::{Account, Chat, Complete, Embed, Models, Question, Rerank};

/// One OpenAI-shaped door to the models on Together AI and Replicate.
#[derive(Debug, Parser)]
#[command(
    name = "polyllm",
    version,
    arg_required_else_help = true,
    propagate_version = true,
    after_help = "Try:\n  polyllm serve                      a gateway over simulated upstreams, no key needed\n  polyllm serve --config config.yaml the gateway, with LiteLLM's config.yaml\n  polyllm chat --simulate --model together_ai/openai/gpt-oss-20b \"Hello\"\n\nKeys: TOGETHERAI_API_KEY for together_ai/…, REPLICATE_API_KEY for replicate/…, OPENAI_API_KEY for openai/…\nExit status: 0 good, 1 failed, 2 misused, 130 stopped by Ctrl-C, SIGTERM or SIGHUP."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Say more on standard error (-vv: much more)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Args {
    /// Reads the command line of the process.
    ///
    /// # Errors
    /// What is to be printed instead of running a command: help, the version or a usage error.
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

    /// How much to say: LiteLLM's `--debug` is `-vv`.
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
    /// Show prompt formats, and write prompts with them
    #[command(subcommand)]
    Template(TemplateCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Run the gateway: any OpenAI client against it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without --config the gateway serves simulated upstreams, and says so in a\nresponse header. With it, it serves LiteLLM's config.yaml:\n\n  model_list:\n    - model_name: llama-3\n      litellm_params:\n        model: replicate/meta/meta-llama-3-8b-instruct\n        api_key: os.environ/REPLICATE_API_KEY\n\nSIGHUP reloads the file: new requests use it, running ones end with the old one.\nA file with mistakes is reported and not used."
)]
pub(crate) struct Serve {
    /// LiteLLM's config.yaml
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// The port to listen on; 0 takes a free one
    #[arg(short, long, default_value_t = 4000)]
    pub(crate) port: u16,
    /// Log every request on standard error, as -vv does
    #[arg(long)]
    pub(crate) debug: bool,
    /// Print the address as one line of JSON instead of the banner
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check a config.yaml: report all errors with line, column and a suggested fix
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// LiteLLM's config.yaml
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Print the problems as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Run the simulated Together and Replicate on their own
#[derive(Debug, clap::Args)]
#[command(after_help = SIM_HELP)]
pub(crate) struct Sim {
    /// The port of the simulated Together; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) together_port: u16,
    /// The port of the simulated Replicate; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) replicate_port: u16,
    /// Faults that strike every request, such as "status=503" (repeat it for more)
    #[arg(long, value_name = "FAULTS")]
    pub(crate) fault: Vec<Faults>,
    /// Answer at once instead of at a model's pace
    #[arg(long)]
    pub(crate) instant: bool,
    /// From a request to its answer's first token, such as 200ms
    #[arg(long, value_name = "TIME", value_parser = llm_sim::parse_duration)]
    pub(crate) first_token: Option<Duration>,
    /// From one token to the next, such as 20ms
    #[arg(long, value_name = "TIME", value_parser = llm_sim::parse_duration)]
    pub(crate) token: Option<Duration>,
    /// Requests to Together for each key and model, such as 600/m
    #[arg(long, value_name = "RATE")]
    pub(crate) together_requests: Option<Rate>,
    /// Tokens on Together for each key and model, such as 3000/s
    #[arg(long, value_name = "RATE")]
    pub(crate) together_tokens: Option<Rate>,
    /// Predictions created on Replicate for each key, such as 600/m
    #[arg(long, value_name = "RATE")]
    pub(crate) replicate_creates: Option<Rate>,
    /// Print the addresses as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const SIM_HELP: &str = "\
Point the providers' own clients at it:
  TOGETHER_BASE_URL, REPLICATE_BASE_URL   with the addresses it prints

Any key is good but one that begins with \"invalid\".

Faults, several with commas between them:
  status=503             the provider's own error of that status, with its headers
  delay=250ms            nothing happens for so long
  hang                   no answer ever comes
  cut-after=BYTES        the connection breaks after so much of the body
  end-after=BYTES        the body ends there as if it were complete
  hang-after=BYTES       the body stops there and never ends
  garbage                the body is neither JSON nor text
  garbage-after=BYTES    the body ends there in garbage
  half-char-after=BYTES  the body ends there in half a character of UTF-8
  split=BYTES            the body comes in writes of this size
  drip=BYTES/TIME        the body comes in drops, with this pause between them
  content-type=TYPE      the body is called something else
  error-after=TOKENS     a streamed answer of Together breaks off with an error event
  fail=KIND              a prediction fails: director, interrupted, oom, sensitive, timeout

All requests are struck with --fault; one by its header x-sim-fault: status=503, or by
[sim: status=503] anywhere in its prompt, which also reaches through a gateway; some with
  curl -d 'status=503' 'http://127.0.0.1:PORT/_sim/faults?path=/chat&times=2'

GET /_sim/requests shows what came in and when what was written, GET /_sim/counts how requests
ended, GET /_sim/predictions where predictions stand, GET /_sim/webhooks what was sent of them.";

/// Show an event stream as JSON lines: a debugging aid
#[derive(Debug, clap::Args)]
#[command(
    after_help = "  curl -sN … | polyllm sse\n\nAn event that the stream ends in, without its blank line, is marked \"incomplete\"."
)]
pub(crate) struct Sse {
    /// The stream; standard input without it
    pub(crate) file: Option<PathBuf>,
    /// Show comments too
    #[arg(long)]
    pub(crate) comments: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TemplateCommand {
    /// List the families of prompt formats
    List {
        /// Print a line of JSON for each
        #[arg(long)]
        json: bool,
    },
    /// Show a family: where its format comes from, its tokens, and an example
    Show {
        /// Its name, as `list` shows it
        family: String,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell the families of models; exit status 1 when one is unknown
    Match {
        /// The models, with or without their provider
        #[arg(required = true)]
        models: Vec<String>,
        /// Print a line of JSON for each
        #[arg(long)]
        json: bool,
    },
    Render(Render),
}

/// Write the prompt of a conversation
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("template").required(true),
    after_help = "The conversation is a list of OpenAI's messages, or a chat request's body:\n\n  echo '[{\"role\": \"user\", \"content\": \"Hi\"}]' | polyllm template render --family llama-3\n  polyllm template render --file tokenizer_config.json --jsonl < requests.jsonl > prompts.jsonl"
)]
pub(crate) struct Render {
    /// The format of this family
    #[arg(long, group = "template", value_name = "NAME")]
    pub(crate) family: Option<String>,
    /// The format of this model
    #[arg(long, group = "template", value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// A chat template in Jinja, or a tokenizer_config.json that holds one
    #[arg(long, group = "template", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// A template in the keys of config.yaml: roles, initial_prompt_value, …
    #[arg(long, group = "template", value_name = "FILE")]
    pub(crate) custom: Option<PathBuf>,
    /// The conversation; standard input without it
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// One conversation a line in, one prompt a line out, as JSON
    #[arg(long)]
    pub(crate) jsonl: bool,
    /// Print the prompt as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Begin with the BOS token, which completion servers add by themselves
    #[arg(long)]
    pub(crate) bos: bool,
    /// Do not open the assistant's turn at the end
    #[arg(long)]
    pub(crate) no_generation_prompt: bool,
    /// Leave the last message, the assistant's, open to be continued
    #[arg(long)]
    pub(crate) continue_final: bool,
    /// Make messages fit that the format has no place for, instead of failing
    #[arg(long)]
    pub(crate) fold: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }
}
