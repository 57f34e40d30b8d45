//! [`MessagesStream`]: converts the chunks of a stream to events.

use std::vec::Drain;

use llm_types::messages::{MessagesError, MessagesEvent, MessagesResponse};
use llm_types::{ChatChunk, Delta, Field, Usage};

use super::blocks::Blocks;
use super::cut::Cut;
use super::replies::MessagesReplies;
use super::stop::Ending;
use super::{ids, usage};
use crate::estimate::TokenEstimate;
use crate::pieces::Pieces;

/// Converts the chunks of a chat stream to the events of a Messages stream.
///
/// Call [`push`](Self::push) for each chunk, and then [`finish`](Self::finish) at the stream's
/// regular end or [`fail`](Self::fail) after an error. The events keep the order that clients
/// require:
///
/// - `message_start` is the first event, and there is one of it.
/// - Blocks follow one another with the indices 0, 1, 2 …; a delta has the type of its block.
/// - A thinking block ends with its signature, and the input of a tool is always a JSON object.
/// - One `message_delta` with a stop reason and one `message_stop` end a complete stream; `error`
///   ends one that fails. Nothing follows.
///
/// Where the chunks are cut makes no difference, except for arguments of a tool that are not JSON: if
/// a part of them was returned, the stream fails; otherwise they are repaired, or replaced by an empty
/// object. Text is moved from the chunk to the event.
#[derive(Debug)]
pub struct MessagesStream {
    replies: MessagesReplies,
    phase: Phase,
    ending: Ending,
    usage: Option<Usage>,
    output: TokenEstimate,
    cut: Cut,
    is_cut: bool,
    events: Vec<MessagesEvent>,
}

#[derive(Debug)]
enum Phase {
    Waiting,
    Open(Box<Blocks>),
    Closed,
}

impl MessagesStream {
    pub(super) fn new(replies: MessagesReplies) -> Self {
        let stops = match replies.local_stops {
            true => replies.stop_sequences.clone(),
            false => Vec::new(),
        };
        Self {
            cut: Cut::new(stops),
            is_cut: false,
            replies,
            phase: Phase::Waiting,
            ending: Ending::default(),
            usage: None,
            output: TokenEstimate::default(),
            events: Vec::new(),
        }
    }

