//! [`ResponsesStream`]: converts the chunks of a stream to events.

use std::vec::Drain;

use llm_types::responses::{ResponsesEvent, ResponsesResponse, ResponsesStatus};
use llm_types::{ChatChunk, ChunkChoice, Field, FinishReason, Number, Usage, Value};
use serde_json::json;

use super::items::Events;
use super::output::Output;
use super::replies::ResponsesReplies;
use super::{ids, usage};
use crate::estimate::TokenEstimate;
use crate::pieces::Pieces;

/// Converts the chunks of a chat stream to the events of a Responses stream.
///
/// Call [`push`](Self::push) for each chunk, and then [`finish`](Self::finish) at the stream's
/// regular end or [`fail`](Self::fail) after an error. The events keep the order that clients
/// require:
///
/// - Events are numbered from 0. `response.created` and `response.in_progress` are the first two.
/// - Each item has `output_item.added`, then its parts and deltas, then `output_item.done` with the
///   complete item. Ids do not change. Calls may alternate.
/// - `response.completed`, `.incomplete` or `.failed` is the last event. Its output has the same
///   items.
///
/// Where the chunks are cut makes no difference.
#[derive(Debug)]
pub struct ResponsesStream {
    replies: ResponsesReplies,
    phase: Phase,
    /// Whether the reply is in one piece, of which only the last event is used.
    is_whole: bool,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    estimate: TokenEstimate,
    events: Events,
}

#[derive(Debug)]
enum Phase {
    Waiting,
    Open(Box<Output>),
    Closed,
}

impl ResponsesStream {
    pub(super) fn new(replies: ResponsesReplies) -> Self {
        Self {
            replies,
            phase: Phase::Waiting,
            is_whole: false,
            finish: None,
            usage: None,
            estimate: TokenEstimate::default(),
            events: Events::default(),
        }
    }

    /// Converts a reply in one piece.
    pub(super) fn whole(replies: ResponsesReplies) -> Self {
        Self {
            is_whole: true,
            ..Self::new(replies)
        }
    }

