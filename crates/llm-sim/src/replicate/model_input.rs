//! The meaning of an input, and the model's reply.

use serde_json::{Map, Value};

use crate::options::SimOptions;
use crate::replicate::catalog::Output;
use crate::replicate::schema::Schema;
use crate::seed::hash;
use crate::text::{Question, count_tokens, last_user_turn, tokens};

/// The meaning of an input, independent of the names in the model's schema.
pub(crate) struct ModelInput {
    prompt: String,
    user_text: String,
    seed: u64,
    max_tokens: Option<usize>,
    min_tokens: usize,
    stop: Vec<String>,
    greeting: Option<String>,
}

impl ModelInput {
    pub(crate) fn read(schema: Schema, input: &Map<String, Value>) -> Self {
        let text = |name: &str| input.get(name).and_then(Value::as_str);
        let prompt = text("prompt").unwrap_or_default();
        let prompt = match last_message(input.get("messages")) {
            Some(message) if schema.has("messages") => message,
            _ => prompt,
        };
        let limit = |names: [&str; 4]| {
            let known = names.into_iter().filter(|name| schema.has(name));
            let given = |name| {
                let given = input.get(name).and_then(Value::as_f64);
                given.or_else(|| schema.default_number(name))
            };
            known
                .filter_map(given)
                .find(|limit| *limit >= 0.0)
                .map(|limit| limit as usize)
        };
        let known = |name: &str| {
            let given = text(name).filter(|_| schema.has(name));
            given
                .or_else(|| schema.default_text(name))
                .unwrap_or_default()
        };
        let formatted = match known("prompt_template") {
            "" => prompt.to_owned(),
            template => {
                let system = known("system_prompt");
                template
                    .replace("{system_prompt}", system)
                    .replace("{prompt}", prompt)
            }
        };
        Self {
            user_text: last_user_turn(prompt).to_owned(),
            prompt: formatted,
            seed: input
                .get("seed")
                .map_or(0, |seed| hash([seed.to_string().as_str()])),
            max_tokens: limit([
                "max_tokens",
                "max_new_tokens",
                "max_length",
                "max_completion_tokens",
            ]),
            min_tokens: limit(["min_tokens", "min_new_tokens", "", ""]).unwrap_or(0),
            stop: known("stop_sequences")
                .split(',')
                .map(str::to_owned)
                .collect(),
            greeting: text("text")
                .filter(|_| schema.has("text"))
                .map(str::to_owned),
        }
    }

    /// The output's tokens, and the number of tokens of the prompt.
    pub(crate) fn answer(
        &self,
        model: &str,
        output: Output,
        options: &SimOptions,
    ) -> (Vec<String>, usize) {
        if let Some(name) = &self.greeting {
            return (vec![format!("hello {name}")], tokens(name).count());
        }
        let question = Question {
            model,
            user_text: &self.user_text,
            variant: self.seed,
            max_tokens: self.max_tokens,
            min_tokens: self.min_tokens,
            stop: &self.stop,
        };
        let mut tokens = question.answer(&options.reply).tokens;
        if output == Output::TokensAndEnd {
            tokens.push(String::new());
        }
        (tokens, count_tokens(&self.prompt))
    }

    pub(crate) fn logs(
        &self,
        model: &str,
        output: Output,
        prompt: usize,
        output_tokens: usize,
    ) -> String {
        match output {
            Output::Text => String::new(),
            Output::TokensInLogs => {
                let total = prompt + output_tokens;
                let variant = model.rsplit('/').next().unwrap_or(model);
                format!(
                    "Model variant: {variant}\nInput token count: {prompt}\n\
                     Output token count: {output_tokens}\nTotal token count: {total}\nTTFT: 0.22s"
                )
            }
            Output::Tokens | Output::TokensAndEnd => {
                let seed = self.seed % 100_000;
                format!(
                    "Random seed used: `{seed}`\nFormatted prompt: `{}`",
                    self.prompt
                )
            }
        }
    }
}

fn last_message(messages: Option<&Value>) -> Option<&str> {
    let messages = messages?.as_array()?.iter().rev();
    let user = |message: &&Value| message.get("role").and_then(Value::as_str) == Some("user");
    messages
        .filter(user)
        .find_map(|message| message.get("content")?.as_str())
}
