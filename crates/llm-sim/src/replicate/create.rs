//! Creates predictions: validates bodies, reads headers, and computes the timeline.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::duration;
use crate::fault::{Fault, PredictionFailure};
use crate::http::Call;
use crate::options::SimOptions;
use crate::replicate::catalog::{Model, Output};
use crate::replicate::model_input::ModelInput;
use crate::replicate::prediction::{Cancel, Prediction, StreamUrl};
use crate::replicate::problem::{Invalid, Problem};
use crate::replicate::store::Store;
use crate::replicate::timeline::Timeline;
use crate::replicate::webhook::Hook;
use crate::seed::{BASE32, Rng, hash};

/// The target of a prediction.
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
    pub(crate) stream: StreamUrl,
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
    /// `with_version`: whether `version` is required; otherwise it is not allowed.
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

/// `Prefer: wait` or `wait=n`, with `n` from 1 to 60: how long the response may wait for the output. An
/// invalid preference is ignored (RFC 7240, section 2).
pub(crate) fn wait(call: &Call) -> Option<(Duration, String)> {
    let preference = call.header("prefer")?.split([',', ';']).map(str::trim);
    preference.into_iter().find_map(|preference| {
        if preference == "wait" {
            return Some((LONGEST_WAIT, preference.to_owned()));
        }
        let digits = preference.strip_prefix("wait=")?;
        // `parse` accepts a sign.
        let is_plain = digits.starts_with(|first| matches!(first, '1'..='9'));
        let wait = Duration::from_secs(digits.parse().ok()?);
        (is_plain && wait <= LONGEST_WAIT).then(|| (wait, preference.to_owned()))
    })
}

/// Creates the prediction that `body` describes.
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
    let warm = if listed.official {
        target.model.full_name()
    } else {
        let version = &target.version;
        target.deployment.as_ref().unwrap_or(version).clone()
    };
    let lifecycle = Lifecycle {
        created: now,
        started: store.start_of(&warm, now, &options.timing),
        failure: call.faults.find(|fault| match fault {
            Fault::Fail(failure) => Some(*failure),
            _ => None,
        }),
        lifetime,
    };
    let prediction = Arc::new(build(target, body, ids, &lifecycle, options));
    Ok(prediction)
}

/// An example prediction of this model, created when the simulation started.
pub(crate) fn example(model: Model, created: Instant, options: &SimOptions) -> Prediction {
    let schema = model.listed.schema;
    let name = if schema.has("text") { "text" } else { "prompt" };
    let body = Body {
        version: None,
        input: Map::from_iter([(name.to_owned(), Value::from("Hello from a model's page"))]),
        stream: false,
        hook: None,
    };
    let ids = Ids {
        id: Rng(hash([model.owner.as_str(), &model.name, "example"])).word(BASE32, 26),
        stream: StreamUrl::default(),
    };
    let lifecycle = Lifecycle {
        created,
        started: created,
        failure: None,
        lifetime: None,
    };
    let target = Target {
        version: model.latest(),
        model,
        deployment: None,
    };
    let mut prediction = build(target, body, ids, &lifecycle, options);
    prediction.timeline.token = Duration::ZERO;
    prediction.timeline.first_token = Duration::ZERO;
    prediction.timeline.ends = created;
    // Its stream has expired.
    prediction.stream = None;
    prediction
}

/// The part of a prediction's timeline that does not depend on the output.
#[derive(Debug)]
struct Lifecycle {
    created: Instant,
    /// The time at which the model starts.
    started: Instant,
    failure: Option<PredictionFailure>,
    lifetime: Option<Duration>,
}

impl Lifecycle {
    /// The timeline of a prediction with this number of tokens; `started` is `None` if it never
    /// reaches the model.
    fn timeline(&self, started: Option<Instant>, tokens: usize, options: &SimOptions) -> Timeline {
        let mut timeline = Timeline {
            created: self.created,
            started,
            first_token: options.timing.first_token,
            token: options.timing.token,
            tokens_per_event: options.pace.tokens_per_event,
            tokens,
            ends: self.started,
            fails: self.failure.is_some(),
            deadline: self.lifetime.map(|lifetime| self.created + lifetime),
        };
        if started.is_some() {
            timeline.ends = timeline.token_at(self.started, tokens);
        }
        timeline
    }
}

fn build(
    target: Target,
    body: Body,
    ids: Ids,
    lifecycle: &Lifecycle,
    options: &SimOptions,
) -> Prediction {
    let listed = target.model.listed;
    let model = target.model.full_name();
    let input = ModelInput::read(listed.schema, &body.input);
    let (mut tokens, prompt_tokens) = input.answer(&model, listed.output, options);
    let logs = input.logs(&model, listed.output, prompt_tokens, tokens.len());
    let started = match lifecycle.failure {
        // These never reach the model.
        Some(PredictionFailure::Director | PredictionFailure::Interrupted) => {
            tokens.clear();
            None
        }
        Some(PredictionFailure::Timeout) => {
            tokens.truncate(tokens.len() / 2);
            Some(lifecycle.started)
        }
        Some(_) => {
            tokens.clear();
            Some(lifecycle.started)
        }
        None => Some(lifecycle.started),
    };
    let timeline = lifecycle.timeline(started, tokens.len(), options);
    // Official models always have a stream; others if requested; hello-world never.
    let streams = listed.output != Output::Text && (listed.official || body.stream);
    Prediction {
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
        tokens,
        prompt_tokens,
        error: lifecycle.failure.map(PredictionFailure::message),
        logs,
        timeline,
        stream_requested: body.stream,
        stream: streams.then_some(ids.stream),
        retention: options.timing.retention,
        hook: body.hook,
        cancel: watch::Sender::new(Cancel::default()),
    }
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

const LONGEST_WAIT: Duration = Duration::from_secs(60);
const SHORTEST_LIFE: Duration = Duration::from_secs(5);