    /// Sends the first events before the first chunk, so that the client does not wait for a silent
    /// model; `now` is the creation time in seconds of Unix time, unless
    /// [`with_created_at`](ResponsesReplies::with_created_at) sets it. Requires
    /// [`with_id`](ResponsesReplies::with_id), or the id is `resp_0`.
    pub fn start(&mut self, now: u64) -> Drain<'_, ResponsesEvent> {
        self.open("", now.into());
        self.events.list.drain(..)
    }

    /// Sets the time of completion, in seconds of Unix time; by default, the time of creation stands
    /// for it.
    pub fn set_completed_at(&mut self, now: u64) {
        self.replies.completed_at = Some(now);
    }

    /// Converts a chunk.
    pub fn push(&mut self, chunk: ChatChunk) -> Drain<'_, ResponsesEvent> {
        self.open(&chunk.id, chunk.created);
        if let Phase::Open(output) = &mut self.phase {
            for choice in chunk.choices {
                // Other choices cannot be requested.
                if choice.index == 0 {
                    let reason = choice.finish_reason.value();
                    if let Some(reason) = reason.filter(|reason| !reason.as_str().is_empty()) {
                        self.finish = Some(reason.clone());
                    }
                    let logprobs = self.replies.logprobs;
                    push_choice(
                        output,
                        choice,
                        logprobs,
                        &mut self.estimate,
                        &mut self.events,
                    );
                }
            }
            let is_too_long = output.held() > self.replies.max_output_bytes;
            if let Field::Value(usage) = chunk.usage
                && usage.has_counts()
            {
                self.usage = Some(usage);
            }
            if is_too_long {
                self.close_with("server_error", "the output is longer than can be held");
            } else if self.finish.is_some() && self.usage.is_some() {
                self.close();
            }
        }
        self.events.list.drain(..)
    }

    /// Ends a stream that ended regularly, at `[DONE]` or at the end of the body.
    ///
    /// Without a finish reason, the stream was interrupted, and the response fails.
    pub fn finish(&mut self) -> Drain<'_, ResponsesEvent> {
        if self.finish.is_some() {
            self.close();
        } else {
            self.close_with("server_error", "the model's reply was interrupted");
        }
        self.events.list.drain(..)
    }

    /// Ends the stream with an error; see [`error_code`](super::error_code).
    pub fn fail(&mut self, code: &str, message: &str) -> Drain<'_, ResponsesEvent> {
        self.close_with(code, message);
        self.events.list.drain(..)
    }

    /// Whether the last event was returned.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    fn open(&mut self, chat_id: &str, created_at: Number) {
        if !matches!(self.phase, Phase::Waiting) {
            return;
        }
        let base = ids::base(self.replies.id.as_deref().unwrap_or(chat_id));
        let template = &mut self.replies.template;
        template.id = format!("resp_{base}");
        template.created_at = self.replies.created_at.map_or(created_at, Number::from);
        if !self.is_whole {
            for type_ in ["response.created", "response.in_progress"] {
                let response = self.replies.template.clone();
                self.push_response(type_, response);
            }
        }
        self.phase = Phase::Open(Box::new(Output::new(base, &mut self.replies)));
    }

    fn close(&mut self) {
        let finish = self.finish.clone().map(FinishReason::canonical);
        let incomplete = match &finish {
            Some(FinishReason::Length) => Some("max_output_tokens"),
            Some(FinishReason::ContentFilter) => Some("content_filter"),
            Some(reason) if reason.is_failure() => {
                return self.close_with("server_error", "the model failed");
            }
            _ => None,
        };
        let Phase::Open(mut output) = std::mem::replace(&mut self.phase, Phase::Closed) else {
            return;
        };
        output.finish(incomplete.is_none(), &mut self.events);
        let status = match incomplete {
            None => ResponsesStatus::Completed,
            Some(_) => ResponsesStatus::Incomplete,
        };
        let type_ = format!("response.{status}");
        let mut response = self.last_response(status);
        response.output = output.into_items();
        response.usage = Field::Value(match &self.usage {
            Some(usage) => usage::convert(usage),
            None => usage::counts(self.replies.input_tokens, self.estimate.tokens()),
        });
        if let Some(reason) = incomplete {
            response.incomplete_details = Field::Value(json!({"reason": reason}));
        } else {
            let completed_at = self.replies.completed_at.map(Number::from);
            response.completed_at = Field::Value(completed_at.unwrap_or(response.created_at));
        }
        self.push_response(&type_, response);
    }

    fn close_with(&mut self, code: &str, message: &str) {
        self.open("", Number::default());
        let Phase::Open(output) = std::mem::replace(&mut self.phase, Phase::Closed) else {
            return;
        };
        let mut response = self.last_response(ResponsesStatus::Failed);
        response.output = output.into_items();
        response.error = Field::Value(json!({"code": code, "message": message}));
        response.usage = Field::optional(self.usage.as_ref().map(usage::convert));
        response.usage.fill_null();
        self.push_response("response.failed", response);
    }

    /// The response of the last event, without its output.
    fn last_response(&mut self, status: ResponsesStatus) -> ResponsesResponse {
        let empty = ResponsesResponse::new("", 0_u64, "");
        let mut response = std::mem::replace(&mut self.replies.template, empty);
        response.status = Field::Value(status);
        response
    }

    fn push_response(&mut self, type_: &str, response: ResponsesResponse) {
        let mut event = ResponsesEvent::new(type_, 0);
        event.response = Some(Box::new(response));
        self.events.push(event);
    }
}

/// Adds what a chunk has, in the order in which models write it.
fn push_choice(
    output: &mut Output,
    choice: ChunkChoice,
    wants_logprobs: bool,
    estimate: &mut TokenEstimate,
    events: &mut Events,
) {
    let pieces = Pieces::of(choice.delta);
    pieces.count(estimate);
    if let Some(text) = pieces.reasoning {
        output.push_reasoning(text, events);
    }
    if let Some(text) = pieces.content {
        let logprobs = match choice.logprobs {
            Field::Value(logprobs) if wants_logprobs => content_logprobs(logprobs, &text),
            _ => Vec::new(),
        };
        output.push_text(text, logprobs, events);
    }
    if let Some(text) = pieces.refusal {
        output.push_refusal(text, events);
    }
    for call in pieces.calls {
        output.push_call(call, events);
    }
}

/// The log probabilities of text: both APIs have the same shape.
fn content_logprobs(logprobs: llm_types::Logprobs, text: &str) -> Vec<Value> {
    let logprobs = serde_json::to_value(logprobs.into_openai(text)).unwrap_or_default();
    match logprobs {
        Value::Object(mut map) => match map.shift_remove("content") {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
