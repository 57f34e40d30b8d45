//! A stream as the body of a response: one frame for each chunk.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use http_body::{Body, Frame};
use llm_provider::{Chunk, Error, ErrorKind, ReplyEvent, ReplyStream, Result};
use llm_types::RawObject;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, Sleep};

use crate::error::ApiError;
use crate::prefix::Prefix;

/// The frames of a streamed reply. Dropping it drops the upstream's stream.
pub(crate) struct Frames<W> {
    source: Source,
    writer: W,
    keep_alive: Duration,
    last: Instant,
    timer: Pin<Box<Sleep>>,
}

/// Writes the events of a stream as frames, as the client's API requires.
pub(crate) trait FrameWriter: Send + Unpin + 'static {
    /// The frames of an event; `None` for an event that the client did not request.
    fn event(&mut self, event: &ReplyEvent) -> Result<Option<Bytes>>;

    /// The last frames of a complete stream.
    fn end(&mut self) -> Bytes;

    /// The last frames of a stream that fails.
    fn failure(&mut self, error: ApiError) -> Bytes;

    /// The frames that keep a silent connection open.
    fn keep_alive(&mut self) -> Bytes {
        comment("keep-alive")
    }

    /// Whether the writer ended the stream, with an error of its own or because the client needs
    /// nothing more of it.
    fn has_ended(&self) -> bool {
        false
    }

    /// Waits for frames that the writer holds back, which follow those that it returned. `None` if
    /// there are none.
    fn poll_held(&mut self, _: &mut Context<'_>) -> Poll<Option<Bytes>> {
        Poll::Ready(None)
    }
}

/// Writes OpenAI's chunks.
pub(crate) struct ChunkWriter {
    model: Value,
    // Boxed, since it is large and writers are moved.
    prefix: Option<Box<Prefix>>,
    include_usage: bool,
}

/// The source of the events.
pub(crate) enum Source {
    /// The upstream has sent no event yet.
    Opening(BoxFuture<'static, Result<ReplyStream>>),
    Open(ReplyStream),
    Closed,
}

impl<W: FrameWriter> Frames<W> {
    /// The frames of `writer`. After each silence of `keep_alive`, a frame is sent; the upstream that
    /// still opens its stream has been silent for that time.
    pub(crate) fn new(source: Source, writer: W, keep_alive: Duration) -> Self {
        let now = Instant::now();
        let last = match source {
            Source::Opening(_) => now.checked_sub(keep_alive).unwrap_or(now),
            Source::Open(_) | Source::Closed => now,
        };
        Self {
            source,
            writer,
            keep_alive,
            last,
            timer: Box::pin(tokio::time::sleep_until(last + keep_alive)),
        }
    }

    /// The next event of the upstream; `None` at the end of a complete stream.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ReplyEvent>>> {
        loop {
            match &mut self.source {
                Source::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(stream) => self.source = Source::Open(stream),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
                Source::Open(stream) => return Pin::new(stream).poll_next(cx),
                Source::Closed => return Poll::Ready(None),
            }
        }
    }

    /// Waits until the stream has been silent for `keep_alive`.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            // Resetting the timer for each frame would cost more than the frame.
            let due = self.last + self.keep_alive;
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
    }
}

impl ChunkWriter {
    /// A writer of chunks in which the model is named `model`.
    pub(crate) fn new(model: String, include_usage: bool) -> Self {
        Self {
            model: Value::String(model),
            prefix: None,
            include_usage,
        }
    }

    fn chunk_frame(&mut self, chunk: &Chunk) -> Result<Option<Bytes>> {
        let json = chunk.bytes();
        let prefix = self.prefix.as_ref();
        if let Some(frame) = prefix.and_then(|prefix| prefix.frame(json)) {
            return Ok(Some(frame));
        }
        if chunk.usage().is_some() && !self.include_usage {
            return Ok(None);
        }
        let chunk = RawObject::parse(json).map_err(|error| {
            Error::new(
                ErrorKind::UnexpectedBody,
                "the upstream sent a chunk that is not a JSON object",
            )
            .with_source(error)
        })?;
        if !self.include_usage {
            self.prefix = Prefix::new(&chunk, &self.model).map(Box::new);
        }
        let lacks_usage = self.include_usage && !chunk.contains_key("usage");
        if !lacks_usage && chunk.str("model").as_deref() == self.model.as_str() {
            return Ok(Some(data(json)));
        }
        let mut changed = chunk.edit().set("model", &self.model);
        if lacks_usage {
            // OpenAI's schema: with `include_usage`, the usage of all other chunks is null.
            changed = changed.set("usage", &Value::Null);
        }
        Ok(Some(data(&changed.finish())))
    }
}

impl FrameWriter for ChunkWriter {
    fn event(&mut self, event: &ReplyEvent) -> Result<Option<Bytes>> {
        match event {
            ReplyEvent::Chunk(chunk) => self.chunk_frame(chunk),
            other => Ok(progress(other)),
        }
    }

    fn end(&mut self) -> Bytes {
        Bytes::from_static(b"data: [DONE]\n\n")
    }

    fn failure(&mut self, error: ApiError) -> Bytes {
        data(&error.body())
    }
}

impl<W: FrameWriter> Body for Frames<W> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        loop {
            let held = match this.writer.poll_held(cx) {
                Poll::Ready(Some(frame)) => {
                    this.last = Instant::now();
                    return Poll::Ready(Some(Ok(Frame::data(frame))));
                }
                held => held.map(drop),
            };
            let frame = match this.poll_event(cx) {
                Poll::Ready(Some(event)) => {
                    match event.and_then(|event| this.writer.event(&event)) {
                        Ok(frame) => {
                            if this.writer.has_ended() {
                                this.source = Source::Closed;
                            }
                            frame.unwrap_or_default()
                        }
                        Err(error) => {
                            this.source = Source::Closed;
                            this.writer.failure(error.into())
                        }
                    }
                }
                Poll::Ready(None) if !matches!(this.source, Source::Closed) => {
                    this.source = Source::Closed;
                    this.writer.end()
                }
                Poll::Ready(None) if held.is_ready() => return Poll::Ready(None),
                Poll::Ready(None) | Poll::Pending => {
                    ready!(this.poll_silence(cx));
                    this.writer.keep_alive()
                }
            };
            if frame.is_empty() {
                continue;
            }
            this.last = Instant::now();
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
    }
}

fn data(json: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(json.len() + "data: \n\n".len());
    sse_codec::encode_event(&mut frame, None, None, json);
    frame.into()
}

/// Events with names, as frames.
pub(crate) fn named_events<E: Serialize>(
    events: impl Iterator<Item = E>,
    name: fn(&E) -> &str,
) -> Bytes {
    let mut frames = Vec::new();
    for event in events {
        // Serialization fails only for maps whose keys are not strings.
        let data = serde_json::to_vec(&event).unwrap_or_default();
        sse_codec::encode_event(&mut frames, Some(name(&event)), None, data);
    }
    frames.into()
}

/// The comment of a progress event.
pub(crate) fn progress(event: &ReplyEvent) -> Option<Bytes> {
    let ReplyEvent::Progress(progress) = event else {
        return None;
    };
    let seconds = progress.elapsed.as_secs();
    Some(comment(&format!("{} {seconds} s", progress.status)))
}

/// A comment, which clients ignore.
pub(crate) fn comment(text: &str) -> Bytes {
    let mut frame = Vec::new();
    sse_codec::encode_comment(&mut frame, text);
    frame.into()
}
