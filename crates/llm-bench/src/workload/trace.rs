//! Traces: recorded start times and lengths of requests.

use std::path::Path;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::error::Error;
use crate::scenario::TrafficScenario;
use crate::workload::access::Access;
use crate::workload::file;
use crate::workload::sessions::{JobSpec, MAX_MS, Sessions};

/// A recorded load in the order of time: requests, or the jobs of agents.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub(crate) rows: Vec<TraceRow>,
    /// Not empty if lines have conversations; then `rows` is.
    pub(crate) jobs: Vec<JobSpec>,
    models: Vec<String>,
}

/// A line of a trace, in Mooncake's form or with its own prompt.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TraceRow {
    /// Milliseconds from any origin.
    pub(crate) timestamp: f64,
    /// Input tokens.
    pub(crate) input_length: Option<u64>,
    /// Output tokens; a trace has 0 for a reply that failed, and no upstream accepts such a limit.
    #[serde(default, deserialize_with = "some_tokens")]
    pub(crate) output_length: Option<u64>,
    /// Blocks of 512 tokens of the prompt; equal numbers represent equal text.
    #[serde(default)]
    pub(crate) hash_ids: Vec<u64>,
    /// The prompt itself.
    #[serde(alias = "text_input")]
    pub(crate) prompt: Option<String>,
    /// A conversation in OpenAI's form.
    pub(crate) messages: Option<Vec<Value>>,
    /// The model, if it is not that of the run.
    pub(crate) model: Option<String>,
}

fn some_tokens<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let tokens = Option::<u64>::deserialize(deserializer)?;
    Ok(tokens.filter(|tokens| *tokens > 0))
}

impl Trace {
    /// Reads JSON Lines. A line is a request with `timestamp` in milliseconds, `output_length`, and
    /// `input_length` with `hash_ids` (Mooncake), `prompt` or `messages`; or a turn of the conversation
    /// `session_id`; or a conversation with `turns`, which may start others by `spawns` and `forks`
    /// (AIPerf). All conversations that start each other are a job. A request or turn with `model` is
    /// sent to that model.
    ///
    /// # Errors
    ///
    /// [`Error::Dataset`] with the line; [`Error::Read`]; [`Error::NotAllowed`].
    pub fn read(path: &Path, access: &Access) -> Result<Self, Error> {
        let text = file::text(path, access)?;
        let lines = || {
            (1..)
                .zip(text.lines())
                .filter(|(_, line)| !line.trim().is_empty())
        };
        let has_jobs = lines().any(|(_, line)| {
            let keys: Result<Keys, _> = serde_json::from_str(line);
            keys.is_ok_and(|keys| keys.turns.is_some() || keys.session_id.is_some())
        });
        let mut trace = Self::default();
        match has_jobs {
            true => trace.jobs = jobs(path, lines())?,
            false => trace.rows = rows(path, lines())?,
        }
        if trace.is_empty() {
            return Err(Error::dataset(path, None, "expected at least one request"));
        }
        trace.models = trace.named_models();
        Ok(trace)
    }

    /// The models that requests of the trace name, in the order of the requests.
    pub fn models(&self) -> &[String] {
        &self.models
    }

    fn named_models(&self) -> Vec<String> {
        let of_rows = self.rows.iter().map(|row| &row.model);
        let turns = self.jobs.iter().flat_map(|job| job.root.all_turns());
        let mut models: Vec<String> = Vec::new();
        for model in of_rows.chain(turns.map(|turn| &turn.model)).flatten() {
            if !models.contains(model) {
                models.push(model.clone());
            }
        }
        models
    }

    /// The number of jobs; 0 if the lines are single requests.
    pub fn jobs(&self) -> usize {
        self.jobs.len()
    }

    /// The name of its runs: `jobs`, or `trace` if the lines are single requests.
    pub fn scenario(&self) -> &'static str {
        match self.jobs.is_empty() {
            true => "trace",
            false => "jobs",
        }
    }

    /// Whether the trace says when its requests or jobs start.
    pub fn has_times(&self) -> bool {
        self.jobs.is_empty() || self.jobs.iter().any(|job| job.timestamp.is_some())
    }

    /// The number of requests.
    pub fn len(&self) -> usize {
        let jobs = self.jobs.iter().map(JobSpec::requests).sum::<u64>();
        self.rows.len() + usize::try_from(jobs).unwrap_or(usize::MAX)
    }

    /// Whether there are no requests; never true for a trace from [`Trace::read`].
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.jobs.is_empty()
    }
}

/// The keys that tell a conversation.
#[derive(Deserialize)]
struct Keys {
    turns: Option<IgnoredAny>,
    session_id: Option<IgnoredAny>,
}

fn jobs<'a>(
    path: &Path,
    lines: impl Iterator<Item = (u64, &'a str)>,
) -> Result<Vec<JobSpec>, Error> {
    let mut sessions = Sessions::new(path);
    for (number, line) in lines {
        let invalid = |error: serde_json::Error| {
            Error::dataset(
                path,
                Some(number),
                format!("expected a conversation: {error}"),
            )
        };
        let keys: Keys = serde_json::from_str(line).map_err(invalid)?;
        match keys.turns {
            Some(_) => sessions.add(number, serde_json::from_str(line).map_err(invalid)?)?,
            None => sessions.add_turn(number, serde_json::from_str(line).map_err(invalid)?)?,
        }
    }
    sessions.jobs()
}

fn rows<'a>(
    path: &Path,
    lines: impl Iterator<Item = (u64, &'a str)>,
) -> Result<Vec<TraceRow>, Error> {
    let mut rows = Vec::new();
    for (number, line) in lines {
        let invalid = |reason: String| Error::dataset(path, Some(number), reason);
        let row: TraceRow = serde_json::from_str(line).map_err(|error| {
            invalid(format!(
                "expected {{\"timestamp\": ms, \"input_length\": …}}: {error}"
            ))
        })?;
        if row.timestamp.is_nan() || row.timestamp.abs() > MAX_MS {
            return Err(invalid(
                "timestamp: expected milliseconds, at most 1e15".to_owned(),
            ));
        }
        if row.model.as_deref().is_some_and(str::is_empty) {
            return Err(invalid("model: expected a name".to_owned()));
        }
        if row.input_length.is_none() && row.prompt.is_none() && row.messages.is_none() {
            return Err(invalid(
                "expected input_length, prompt or messages".to_owned(),
            ));
        }
        for (name, tokens) in [
            ("input_length", row.input_length),
            ("output_length", row.output_length),
        ] {
            if tokens.is_some_and(|tokens| tokens > TrafficScenario::MAX_TOKENS) {
                let max = TrafficScenario::MAX_TOKENS;
                return Err(invalid(format!("{name}: more than {max}")));
            }
        }
        rows.push(row);
    }
    rows.sort_by(|a, b| a.timestamp.total_cmp(&b.timestamp));
    Ok(rows)
}

impl TraceRow {
    /// The approximate size of the request in bytes.
    pub(crate) fn bytes(&self) -> usize {
        // Synthetic words have about six letters per token.
        let synthetic = self.input_length.unwrap_or(0).saturating_mul(6);
        let texts = self.messages.iter().flatten();
        let texts = texts.filter_map(|message| message.get("content")?.as_str());
        let given = self.prompt.as_deref().into_iter().chain(texts);
        match given.map(str::len).sum() {
            0 => usize::try_from(synthetic).unwrap_or(usize::MAX),
            bytes => bytes,
        }
    }
}

/// Tokens of a block in Mooncake's traces.
pub(crate) const BLOCK: u64 = 512;
