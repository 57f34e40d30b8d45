//! Creating predictions: bodies checked, headers read, the life laid down.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::duration;
use crate::fault::{Failure, Fault};
use crate::http::Call;
use crate::options::SimOptions;
use crate::replicate::catalog::{Model, Output};
use crate::replicate::prediction::{Cancel, Prediction};
use crate::replicate::problem::{Invalid, Problem};
use crate::replicate::schema::Schema;
use crate::replicate::store::Store;
use crate::replicate::timeline::Timeline;
use crate::replicate::webhook::Hook;
use crate::seed::hash;
use crate::text::{Question, count_tokens, last_user_turn, tokens};

/// What a prediction is to run on.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) model: Model,
    pub(crate) version: String,
    pub(crate) deployment: Option<String>,
}

/// The ids of a new prediction.
#[derive(Debug)]
pub(crate) struct Ids {
    pub(crate) id: String,
    pub(crate) stream_token: String,
}

/// The body of a create request.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) version: Option<String>,
    input: Map<String, Value>,
    stream: bool,
    hook: Option<Hook>,
}

impl Body {
    /// `with_version`: whether `version` is required, or else not allowed.
    pub(crate) fn read(bytes: &[u8], with_version: bool) -> Result<Self, Problem> {
        let mut body = match serde_json::from_slice(bytes) {
            Ok(Value::Object(body)) => body,
            Ok(_) => return Err(Problem::new(400, "The request body must be a JSON object.")),
            Err(error) => {
                return Err(Problem::new(
                    400,
                    format!("The request body is not JSON: {error}"),
                ));
            }
        };
        let mut invalid = Vec::new();
        for name in ["version", "input"] {
            if (name == "input" || with_version) && !body.contains_key(name) {
                invalid.push(Invalid::required("", name));
            }
        }
        for (name, value) in &body {
            let expected = match name.as_str() {
                "version" if with_version => ("string", value.is_string()),
                "input" => ("object", value.is_object()),
                "stream" => ("boolean", value.is_boolean()),
                "webhook" | "webhook_completed" => ("string", value.is_string() || value.is_null()),
                "webhook_events_filter" => ("array", value.is_array()),
                _ => {
                    let text = format!("Additional property {name} is not allowed");
                    invalid.push(Invalid::new("additional_property_not_allowed", "", text));
                    continue;
                }
            };
            if !expected.1 {
                invalid.push(Invalid::wrong_type(name, expected.0, value));
            }
        }
        let hook = Hook::read(&body, &mut invalid);
        match Problem::validation(&invalid) {
            Some(problem) => Err(problem),
            None => Ok(Self {
                version: body
                    .get("version")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
                stream: body.get("stream") == Some(&Value::Bool(true)),
                hook,
                input: match body.remove("input") {
                    Some(Value::Object(input)) => input,
                    _ => Map::new(),
                },
            }),
        }
    }
}

/// `Prefer: wait` or `wait=n`: how long the answer may be held back. A preference that cannot be
/// understood is ignored (RFC 7240, section 2).
pub(crate) fn wait(call: &Call) -> Option<(Duration, String)> {
    let preference = call.header("prefer")?.split([',', ';']).map(str::trim);
    preference.into_iter().find_map(|preference| {
        if preference == "wait" {
            return Some((LONGEST_WAIT, preference.to_owned()));
        }
        let seconds = preference
            .strip_prefix("wait=")?
            .parse()
            .ok()
            .filter(|n| *n > 0)?;
        Some((
            Duration::from_secs(seconds).min(LONGEST_WAIT),
            preference.to_owned(),
        ))
    })
}

