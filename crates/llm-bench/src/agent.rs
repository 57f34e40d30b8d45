//! Jobs of agents: conversations that wait for tools and start helpers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::record::{JobPart, TokenSource, Turn};
use crate::request::{BodyBuilder, PreparedRequest};
use crate::tokens::{self, Tokenizer};

/// A job that is written: its conversations, and what their requests share.
#[derive(Clone, Debug)]
pub(crate) struct AgentJob {
    pub(crate) root: AgentSession,
    pub(crate) context: Arc<AgentContext>,
}

#[derive(Debug)]
pub(crate) struct AgentContext {
    pub(crate) bodies: Arc<BodyBuilder>,
    pub(crate) tokenizer: Option<Tokenizer>,
    pub(crate) part: JobPart,
}

/// A conversation of a job.
#[derive(Clone, Debug)]
pub(crate) struct AgentSession {
    /// The id of its first request; each turn has the next one.
    pub(crate) first_id: u64,
    /// The number of the conversation in the plan.
    pub(crate) number: u64,
    pub(crate) turns: Vec<AgentTurn>,
}

/// A request of a conversation, and what precedes and follows it.
#[derive(Clone, Debug)]
pub(crate) struct AgentTurn {
    /// The messages after the last response, such as the result of a tool.
    pub(crate) messages: Vec<Value>,
    /// Their tokens.
    pub(crate) input: (u64, TokenSource),
    pub(crate) max_tokens: Option<u64>,
    /// Parameters of this request.
    pub(crate) parameters: Map<String, Value>,
    /// The place of its model, if that is not the model of the job.
    pub(crate) model: Option<u32>,
    /// Whether `messages` are the whole conversation.
    pub(crate) is_whole: bool,
    /// The time after the last response, and after the helpers that this turn waits for.
    pub(crate) wait: Duration,
    /// The earliest start, in nanoseconds since the start of the load.
    pub(crate) not_before_ns: Option<u64>,
    pub(crate) helpers: Vec<AgentHelpers>,
}

/// Conversations that start after the response of a turn.
#[derive(Clone, Debug)]
pub(crate) struct AgentHelpers {
    pub(crate) sessions: Vec<AgentSession>,
    /// The turn of the parent that waits for them; the number of turns for the end of the job.
    pub(crate) join_at: usize,
    /// Whether they continue the parent's conversation.
    pub(crate) inherit: bool,
}

/// The messages of a conversation so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    messages: Vec<Value>,
    input: (u64, TokenSource),
}

impl AgentSession {
    /// The request of a turn, after `history`.
    pub(crate) fn request(
        &self,
        number: usize,
        history: &mut History,
        context: &AgentContext,
    ) -> PreparedRequest {
        let turn = &self.turns[number];
        if turn.is_whole {
            *history = History::default();
        }
        history.messages.extend(turn.messages.iter().cloned());
        history.input = (history.input.0 + turn.input.0, turn.input.1);
        let bodies = &context.bodies;
        let body = bodies.text(&history.messages, turn.max_tokens, &turn.parameters);
        PreparedRequest {
            model: turn.model.unwrap_or(bodies.model_place),
            turn: Some(Turn {
                conversation: self.number,
                turn: u32::try_from(number).unwrap_or(u32::MAX),
            }),
            job: Some(context.part),
            ..bodies.request(bodies.text_endpoint(), body, history.input)
        }
    }
}

impl History {
    /// Adds a response.
    pub(crate) fn answered(&mut self, text: &str, context: &AgentContext) {
        let (count, source) = tokens::count(context.tokenizer.as_ref(), text);
        self.input = (self.input.0 + count, source);
        self.messages
            .push(json!({"role": "assistant", "content": text}));
    }
}
