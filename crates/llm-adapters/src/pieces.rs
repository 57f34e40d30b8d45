//! The parts of chunks and of replies in one piece that both APIs read.

use llm_types::{ChatChunk, ChatResponse, Delta, Field, ToolCallDelta};

use crate::error::Error;
use crate::estimate::TokenEstimate;

/// The output in a delta; the members are in the order in which models write them.
pub(crate) struct Pieces {
    pub(crate) reasoning: Option<String>,
    pub(crate) content: Option<String>,
    pub(crate) refusal: Option<String>,
    pub(crate) calls: Vec<ToolCallDelta>,
}

impl Pieces {
    /// The output in a delta. Empty texts are none.
    pub(crate) fn of(delta: Delta) -> Self {
        let some = |text: Field<String>| text.into_value().filter(|text| !text.is_empty());
        let mut calls = delta.tool_calls.into_value().unwrap_or_default();
        // The older form of a call.
        if let Field::Value(function) = delta.function_call {
            let mut call = ToolCallDelta::default();
            call.function = Field::Value(function);
            calls.push(call);
        }
        Self {
            reasoning: some(delta.reasoning_content).or_else(|| some(delta.reasoning)),
            content: some(delta.content),
            refusal: some(delta.refusal),
            calls,
        }
    }

    /// Adds the tokens of the output.
    pub(crate) fn count(&self, tokens: &mut TokenEstimate) {
        let texts = [&self.reasoning, &self.content, &self.refusal];
        for text in texts.into_iter().flatten() {
            tokens.add(text);
        }
        for call in &self.calls {
            if let Some(function) = call.function.value() {
                tokens.add(function.arguments.as_str().unwrap_or_default());
            }
        }
    }
}

/// The chunks of a reply in one piece.
///
/// # Errors
///
/// If the reply has no choice.
pub(crate) fn chunks(mut chat: ChatResponse) -> Result<Vec<ChatChunk>, Error> {
    let Some(choice) = chat.choices.first_mut() else {
        return Err(Error::reply("the upstream's reply has no choice"));
    };
    // Some engines send the reasoning under both names.
    if choice.message.reasoning_content.is_value() {
        choice.message.reasoning = Field::Absent;
    }
    if !choice.finish_reason.is_value() {
        choice.finish_reason = Field::Value("stop".into());
    }
    Ok(chat.into_chunks(true))
}
