//! The conversations of a trace, and the jobs that they form.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::scenario::TrafficScenario;

/// A job: a conversation that nothing else starts, with its helpers.
#[derive(Clone, Debug)]
pub(crate) struct JobSpec {
    /// When it starts, in milliseconds from any origin.
    pub(crate) timestamp: Option<f64>,
    pub(crate) root: SessionSpec,
}

#[derive(Clone, Debug)]
pub(crate) struct SessionSpec {
    pub(crate) turns: Vec<TurnSpec>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct TurnSpec {
    pub(crate) messages: Vec<Value>,
    /// Tokens of a synthetic message, after `messages`.
    pub(crate) input_length: Option<u64>,
    /// Blocks of it; equal numbers represent equal text.
    pub(crate) hash_ids: Vec<u64>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) parameters: Map<String, Value>,
    /// The model, if it is not that of the run.
    pub(crate) model: Option<String>,
    /// Whether `messages` are the whole conversation.
    pub(crate) is_whole: bool,
    /// Milliseconds after the last response.
    pub(crate) delay: f64,
    /// The earliest start, in milliseconds.
    pub(crate) timestamp: Option<f64>,
    pub(crate) helpers: Vec<HelpersSpec>,
}

#[derive(Clone, Debug)]
pub(crate) struct HelpersSpec {
    pub(crate) sessions: Vec<SessionSpec>,
    pub(crate) join_at: usize,
    pub(crate) inherit: bool,
}

impl JobSpec {
    /// The number of requests.
    pub(crate) fn requests(&self) -> u64 {
        self.root.requests()
    }
}

impl SessionSpec {
    pub(crate) fn requests(&self) -> u64 {
        let helpers = self.turns.iter().flat_map(|turn| &turn.helpers);
        let helpers = helpers.flat_map(|helpers| &helpers.sessions);
        self.turns.len() as u64 + helpers.map(Self::requests).sum::<u64>()
    }

    /// All turns, with those of helpers.
    pub(crate) fn all_turns(&self) -> Box<dyn Iterator<Item = &TurnSpec> + '_> {
        let helpers = self.turns.iter().flat_map(|turn| &turn.helpers);
        let helpers = helpers.flat_map(|helpers| &helpers.sessions);
        Box::new(self.turns.iter().chain(helpers.flat_map(Self::all_turns)))
    }

    /// The approximate size of its texts in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let turn = |turn: &TurnSpec| {
            let given: usize = turn
                .messages
                .iter()
                .map(|text| text.to_string().len())
                .sum();
            // Synthetic words have about six letters per token.
            let synthetic = turn.input_length.unwrap_or(0).saturating_mul(6);
            given.saturating_add(usize::try_from(synthetic).unwrap_or(usize::MAX))
        };
        let helpers = self.turns.iter().flat_map(|turn| &turn.helpers);
        let helpers = helpers.flat_map(|helpers| &helpers.sessions);
        let own = self.turns.iter().map(turn);
        own.chain(helpers.map(Self::bytes))
            .fold(0, usize::saturating_add)
    }
}

/// A line with a conversation: ours, or AIPerf's `multi_turn` or `dag_jsonl`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionLine {
    session_id: Option<String>,
    timestamp: Option<f64>,
    #[serde(default)]
    context_mode: Option<String>,
    pub(super) turns: Vec<TurnLine>,
}

/// A turn; with a `session_id`, it is a line of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TurnLine {
    pub(super) session_id: Option<String>,
    messages: Vec<Value>,
    message_mode: Option<String>,
    #[serde(alias = "text_input", alias = "prompt")]
    text: Option<String>,
    input_length: Option<u64>,
    hash_ids: Vec<u64>,
    #[serde(alias = "output_length")]
    max_tokens: Option<u64>,
    timestamp: Option<f64>,
    delay: Option<f64>,
    /// Whether the conversation begins anew.
    restart: bool,
    model: Option<String>,
    tools: Option<Value>,
    extra: Map<String, Value>,
    spawns: Vec<HelperLine>,
    forks: Vec<HelperLine>,
}

/// The conversations that a turn starts.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum HelperLine {
    Id(String),
    Several {
        children: Vec<String>,
        join_at: usize,
    },
    Fork {
        child: String,
        #[serde(default)]
        background: bool,
    },
}

