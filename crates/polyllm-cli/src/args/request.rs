//! The commands that send requests to a provider.

use llm_provider::text::excerpt;
use serde_json::Value;

use crate::args::number::finite;

/// Send a message to a model and print the reply as it arrives
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  polyllm chat --model together_ai/openai/gpt-oss-20b \"Write me a poem about the blue sky\"\n  polyllm chat --model replicate/meta/meta-llama-3-8b-instruct < question.txt\n  git diff | polyllm chat --model together_ai/openai/gpt-oss-20b \"Review this:\" -"
)]
pub(crate) struct Chat {
    #[command(flatten)]
    pub(crate) request: ModelOptions,
    /// The system message
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    #[command(flatten)]
    pub(crate) generation: GenerationOptions,
    /// The message; standard input if omitted or -
    pub(crate) text: Vec<String>,
}

/// Complete a text and print the output as it arrives
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The text is sent unchanged, without a chat format and with all white space.\n\nExamples:\n  polyllm complete --model together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo \"The sky is\"\n  polyllm complete --model together_ai/togethercomputer/llama-2-70b --stop \"\\n\" < start.txt\n  polyllm template render --family llama-3 < chat.json \\\n    | polyllm complete --model together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo"
)]
pub(crate) struct Complete {
    #[command(flatten)]
    pub(crate) request: ModelOptions,
    #[command(flatten)]
    pub(crate) generation: GenerationOptions,
    /// Stop before this text (can be repeated); \n and \t are a line end and a tab
    #[arg(long, value_name = "TEXT", value_parser = unescaped)]
    pub(crate) stop: Vec<String>,
    /// The text; standard input if omitted or -
    pub(crate) text: Option<String>,
}

/// Compute embeddings and print each vector as a line of numbers
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each TEXT and each line of standard input, including blank ones, is one text: line 3 of the\noutput belongs to line 3 of the input.\n\nExamples:\n  polyllm embed --model together_ai/BAAI/bge-base-en-v1.5 \"good morning\" \"good night\"\n  polyllm embed --model together_ai/BAAI/bge-base-en-v1.5 < lines.txt > vectors.jsonl"
)]
pub(crate) struct Embed {
    #[command(flatten)]
    pub(crate) request: ModelOptions,
    /// The size of the vectors, for models with a choice
    #[arg(long, value_name = "N")]
    pub(crate) dimensions: Option<u64>,
    /// The texts; the lines of standard input if omitted or -
    pub(crate) text: Vec<String>,
}

/// Sort documents by relevance to a query, and print score, index and text
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each DOCUMENT and each line of standard input, including blank ones, is one document. The index\ncounts from 0.\n\nExamples:\n  polyllm rerank --model together_ai/Salesforce/Llama-Rank-V1 \\\n    --query \"What is the capital of the United States?\" --top-n 1 \\\n    \"Carson City is the capital city of the American state of Nevada.\" \\\n    \"Washington, D.C. is the capital of the United States.\"\n  polyllm rerank --model together_ai/Salesforce/Llama-Rank-V1 --query \"a leak\" < log.txt"
)]
pub(crate) struct Rerank {
    #[command(flatten)]
    pub(crate) request: ModelOptions,
    /// The query
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) query: String,
    /// Print only this many documents
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) top_n: Option<u64>,
    /// The documents; the lines of standard input if omitted or -
    pub(crate) document: Vec<String>,
}

/// List the models of the providers: name, type, context length, prices
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("api_base", |arg| arg.requires("provider")),
    after_help = "Prices are in USD per million tokens, input and output. With --json, each model is a line with all\nmembers that its provider sent.\n\nExamples:\n  polyllm models llama                  names that contain \"llama\"\n  polyllm models --provider together_ai --type embedding\n  polyllm models --json | jq -r 'select(.context_length > 100000).id'"
)]
pub(crate) struct Models {
    /// List the models of this provider [default: all providers with a key]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// List only models of this type, such as chat, language, embedding or rerank
    #[arg(short, long = "type", value_name = "TYPE")]
    pub(crate) type_: Option<String>,
    #[command(flatten)]
    pub(crate) account: Account,
    /// Print each as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// List only models whose name contains this text
    pub(crate) name: Option<String>,
}

