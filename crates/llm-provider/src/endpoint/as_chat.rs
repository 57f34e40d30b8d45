//! Converts text completions to chat replies, for models that take prompts.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use llm_types::completions::CompletionResponse;
use llm_types::{
    AssistantMessage, ChatChunk, ChatResponse, Choice, ChunkChoice, Delta, Field, FinishReason,
    Logprobs, Role,
};

use super::chunks::{self, unexpected};
use crate::{Document, Reply, ReplyEvent, ReplyStream, Result};

/// Converts the reply to a rendered prompt to a chat reply.
///
/// # Errors
/// [`ErrorKind::UnexpectedBody`](crate::ErrorKind::UnexpectedBody) if it is not a text completion.
pub fn as_chat(reply: Reply) -> Result<Reply> {
    let completion = reply.body.read::<CompletionResponse>();
    let completion = completion.map_err(unexpected("a text completion"))?;
    let model = completion.model.into_value().unwrap_or_default();
    let mut chat = ChatResponse::new(completion.id, completion.created, model);
    chat.usage = completion.usage;
    chat.system_fingerprint = completion.system_fingerprint;
    chat.extra = completion.extra;
    chat.choices = completion
        .choices
        .into_iter()
        .map(|completed| {
            let logprobs = chat_logprobs(completed.logprobs, &completed.text);
            let message = AssistantMessage::new().with_content(completed.text);
            let mut choice = Choice::new(completed.index, message, FinishReason::Stop);
            choice.logprobs = logprobs;
            choice.finish_reason = completed.finish_reason;
            choice.extra = completed.extra;
            choice
        })
        .collect();
    Ok(Reply::new(Document::new(&chat), reply.metadata))
}

/// Converts the streamed reply to a rendered prompt to a streamed chat reply.
#[must_use]
pub fn as_chat_stream(stream: ReplyStream) -> ReplyStream {
    stream.map_events(|events| {
        let mut begun = BTreeSet::new();
        events.map(move |event| match event? {
            ReplyEvent::Chunk(chunk) => {
                let usage = chunk.usage().cloned();
                let chat = chunks::of(&chat_chunk(chunk.read()?, &mut begun));
                Ok(ReplyEvent::Chunk(match usage {
                    Some(usage) => chat.with_usage(usage),
                    None => chat,
                }))
            }
            other => Ok(other),
        })
    })
}

/// Converts a chunk. `begun` has the choices whose role has been sent.
fn chat_chunk(completion: CompletionResponse, begun: &mut BTreeSet<u32>) -> ChatChunk {
    let model = completion.model.into_value().unwrap_or_default();
    let mut chunk = ChatChunk::new(completion.id, completion.created, model);
    chunk.usage = completion.usage;
    for completed in completion.choices {
        let logprobs = chat_logprobs(completed.logprobs, &completed.text);
        let mut delta = Delta::default();
        if begun.insert(completed.index) {
            delta.role = Field::Value(Role::Assistant);
        }
        if !completed.text.is_empty() || delta.role.is_value() {
            delta.content = Field::Value(completed.text);
        }
        let mut choice = ChunkChoice::new(completed.index, delta);
        choice.logprobs = logprobs;
        choice.finish_reason = Field::nullable(completed.finish_reason.into_value());
        choice.extra = completed.extra;
        chunk.choices.push(choice);
    }
    chunk
}

fn chat_logprobs(logprobs: Field<Logprobs>, text: &str) -> Field<Logprobs> {
    let logprobs = logprobs.map(|logprobs| Logprobs::Content(logprobs.into_openai(text)));
    Field::nullable(logprobs.into_value())
}