    /// Sends `message_start` before the first chunk, so that the client does not wait for a silent
    /// model. Requires [`with_id`](MessagesReplies::with_id), or the id is `msg_0`.
    pub fn start(&mut self) -> Drain<'_, MessagesEvent> {
        self.open("");
        self.events.drain(..)
    }

    /// Converts a chunk.
    pub fn push(&mut self, chunk: ChatChunk) -> Drain<'_, MessagesEvent> {
        self.open(&chunk.id);
        if let Phase::Open(blocks) = &mut self.phase {
            for choice in chunk.choices {
                // Other choices cannot be requested.
                if choice.index == 0 && !self.is_cut {
                    self.ending.add(&choice);
                    let mut sink = Sink {
                        blocks,
                        ending: &mut self.ending,
                        output: &mut self.output,
                        cut: &mut self.cut,
                    };
                    self.is_cut = sink.push(choice.delta);
                }
            }
            blocks.write(&mut self.events);
            let is_too_long = blocks.held() > self.replies.max_held_bytes;
            let is_broken = blocks.is_broken();
            if let Field::Value(usage) = chunk.usage
                && usage.has_counts()
            {
                self.usage = Some(usage);
            }
            if is_too_long {
                self.close_with(too_long());
            } else if is_broken {
                self.close_with(broken_arguments());
            } else if self.is_cut || self.ending.is_finished() && self.usage.is_some() {
                self.close();
            }
        }
        self.events.drain(..)
    }

    /// Ends a stream that ended regularly, at `[DONE]` or at the end of the body.
    ///
    /// Without a finish reason, the stream was interrupted, and the event is an error.
    pub fn finish(&mut self) -> Drain<'_, MessagesEvent> {
        if self.ending.is_finished() {
            self.close();
        } else {
            let message = "the model's reply was interrupted";
            self.close_with(MessagesError::new("api_error", message));
        }
        self.events.drain(..)
    }

    /// Ends the stream with an error.
    pub fn fail(&mut self, error: MessagesError) -> Drain<'_, MessagesEvent> {
        self.close_with(error);
        self.events.drain(..)
    }

    /// An event that keeps the connection alive; `None` before the first event and after the last.
    pub fn ping(&self) -> Option<MessagesEvent> {
        matches!(self.phase, Phase::Open(_)).then(MessagesEvent::ping)
    }

    /// Whether a stop sequence was found in the text, which ended the message; see
    /// [`with_local_stops`](super::MessagesAdapter::with_local_stops).
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether the last event was returned.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    fn open(&mut self, chat_id: &str) {
        if !matches!(self.phase, Phase::Waiting) {
            return;
        }
        let id = self.replies.id.clone();
        let id = id.unwrap_or_else(|| ids::message(chat_id));
        let blocks = Blocks::new(&id, self.replies.single_call);
        let mut message = MessagesResponse::new(id, self.replies.model.clone());
        message.usage = usage::counts(self.replies.input_tokens, 0, 0, 0);
        self.events.push(MessagesEvent::message_start(message));
        self.phase = Phase::Open(Box::new(blocks));
    }

    /// Ends the message.
    fn close(&mut self) {
        if self.ending.is_error() {
            let error = MessagesError::new("api_error", "the model failed");
            return self.close_with(error);
        }
        let Phase::Open(mut blocks) = std::mem::replace(&mut self.phase, Phase::Closed) else {
            return;
        };
        let rest = self.cut.take();
        if !rest.is_empty() {
            blocks.push_text(rest);
        }
        blocks.finish(&mut self.events);
        let delta = self.ending.delta(&self.replies, blocks.has_calls());
        let usage = match &self.usage {
            Some(usage) => usage::convert(usage),
            None => usage::counts(self.replies.input_tokens, 0, 0, self.output.tokens()),
        };
        self.events.push(MessagesEvent::message_delta(delta, usage));
        self.events.push(MessagesEvent::message_stop());
    }

    fn close_with(&mut self, error: MessagesError) {
        if !self.is_closed() {
            self.phase = Phase::Closed;
            self.events.push(MessagesEvent::Error(error.into()));
        }
    }
}

/// What the deltas of a stream are added to.
struct Sink<'a> {
    blocks: &'a mut Blocks,
    ending: &'a mut Ending,
    output: &'a mut TokenEstimate,
    cut: &'a mut Cut,
}

impl Sink<'_> {
    /// Adds what a chunk has, in the order in which models write it. Returns whether a stop sequence
    /// ends the message.
    fn push(&mut self, delta: Delta) -> bool {
        let pieces = Pieces::of(delta);
        pieces.count(self.output);
        if let Some(text) = pieces.reasoning {
            self.flush();
            self.blocks.push_thinking(text);
        }
        if let Some(text) = pieces.content {
            let (text, stop) = self.cut.push(text);
            if !text.is_empty() {
                self.blocks.push_text(text);
            }
            if let Some(stop) = stop {
                self.ending.cut(stop);
                return true;
            }
        }
        if let Some(text) = pieces.refusal {
            self.flush();
            self.ending.is_refusal = true;
            self.blocks.push_text(text);
        }
        if !pieces.calls.is_empty() {
            self.flush();
        }
        for call in pieces.calls {
            self.blocks.push_call(call);
        }
        false
    }

    /// Adds the text that was held because a stop sequence may begin with it: other output follows.
    fn flush(&mut self) {
        let rest = self.cut.take();
        if !rest.is_empty() {
            self.blocks.push_text(rest);
        }
    }
}

fn broken_arguments() -> MessagesError {
    let message = "the model wrote arguments of a tool call that are not JSON";
    MessagesError::new("api_error", message)
}

fn too_long() -> MessagesError {
    let message = "the model interleaved more tool calls than can be held";
    MessagesError::new("api_error", message)
}
