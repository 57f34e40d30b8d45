//! Text completions in the shape of chats, for models that take prompts.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use llm_types::completions::CompletionResponse;
use llm_types::{
    AssistantMessage, ChatChunk, ChatResponse, Choice, ChunkChoice, Delta, Field, FinishReason,
    Logprobs, Role,
};

use super::chunks::{self, unexpected};
use crate::{Document, Reply, ReplyEvent, ReplyStream, Result};

/// A text completion as the answer to the chat whose prompt it completes.
///
/// # Errors
/// [`ErrorKind::UnexpectedBody`](crate::ErrorKind::UnexpectedBody) when it is no text completion.
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
            let logprobs = in_chat_shape(completed.logprobs, &completed.text);
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

/// A streamed text completion as the answer to the chat whose prompt it completes.
#[must_use]
pub fn as_chat_stream(stream: ReplyStream) -> ReplyStream {
    stream.map_events(|events| {
        let mut begun = BTreeSet::new();
        events.map(move |event| match event? {
            ReplyEvent::Progress(progress) => Ok(ReplyEvent::Progress(progress)),
            ReplyEvent::Chunk(chunk) => {
                let usage = chunk.usage().cloned();
                let chat = chunks::of(&chat_chunk(chunk.read()?, &mut begun));
                Ok(ReplyEvent::Chunk(match usage {
                    Some(usage) => chat.with_usage(usage),
                    None => chat,
                }))
            }
        })
    })
}

/// `begun` are the choices whose role has been told.
fn chat_chunk(completion: CompletionResponse, begun: &mut BTreeSet<u32>) -> ChatChunk {
    let model = completion.model.into_value().unwrap_or_default();
    let mut chunk = ChatChunk::new(completion.id, completion.created, model);
    chunk.usage = completion.usage;
    for completed in completion.choices {
        let logprobs = in_chat_shape(completed.logprobs, &completed.text);
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

fn in_chat_shape(logprobs: Field<Logprobs>, text: &str) -> Field<Logprobs> {
    let logprobs = logprobs.map(|logprobs| Logprobs::Content(logprobs.into_openai(text)));
    Field::nullable(logprobs.into_value())
}
