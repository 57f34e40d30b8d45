use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use llm_types::{ErrorResponse, Field, FinishReason};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sse_codec::{EventStream, OwnedEvent, StreamError};

use super::dialect::error_from_envelope;
use crate::{Error, ErrorKind, Json, ReplyEvent, Result};

/// Reads an answer from an OpenAI-like event stream.
///
/// Chunks that need no change pass as the bytes that came. The others are rewritten, so that
/// every stream, whatever the engine, has one finish reason per choice and the usage alone in a
/// last chunk.
pub(super) struct Chunks<C, S> {
    events: EventStream<S>,
    normalizer: Normalizer<C>,
    ended: bool,
}

impl<C, S> Chunks<C, S> {
    pub(super) fn new(body: S, normalizer: Normalizer<C>) -> Self {
        Self {
            events: EventStream::new(body),
            normalizer,
            ended: false,
        }
    }
}

impl<C, S> Stream for Chunks<C, S>
where
    C: WireChunk,
    S: Stream<Item = Result<Bytes>> + Unpin,
{
    type Item = Result<ReplyEvent<C>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while !this.ended {
            let step = match ready!(this.events.poll_next_unpin(cx)) {
                Some(Ok(event)) => this.normalizer.read(&event),
                Some(Err(StreamError::Inner(error))) => Err(error),
                Some(Err(error)) => {
                    let message = "the upstream's event stream cannot be read";
                    Err(Error::new(ErrorKind::UnexpectedBody, message).with_source(error))
                }
                None => this.normalizer.cut(),
            };
            this.ended = !matches!(step, Ok(Step::Skip | Step::Chunk(_)));
            match step {
                Ok(Step::Skip | Step::Last(None)) => {}
                Ok(Step::Chunk(chunk) | Step::Last(Some(chunk))) => {
                    return Poll::Ready(Some(Ok(ReplyEvent::Chunk(chunk))));
                }
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        Poll::Ready(None)
    }
}

/// A chunk as it comes over the wire.
pub(super) trait WireChunk: DeserializeOwned + Serialize + Send + Unpin + 'static {
    /// Looks at a chunk without building it.
    ///
    /// # Errors
    /// When it is no JSON, or has not the shape of a chunk.
    fn glance(data: &[u8], seen: &Seen) -> Result<Glance, Box<dyn StdError + Send + Sync>>;

    /// Takes the usage out: a chunk of its own, without choices.
    fn take_usage(&mut self) -> Option<Self>;

    /// Evens out what is left; `false` when that says nothing.
    fn even_out(&mut self, seen: &mut Seen) -> bool;
}

/// What a look at a chunk tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Glance {
    /// It may pass as it is.
    Plain,
    /// It has to be read.
    Differs,
    /// It is an error that ends the stream.
    Error,
}

/// What has been seen of an answer so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Whether log probabilities were asked for.
    pub(super) logprobs: bool,
    finished: BTreeSet<u32>,
}

impl Seen {
    /// Whether any choice has ended.
    pub(super) fn any_finish(&self) -> bool {
        !self.finished.is_empty()
    }

    /// Keeps the first finish reason of a choice, under OpenAI's name. Tells whether the choice
    /// had ended before.
    pub(super) fn finish(
        &mut self,
        index: u32,
        reason: &mut Field<FinishReason>,
        extra: &mut Map<String, Value>,
    ) -> bool {
        let ended = self.finished.contains(&index);
        let canonical = canonical(reason.take(), extra);
        *reason = Field::Null;
        if !ended && canonical.is_value() {
            self.finished.insert(index);
            *reason = canonical;
        }
        ended
    }
}

/// What an event makes of the stream.
enum Step<C> {
    Skip,
    Chunk(Json<C>),
    Last(Option<Json<C>>),
}

/// Evens out a stream while it runs.
#[derive(Debug)]
pub(super) struct Normalizer<C> {
    choices: usize,
    seen: Seen,
    usage: Option<C>,
}

impl<C: WireChunk> Normalizer<C> {
    /// For the stream that answers `request`.
    pub(super) fn new<R: Serialize + DeserializeOwned>(request: &Json<R>) -> Self {
        let choices = request.u64_field("n").unwrap_or(1).max(1);
        Self {
            choices: usize::try_from(choices).unwrap_or(usize::MAX),
            seen: Seen {
                logprobs: request.has_field("logprobs"),
                ..Seen::default()
            },
            usage: None,
        }
    }

    fn read(&mut self, event: &OwnedEvent) -> Result<Step<C>> {
        let data = &event.data;
        if data.trim_ascii_start().starts_with(b"[DONE]") {
            return self.end(1);
        }
        let unexpected = |error: Box<dyn StdError + Send + Sync>| {
            let message = "the upstream sent a chunk that cannot be understood";
            Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
        };
        match C::glance(data, &self.seen) {
            Ok(Glance::Plain) => return Ok(Step::Chunk(Json::from_bytes(data.clone()))),
            Ok(Glance::Error) => return Err(failure(data)),
            Ok(Glance::Differs) => {}
            // The connection broke in the middle of an event.
            Err(_) if event.is_incomplete() => return self.end(self.choices),
            Err(error) => return Err(unexpected(error)),
        }
        let mut chunk: C =
            serde_json::from_slice(data).map_err(|error| unexpected(error.into()))?;
        if let Some(usage) = chunk.take_usage() {
            self.usage = Some(usage);
        }
        if chunk.even_out(&mut self.seen) {
            Ok(Step::Chunk(Json::from_value(chunk)))
        } else {
            Ok(Step::Skip)
        }
    }

    /// The connection ended without `[DONE]`: well if every choice has ended.
    fn cut(&mut self) -> Result<Step<C>> {
        self.end(self.choices)
    }

    /// The stream ended: well if at least so many choices have told why.
    fn end(&mut self, choices: usize) -> Result<Step<C>> {
        if self.seen.finished.len() >= choices {
            return Ok(Step::Last(self.usage.take().map(Json::from_value)));
        }
        let message = "the upstream ended its stream in the middle of the answer";
        Err(Error::new(ErrorKind::Transport, message))
    }
}

/// OpenAI's name of a finish reason; an engine's own name is kept beside it, and the empty
/// string is none.
pub(super) fn canonical(
    reason: Field<FinishReason>,
    extra: &mut Map<String, Value>,
) -> Field<FinishReason> {
    let Field::Value(native) = reason else {
        return reason;
    };
    if native.as_str().is_empty() {
        return Field::Null;
    }
    let canonical = native.clone().canonical();
    if canonical != native {
        extra.insert(FinishReason::NATIVE.to_owned(), native.as_str().into());
    }
    Field::Value(canonical)
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
