use std::collections::BTreeSet;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use llm_types::{ChatChunk, ChunkChoice, ChunkSummary, ErrorResponse, Field, StreamItem};
use sse_codec::{EventStream, OwnedEvent, StreamError};

use super::dialect::error_from_envelope;
use super::response::{canonical, share_reasoning};
use crate::{ChatEvent, Error, ErrorKind, Json, Result};

/// Reads a chat answer of `choices` choices from an OpenAI-like event stream.
///
/// Chunks that say nothing but content pass as the bytes that came. The others are rewritten,
/// so that every stream, whatever the engine, has one finish reason per choice, no null ids in
/// tool calls, and the usage alone in a last chunk.
pub(super) fn chat_events<S>(
    body: S,
    choices: usize,
    name: impl Fn(Error) -> Error + Send + 'static,
) -> impl Stream<Item = Result<ChatEvent>> + Send + 'static
where
    S: Stream<Item = Result<Bytes>> + Send + Unpin + 'static,
{
    let normalizer = Normalizer {
        choices,
        ..Normalizer::default()
    };
    let state = Some((EventStream::new(body), normalizer));
    stream::unfold(state, |state| async move {
        let (mut events, mut normalizer) = state?;
        loop {
            let step = match events.next().await {
                Some(Ok(event)) => normalizer.read(&event),
                Some(Err(StreamError::Inner(error))) => Err(error),
                Some(Err(error)) => Err(Error::new(
                    ErrorKind::UnexpectedBody,
                    "the upstream's event stream cannot be read",
                )
                .with_source(error)),
                None => normalizer.cut(),
            };
            match step {
                Ok(Step::Skip) => {}
                Ok(Step::Chunk(chunk)) => {
                    return Some((Ok(ChatEvent::Chunk(chunk)), Some((events, normalizer))));
                }
                Ok(Step::Last(None)) => return None,
                Ok(Step::Last(Some(chunk))) => return Some((Ok(ChatEvent::Chunk(chunk)), None)),
                Err(error) => return Some((Err(error), None)),
            }
        }
    })
    .map(move |item| item.map_err(&name))
}

/// What an event makes of the stream.
enum Step {
    Skip,
    Chunk(Json<ChatChunk>),
    Last(Option<Json<ChatChunk>>),
}

/// What has to be remembered of a stream while it runs.
#[derive(Debug, Default)]
struct Normalizer {
    choices: usize,
    finished: BTreeSet<u32>,
    usage: Option<ChatChunk>,
}

impl Normalizer {
    fn read(&mut self, event: &OwnedEvent) -> Result<Step> {
        let data = &event.data;
        if data.starts_with(b"[DONE]") {
            return Ok(self.end());
        }
        let summary = match ChunkSummary::parse(data) {
            Ok(summary) => summary,
            // The connection broke in the middle of an event.
            Err(_) if event.is_incomplete() => return self.cut(),
            Err(error) => {
                let message = "the upstream sent a chunk that is not JSON";
                return Err(Error::new(ErrorKind::UnexpectedBody, message).with_source(error));
            }
        };
        if summary.error.is_some() {
            return Err(failure(data));
        }
        let plain = summary.choices > 0
            && summary.finish_reason.is_none()
            && !summary.usage.is_value()
            && !summary.tool_calls
            && summary.reasoning.is_none()
            && self.finished.is_empty();
        if plain {
            return Ok(Step::Chunk(Json::from_bytes(data.clone())));
        }
        match StreamItem::parse(data) {
            Ok(StreamItem::Chunk(chunk)) => Ok(self.rewrite(chunk)),
            Ok(_) => Err(failure(data)),
            Err(error) => {
                let message = "the upstream sent a chunk that cannot be understood";
                Err(Error::new(ErrorKind::UnexpectedBody, message).with_source(error))
            }
        }
    }

    fn rewrite(&mut self, mut chunk: ChatChunk) -> Step {
        chunk.drop_nulls();
        if let Some(usage) = std::mem::take(&mut chunk.usage).into_value() {
            let alone = ChatChunk::new(&*chunk.id, chunk.created, &*chunk.model);
            self.usage = Some(alone.with_usage(usage));
        }
        chunk.choices.retain_mut(|choice| self.keep(choice));
        if chunk.choices.is_empty() {
            return Step::Skip;
        }
        Step::Chunk(Json::from_value(chunk))
    }

    /// Evens out a choice; `false` when nothing is left to say of one that has ended.
    fn keep(&mut self, choice: &mut ChunkChoice) -> bool {
        share_reasoning(&choice.delta.reasoning, &mut choice.delta.reasoning_content);
        let ended = self.finished.contains(&choice.index);
        let reason = canonical(choice.finish_reason.take(), &mut choice.extra);
        choice.finish_reason = Field::Null;
        if !ended && reason.is_value() {
            self.finished.insert(choice.index);
            choice.finish_reason = reason;
        }
        let delta = &choice.delta;
        let says = |text: &Field<String>| text.as_str().is_some_and(|text| !text.is_empty());
        !ended
            || says(&delta.content)
            || says(&delta.refusal)
            || says(&delta.reasoning_content)
            || delta
                .tool_calls
                .value()
                .is_some_and(|calls| !calls.is_empty())
    }

    fn end(&mut self) -> Step {
        Step::Last(self.usage.take().map(Json::from_value))
    }

    /// The connection ended without `[DONE]`: well if every choice has ended.
    fn cut(&mut self) -> Result<Step> {
        if self.finished.len() >= self.choices.max(1) {
            return Ok(self.end());
        }
        let message = "the upstream ended its stream in the middle of the answer";
        Err(Error::new(ErrorKind::Transport, message))
    }
}

/// The error that an upstream sends in the middle of a stream whose status was a success.
fn failure(data: &Bytes) -> Error {
    match ErrorResponse::parse(data) {
        Some(envelope) => error_from_envelope(ErrorKind::UpstreamFailed, envelope),
        None => Error::new(
            ErrorKind::UpstreamFailed,
            "the upstream failed in mid-stream",
        ),
    }
    .with_body(data.clone())
}