/// Makes the prediction that `body` asks for and puts it into the store.
pub(crate) fn create(
    call: &Call,
    target: Target,
    body: Body,
    ids: Ids,
    store: &Store,
    options: &SimOptions,
) -> Result<Arc<Prediction>, Problem> {
    let listed = target.model.listed;
    if let Some(problem) = Problem::validation(&listed.schema.check(&body.input)) {
        return Err(problem);
    }
    let lifetime = lifetime(call)?;
    let now = Instant::now();
    let model = target.model.full_name();
    let asked = Asked::read(listed.schema, &body.input);
    let failure = call.faults.find(|fault| match fault {
        Fault::Fail(failure) => Some(*failure),
        _ => None,
    });

    let (mut said, prompt_tokens) = asked.answer(&model, listed.output, options);
    let warm = target.deployment.as_deref().unwrap_or(&target.version);
    let warm = if listed.official {
        model.as_str()
    } else {
        warm
    };
    let started = store.start_of(warm, now, &options.timing);
    let logs = asked.logs(&model, listed.output, prompt_tokens, said.len());
    let starts = match failure {
        // These never get as far as the model.
        Some(Failure::Director | Failure::Interrupted) => {
            said.clear();
            None
        }
        Some(Failure::Timeout) => {
            said.truncate(said.len() / 2);
            Some(started)
        }
        Some(_) => {
            said.clear();
            Some(started)
        }
        None => Some(started),
    };
    let mut timeline = Timeline {
        created: now,
        started: starts,
        first_token: options.timing.first_token,
        token: options.timing.token,
        tokens_per_event: options.pace.tokens_per_event,
        tokens: said.len(),
        ends: started,
        fails: failure.is_some(),
        deadline: lifetime.map(|lifetime| now + lifetime),
    };
    if starts.is_some() {
        timeline.ends = timeline.token_at(started, said.len());
    }
    // Official models always have a stream; others when it was asked for; hello-world never.
    let streams = listed.output != Output::Text && (listed.official || body.stream);
    let prediction = Arc::new(Prediction {
        id: ids.id,
        version: if listed.official {
            "hidden".to_owned()
        } else {
            target.version
        },
        model,
        deployment: target.deployment,
        input: body.input,
        output: listed.output,
        tokens: said,
        prompt_tokens,
        error: failure.map(Failure::message),
        logs,
        timeline,
        asked_stream: body.stream,
        hook: body.hook,
        stream_token: streams.then_some(ids.stream_token),
        cancel: watch::Sender::new(Cancel::default()),
    });
    store
        .add(Arc::clone(&prediction))
        .map_err(|_| Problem::throttled())?;
    Ok(prediction)
}

/// `Cancel-After`, at least 5 seconds.
fn lifetime(call: &Call) -> Result<Option<Duration>, Problem> {
    let Some(text) = call.header("cancel-after") else {
        return Ok(None);
    };
    match duration::parse(text).filter(|lifetime| *lifetime >= SHORTEST_LIFE) {
        Some(lifetime) => Ok(Some(lifetime)),
        None => Err(Problem::titled(
            422,
            "Invalid Cancel-After header",
            "Cancel-After must be a duration of at least 5 seconds, such as 30s, 5m or 1h30m45s",
        )),
    }
}

/// What an input asks of the model, by whatever names its schema has.
struct Asked {
    prompt: String,
    said: String,
    seed: u64,
    max_tokens: Option<usize>,
    min_tokens: usize,
    stop: Vec<String>,
    greeting: Option<String>,
}

impl Asked {
    fn read(schema: Schema, input: &Map<String, Value>) -> Self {
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
            said: last_user_turn(prompt).to_owned(),
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

    /// The output's tokens, and how many the prompt has.
    fn answer(&self, model: &str, output: Output, options: &SimOptions) -> (Vec<String>, usize) {
        if let Some(name) = &self.greeting {
            return (vec![format!("hello {name}")], tokens(name).count());
        }
        let question = Question {
            model,
            said: &self.said,
            variant: self.seed,
            max_tokens: self.max_tokens,
            min_tokens: self.min_tokens,
            stop: &self.stop,
        };
        let mut said = question.answer(&options.reply).tokens;
        if output == Output::TokensAndEnd {
            said.push(String::new());
        }
        (said, count_tokens(&self.prompt))
    }

    fn logs(&self, model: &str, output: Output, prompt: usize, said: usize) -> String {
        match output {
            Output::Text => String::new(),
            Output::TokensInLogs => {
                let total = prompt + said;
                let variant = model.rsplit('/').next().unwrap_or(model);
                format!(
                    "Model variant: {variant}\nInput token count: {prompt}\n\
                     Output token count: {said}\nTotal token count: {total}\nTTFT: 0.22s"
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

const LONGEST_WAIT: Duration = Duration::from_secs(60);
const SHORTEST_LIFE: Duration = Duration::from_secs(5);
