//! A unit of load: one request, or a conversation of several.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::agent::AgentJob;
use crate::error::Error;
use crate::record::{TokenSource, Turn};
use crate::request::{BodyBuilder, PreparedRequest};
use crate::tokens::{self, Tokenizer};

/// A job whose parts are chosen but not yet written. Writing takes time and needs nothing of other
/// jobs, so that several threads can share it.
pub(crate) struct Draft {
    /// The number of its requests.
    pub(crate) requests: u64,
    write: Box<dyn FnOnce() -> Result<Job, Error> + Send>,
}

impl Draft {
    pub(crate) fn new(
        requests: u64,
        write: impl FnOnce() -> Result<Job, Error> + Send + 'static,
    ) -> Self {
        Self {
            requests,
            write: Box::new(write),
        }
    }

    /// Writes the requests.
    ///
    /// # Errors
    ///
    /// If an image of the dataset is unreadable.
    pub(crate) fn write(self) -> Result<Job, Error> {
        (self.write)()
    }
}

/// One unit of load. Its requests are sent one after another.
#[derive(Debug)]
pub(crate) struct Job {
    /// The id of the first request; a conversation takes one id per turn.
    pub(crate) id: u64,
    /// When it starts in an open loop, in nanoseconds from the start of the load.
    pub(crate) scheduled_ns: Option<u64>,
    pub(crate) first: PreparedRequest,
    pub(crate) conversation: Option<Conversation>,
    /// The job of an agent, of which `first` is the first request.
    pub(crate) agent: Option<AgentJob>,
}

impl Job {
    pub(crate) fn single(id: u64, first: PreparedRequest) -> Self {
        Self {
            id,
            scheduled_ns: None,
            first,
            conversation: None,
            agent: None,
        }
    }
}

/// A conversation; later requests include the responses to earlier ones.
#[derive(Debug)]
pub(crate) struct Conversation {
    bodies: Arc<BodyBuilder>,
    tokenizer: Option<Tokenizer>,
    messages: Vec<Value>,
    remaining_turns: VecDeque<String>,
    max_tokens: Option<u64>,
    at: Turn,
    input: (u64, TokenSource),
}

impl Conversation {
    /// Creates a conversation with the user's `turns`; `None` if there are none.
    pub(crate) fn job(
        id: u64,
        number: u64,
        bodies: Arc<BodyBuilder>,
        tokenizer: Option<Tokenizer>,
        system: Option<&str>,
        turns: Vec<String>,
        max_tokens: Option<u64>,
    ) -> Option<Job> {
        let system = system.map(|text| json!({"role": "system", "content": text}));
        let mut conversation = Self {
            bodies,
            tokenizer,
            messages: system.into_iter().collect(),
            remaining_turns: turns.into(),
            max_tokens,
            at: Turn {
                conversation: number,
                turn: 0,
            },
            input: (0, TokenSource::default()),
        };
        let first = conversation.prepare()?;
        let conversation = (!conversation.remaining_turns.is_empty()).then_some(conversation);
        Some(Job {
            id,
            scheduled_ns: None,
            first,
            conversation,
            agent: None,
        })
    }

    /// The next request, after the response to the last one.
    pub(crate) fn next(&mut self, text: &str) -> Option<PreparedRequest> {
        self.count(text);
        self.messages
            .push(json!({"role": "assistant", "content": text}));
        self.at.turn += 1;
        self.prepare()
    }

    fn prepare(&mut self) -> Option<PreparedRequest> {
        let text = self.remaining_turns.pop_front()?;
        self.count(&text);
        self.messages.push(json!({"role": "user", "content": text}));
        Some(PreparedRequest {
            turn: Some(self.at),
            ..self.bodies.request(
                self.bodies.text_endpoint(),
                self.bodies
                    .text(&self.messages, self.max_tokens, &Map::new()),
                self.input,
            )
        })
    }

    fn count(&mut self, text: &str) {
        let (count, source) = tokens::count(self.tokenizer.as_ref(), text);
        self.input = (self.input.0 + count, source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text_api::TextApi;

    #[test]
    fn later_turns_include_earlier_ones() {
        let bodies = Arc::new(BodyBuilder {
            model: "m".to_owned(),
            model_place: 0,
            additional: Map::new(),
            api: TextApi::Chat,
            stream: true,
        });
        let turns = vec!["one".to_owned(), "two".to_owned()];
        let job = Conversation::job(3, 0, bodies, None, Some("be brief"), turns, None).unwrap();
        let mut conversation = job.conversation.unwrap();
        let second = conversation.next("first answer").unwrap();
        assert_eq!(second.turn.unwrap().turn, 1);
        let body: Value = serde_json::from_slice(&second.body).unwrap();
        let contents = body["messages"].as_array().unwrap().iter();
        let contents: Vec<_> = contents
            .map(|message| message["content"].as_str().unwrap())
            .collect();
        assert_eq!(contents, ["be brief", "one", "first answer", "two"]);
        assert!(conversation.next("x").is_none());
    }
}