/// Collects the conversations of a trace.
#[derive(Debug)]
pub(super) struct Sessions<'a> {
    path: &'a Path,
    /// In the order of their first lines.
    order: Vec<Session>,
    by_id: HashMap<String, usize>,
}

#[derive(Debug)]
struct Session {
    line: u64,
    id: String,
    timestamp: Option<f64>,
    turns: Vec<TurnLine>,
    is_whole: bool,
    /// Whether a conversation has started it.
    is_used: bool,
}

impl<'a> Sessions<'a> {
    pub(super) fn new(path: &'a Path) -> Self {
        Self {
            path,
            order: Vec::new(),
            by_id: HashMap::new(),
        }
    }

    /// Adds a line with a whole conversation.
    pub(super) fn add(&mut self, line: u64, session: SessionLine) -> Result<(), Error> {
        if session.turns.is_empty() {
            return Err(self.invalid(line, "turns: expected at least one"));
        }
        let id = session.session_id.unwrap_or_else(|| format!("line {line}"));
        if self.by_id.contains_key(&id) {
            return Err(self.invalid(line, "session_id: used by an earlier line"));
        }
        let is_whole = match session.context_mode.as_deref() {
            None | Some("deltas_without_responses") => false,
            Some("message_array_with_responses") => true,
            Some(_) => {
                let reason = "context_mode: expected deltas_without_responses or \
                              message_array_with_responses";
                return Err(self.invalid(line, reason));
            }
        };
        if !session.timestamp.is_none_or(|at| at.abs() <= MAX_MS) {
            return Err(self.invalid(line, "timestamp: expected milliseconds, at most 1e15"));
        }
        self.push(line, id, session.timestamp, session.turns, is_whole);
        Ok(())
    }

