//! [`Ending`]: why a message ended.

use llm_types::messages::{MessageDelta, StopReason};
use llm_types::{ChunkChoice, Field, FinishReason, Value};
use serde_json::json;

use super::replies::MessagesReplies;

/// What a stream reports about its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Ending {
    finish: Option<FinishReason>,
    /// The engine's own name of the reason.
    native: Option<String>,
    /// The stop sequence that the engine names, as vLLM does.
    matched: Option<String>,
    /// Whether the model refused.
    pub(super) is_refusal: bool,
}

impl Ending {
    /// Records the finish reason of a chunk.
    pub(super) fn add(&mut self, choice: &ChunkChoice) {
        let text = |key| choice.extra.get(key).and_then(Value::as_str);
        if let Some(native) = text(FinishReason::NATIVE) {
            self.native = Some(native.to_owned());
        }
        if let Some(matched) = text("stop_reason") {
            self.matched = Some(matched.to_owned());
        }
        let reason = choice.finish_reason.value();
        if let Some(reason) = reason.filter(|reason| !reason.as_str().is_empty()) {
            self.finish = Some(reason.clone());
        }
    }

    /// Records the stop sequence that was found in the text.
    pub(super) fn cut(&mut self, sequence: String) {
        self.finish = Some(FinishReason::Stop);
        self.matched = Some(sequence);
    }

    /// Whether there was a finish reason.
    pub(super) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Whether the upstream reports that it failed.
    pub(super) fn is_error(&self) -> bool {
        self.finish.as_ref().is_some_and(FinishReason::is_failure)
    }

    /// The stop reason; a message with a tool call ends with `tool_use` even if the engine says
    /// `stop`.
    pub(super) fn delta(&self, replies: &MessagesReplies, has_calls: bool) -> MessageDelta {
        let finish = self.finish.clone().map(FinishReason::canonical);
        let mut delta = MessageDelta::default();
        delta.stop_sequence = Field::Null;
        delta.stop_details = Field::Null;
        let reason = match finish {
            Some(FinishReason::Length) => StopReason::MaxTokens,
            Some(FinishReason::ContentFilter) => StopReason::Refusal,
            _ if self.is_refusal => StopReason::Refusal,
            _ if has_calls => StopReason::ToolUse,
            Some(FinishReason::Stop) if self.is_stop_sequence(replies) => {
                delta.stop_sequence = Field::nullable(self.sequence(replies));
                StopReason::StopSequence
            }
            _ => StopReason::EndTurn,
        };
        if reason == StopReason::Refusal {
            let details = json!({"type": "refusal", "category": null, "explanation": null});
            delta.stop_details = Field::Value(details);
        }
        delta.stop_reason = Field::Value(reason);
        delta
    }

    fn is_stop_sequence(&self, replies: &MessagesReplies) -> bool {
        if replies.stop_sequences.is_empty() {
            return false;
        }
        let native = match (&self.native, &self.finish) {
            (Some(native), _) => native.as_str(),
            (None, Some(finish)) => finish.as_str(),
            (None, None) => return false,
        };
        self.matched.is_some()
            || native == "stop_sequence"
            || replies.names_natural_ends && native == "stop"
    }

    /// The sequence that the engine names, or the only one there is.
    fn sequence(&self, replies: &MessagesReplies) -> Option<String> {
        match (&self.matched, replies.stop_sequences.as_slice()) {
            (Some(matched), _) => Some(matched.clone()),
            (None, [only]) => Some(only.clone()),
            (None, _) => None,
        }
    }
}
