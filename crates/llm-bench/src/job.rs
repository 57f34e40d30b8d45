//! What a slot of the load takes up: one request, or a conversation of several.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::record::{TokenSource, Turn};
use crate::request::{Bodies, Endpoint, Prepared};
use crate::tokens::{self, Tokenizer};

/// One unit of load. Its requests follow one another.
#[derive(Debug)]
pub(crate) struct Job {
    /// The number of its first request; a conversation takes as many numbers as it has turns.
    pub(crate) id: u64,
    /// Nanoseconds from the start of the load to when it shall begin, in an open loop.
    pub(crate) scheduled_ns: Option<u64>,
    pub(crate) first: Prepared,
    pub(crate) conversation: Option<Conversation>,
}

impl Job {
    pub(crate) fn once(id: u64, first: Prepared) -> Self {
        Self {
            id,
            scheduled_ns: None,
            first,
            conversation: None,
        }
    }

    /// Its requests, however far they are known.
    pub(crate) fn requests(&self) -> u64 {
        1 + self.conversation.as_ref().map_or(0, Conversation::left)
    }
}

/// A conversation whose later requests repeat the answers to the earlier ones.
#[derive(Debug)]
pub(crate) struct Conversation {
    bodies: Arc<Bodies>,
    tokenizer: Option<Tokenizer>,
    messages: Vec<Value>,
    to_say: VecDeque<String>,
    max_tokens: Option<u64>,
    at: Turn,
    input: (u64, TokenSource),
}

impl Conversation {
    /// The job of a conversation in which the user says `turns`, one after another; `None` when
    /// there are none.
    pub(crate) fn job(
        id: u64,
        number: u64,
        bodies: Arc<Bodies>,
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
            to_say: turns.into(),
            max_tokens,
            at: Turn {
                conversation: number,
                turn: 0,
            },
            input: (0, TokenSource::default()),
        };
        let first = conversation.say()?;
        let conversation = (!conversation.to_say.is_empty()).then_some(conversation);
        Some(Job {
            id,
            scheduled_ns: None,
            first,
            conversation,
        })
    }

    /// The next request, after the last one was answered.
    pub(crate) fn answered(&mut self, text: &str) -> Option<Prepared> {
        self.count(text);
        self.messages
            .push(json!({"role": "assistant", "content": text}));
        self.at.turn += 1;
        self.say()
    }

    fn left(&self) -> u64 {
        self.to_say.len() as u64
    }

    fn say(&mut self) -> Option<Prepared> {
        let text = self.to_say.pop_front()?;
        self.count(&text);
        self.messages.push(json!({"role": "user", "content": text}));
        Some(Prepared {
            endpoint: Endpoint::Chat,
            body: self.bodies.chat(&self.messages, self.max_tokens),
            input: self.input,
            turn: Some(self.at),
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

    #[test]
    fn later_turns_repeat_what_was_said() {
        let bodies = Arc::new(Bodies {
            model: "m".to_owned(),
            additional: serde_json::Map::new(),
        });
        let turns = vec!["one".to_owned(), "two".to_owned()];
        let job = Conversation::job(3, 0, bodies, None, Some("be brief"), turns, None).unwrap();
        assert_eq!(job.requests(), 2);
        let mut conversation = job.conversation.unwrap();
        let second = conversation.answered("first answer").unwrap();
        assert_eq!(second.turn.unwrap().turn, 1);
        let body: Value = serde_json::from_slice(&second.body).unwrap();
        let said = body["messages"].as_array().unwrap().iter();
        let said: Vec<_> = said
            .map(|message| message["content"].as_str().unwrap())
            .collect();
        assert_eq!(said, ["be brief", "one", "first answer", "two"]);
        assert!(conversation.answered("x").is_none());
    }
}