    /// Adds a line with one turn, to the conversation of its id.
    pub(super) fn add_turn(&mut self, line: u64, mut turn: TurnLine) -> Result<(), Error> {
        let is_whole = match turn.message_mode.as_deref() {
            Some("delta") => false,
            None | Some("history") => !turn.messages.is_empty(),
            Some(_) => return Err(self.invalid(line, "message_mode: expected delta or history")),
        };
        let id = turn
            .session_id
            .take()
            .unwrap_or_else(|| format!("line {line}"));
        match self.by_id.get(&id) {
            Some(at) => self.order[*at].turns.push(turn),
            None => {
                let timestamp = turn.timestamp;
                self.push(line, id, timestamp, vec![turn], is_whole);
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        line: u64,
        id: String,
        timestamp: Option<f64>,
        turns: Vec<TurnLine>,
        is_whole: bool,
    ) {
        self.by_id.insert(id.clone(), self.order.len());
        self.order.push(Session {
            line,
            id,
            timestamp,
            turns,
            is_whole,
            is_used: false,
        });
    }

    /// The jobs in the order of time; those without a time come first, in the order of lines.
    pub(super) fn jobs(mut self) -> Result<Vec<JobSpec>, Error> {
        for at in 0..self.order.len() {
            for child in self.children(at) {
                let line = self.order[at].line;
                let Some(child) = self.by_id.get(&child).copied() else {
                    let reason = format!("no line has the session_id {child:?} of a helper");
                    return Err(self.invalid(line, reason));
                };
                if std::mem::replace(&mut self.order[child].is_used, true) {
                    let id = &self.order[child].id;
                    let reason = format!("the conversation {id:?} is started twice");
                    return Err(self.invalid(line, reason));
                }
            }
        }
        let roots: Vec<usize> = (0..self.order.len())
            .filter(|at| !self.order[*at].is_used)
            .collect();
        let mut jobs = Vec::new();
        let mut built = 0;
        for root in roots {
            let timestamp = self.order[root].timestamp;
            let root = self.build(root, 0, &mut built)?;
            jobs.push(JobSpec { timestamp, root });
        }
        // Conversations that start each other in a circle belong to no job.
        if built < self.order.len() {
            let lost = self.order.iter().find(|session| !session.turns.is_empty());
            let line = lost.map_or(0, |session| session.line);
            return Err(self.invalid(line, "helpers start each other in a circle"));
        }
        jobs.sort_by(|a, b| {
            let time = |job: &JobSpec| job.timestamp.unwrap_or(f64::NEG_INFINITY);
            time(a).total_cmp(&time(b))
        });
        Ok(jobs)
    }

    fn children(&self, at: usize) -> Vec<String> {
        let turns = self.order[at].turns.iter();
        let lines = turns.flat_map(|turn| turn.spawns.iter().chain(&turn.forks));
        lines
            .flat_map(|line| match line {
                HelperLine::Id(child) | HelperLine::Fork { child, .. } => vec![child.clone()],
                HelperLine::Several { children, .. } => children.clone(),
            })
            .collect()
    }

    fn build(&mut self, at: usize, depth: u32, built: &mut usize) -> Result<SessionSpec, Error> {
        let line = self.order[at].line;
        if depth > MAX_DEPTH {
            return Err(self.invalid(line, "helpers of helpers: more than 16 levels"));
        }
        *built += 1;
        let lines = std::mem::take(&mut self.order[at].turns);
        let (count, is_whole) = (lines.len(), self.order[at].is_whole);
        let mut turns = Vec::with_capacity(count);
        for (number, turn) in lines.into_iter().enumerate() {
            let mut helpers = Vec::new();
            let spawned = turn.spawns.iter().map(|line| (line, false));
            let forked = turn.forks.iter().map(|line| (line, true));
            for (helper, inherit) in spawned.chain(forked) {
                let (children, join_at) = match helper {
                    HelperLine::Id(child) => (vec![child], number + 1),
                    HelperLine::Fork { child, background } => {
                        let join_at = if *background { count } else { number + 1 };
                        (vec![child], join_at)
                    }
                    HelperLine::Several { children, join_at } => {
                        (children.iter().collect(), *join_at)
                    }
                };
                if join_at <= number || join_at > count {
                    let reason = format!(
                        "join_at {join_at}: expected a later turn than {number}, at most {count}"
                    );
                    return Err(self.invalid(line, reason));
                }
                let mut sessions = Vec::new();
                for child in children {
                    let child = self.by_id[child];
                    sessions.push(self.build(child, depth + 1, built)?);
                }
                helpers.push(HelpersSpec {
                    sessions,
                    join_at,
                    inherit,
                });
            }
            turns.push(self.turn(line, turn, is_whole, helpers)?);
        }
        Ok(SessionSpec { turns })
    }

    fn turn(
        &self,
        line: u64,
        turn: TurnLine,
        is_whole: bool,
        helpers: Vec<HelpersSpec>,
    ) -> Result<TurnSpec, Error> {
        let mut messages = turn.messages;
        if let Some(text) = turn.text {
            messages.push(json!({"role": "user", "content": text}));
        }
        if messages.is_empty() && turn.input_length.is_none() {
            return Err(self.invalid(line, "a turn has no messages, text or input_length"));
        }
        for (name, tokens) in [
            ("input_length", turn.input_length),
            ("output_length", turn.max_tokens),
        ] {
            if tokens.is_some_and(|tokens| tokens > TrafficScenario::MAX_TOKENS) {
                let max = TrafficScenario::MAX_TOKENS;
                return Err(self.invalid(line, format!("{name}: more than {max}")));
            }
        }
        let delay = turn.delay.unwrap_or(0.0);
        if !(0.0..=MAX_DELAY_MS).contains(&delay) {
            return Err(self.invalid(line, "delay: expected 0 to 86400000 milliseconds"));
        }
        let is_time = |at: f64| at.abs() <= MAX_MS;
        if !turn.timestamp.is_none_or(is_time) {
            return Err(self.invalid(line, "timestamp: expected milliseconds, at most 1e15"));
        }
        if turn.model.as_deref().is_some_and(str::is_empty) {
            return Err(self.invalid(line, "model: expected a name"));
        }
        let mut parameters = turn.extra;
        if let Some(tools) = turn.tools {
            parameters.insert("tools".to_owned(), tools);
        }
        Ok(TurnSpec {
            messages,
            input_length: turn.input_length,
            hash_ids: turn.hash_ids,
            max_tokens: turn.max_tokens,
            parameters,
            model: turn.model,
            is_whole: is_whole || turn.restart,
            delay,
            timestamp: turn.timestamp,
            helpers,
        })
    }

    fn invalid(&self, line: u64, reason: impl Into<String>) -> Error {
        Error::dataset(self.path, Some(line), reason)
    }
}

/// Helpers of helpers.
const MAX_DEPTH: u32 = 16;

/// A day.
const MAX_DELAY_MS: f64 = 86_400_000.0;

/// About 30,000 years: longer than any recording, and exact in a float.
pub(super) const MAX_MS: f64 = 1e15;

#[cfg(test)]
mod tests;