/// The options of every request to a model.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelOptions {
    /// The model: together_ai/<model>, replicate/<owner>/<name>[:<version>],
    /// replicate/deployments/<owner>/<name> or openai/<model>
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Another parameter, such as top_k=20 (can be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub(crate) param: Vec<(String, Value)>,
    /// Omit parameters that the provider does not support, instead of failing
    #[arg(long)]
    pub(crate) drop_params: bool,
    #[command(flatten)]
    pub(crate) account: Account,
    /// Print the reply, or each chunk, as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The options of text generation.
#[derive(Debug, clap::Args)]
pub(crate) struct GenerationOptions {
    /// Wait for the complete reply instead of printing it as it arrives
    #[arg(long)]
    pub(crate) no_stream: bool,
    /// The maximum of output tokens
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<u64>,
    /// The sampling temperature
    #[arg(long, value_name = "T", value_parser = finite)]
    pub(crate) temperature: Option<f64>,
}

impl Chat {
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut set = vec![TEXT, ("prompt", TEXT.1), STREAM, STREAM_OPTIONS];
        set.extend(self.generation.set());
        self.request.check(&set)
    }
}

impl Complete {
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut set = vec![TEXT, ("prompt", TEXT.1), STREAM, STREAM_OPTIONS];
        set.extend(self.generation.set());
        set.extend((!self.stop.is_empty()).then_some(("stop", "--stop sets it")));
        self.request.check(&set)
    }
}

impl Embed {
    pub(crate) fn check(&self) -> Result<(), String> {
        let dimensions = self
            .dimensions
            .map(|_| ("dimensions", "--dimensions sets it"));
        let mut set = vec![("input", TEXT.1)];
        set.extend(dimensions);
        self.request.check(&set)
    }
}

impl Rerank {
    pub(crate) fn check(&self) -> Result<(), String> {
        let top_n = self.top_n.map(|_| ("top_n", "--top-n sets it"));
        let mut set = vec![
            ("documents", "the arguments DOCUMENT set it"),
            ("query", "--query sets it"),
        ];
        set.extend(top_n);
        self.request.check(&set)
    }
}

impl GenerationOptions {
    /// The parameters that the options set.
    fn set(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let max_tokens = self
            .max_tokens
            .map(|_| ("max_tokens", "--max-tokens sets it"));
        let temperature = self
            .temperature
            .map(|_| ("temperature", "--temperature sets it"));
        max_tokens.into_iter().chain(temperature)
    }
}

impl ModelOptions {
    /// Rejects a `--param` that would have no effect: its name is in `set`, with the reason, or
    /// is repeated.
    fn check(&self, set: &[(&str, &str)]) -> Result<(), String> {
        let model = ("model", "--model sets it");
        for (number, (name, _)) in self.param.iter().enumerate() {
            let is_name = |(set, _): &&(&str, &str)| set == name;
            if let Some((name, why)) = set.iter().chain([&model]).find(is_name) {
                return Err(format!("--param cannot set '{name}': {why}"));
            }
            if self.param[..number].iter().any(|(other, _)| other == name) {
                let name = excerpt(name);
                return Err(format!("--param sets '{name}' more than once"));
            }
        }
        Ok(())
    }
}

const TEXT: (&str, &str) = ("messages", "the argument TEXT sets it");

const STREAM: (&str, &str) = ("stream", "replies are streamed unless --no-stream is given");

const STREAM_OPTIONS: (&str, &str) = ("stream_options", "streams always include the usage");

/// The provider's address.
#[derive(Debug, clap::Args)]
pub(crate) struct Account {
    /// The provider's address [default: from the environment, else its own]
    #[arg(long, value_name = "URL", conflicts_with = "simulate")]
    pub(crate) api_base: Option<String>,
    /// Use a simulation of the provider: no key, no cost, no model
    #[arg(long)]
    pub(crate) simulate: bool,
}

/// `top_k=20` or `stop=["a"]`; a value that is not JSON is a string.
fn name_and_value(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    if name.trim().is_empty() {
        return Err("the name before the = is empty".to_owned());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

/// Replaces the escapes of characters that are hard to type in a shell.
fn unescaped(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(text.replace("\\n", "\n").replace("\\t", "\t"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_json_or_a_string() {
        assert_eq!(
            name_and_value("top_k=20").unwrap(),
            ("top_k".to_owned(), 20.into())
        );
        assert_eq!(name_and_value("mode=top_p").unwrap().1, "top_p");
        assert!(name_and_value("top_k").is_err());
        assert!(name_and_value("=20").is_err() && name_and_value(" =20").is_err());
    }
}
