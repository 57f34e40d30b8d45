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
use serde_json::Value;
use tokio::time::{Instant, Sleep};

use crate::error::ApiError;
use crate::prefix::Prefix;

/// The frames of a streamed reply. Dropping it drops the upstream's stream.
pub(crate) struct Frames {
    source: Source,
    model: Value,
    prefix: Option<Prefix>,
    include_usage: bool,
    keep_alive: Duration,
    last: Instant,
    timer: Pin<Box<Sleep>>,
}

/// The source of the events.
pub(crate) enum Source {
    /// The upstream has sent no event yet.
    Opening(BoxFuture<'static, Result<ReplyStream>>),
    Open(ReplyStream),
    Closed,
}

impl Frames {
    /// Frames in which the model is named `model`. After each silence of `keep_alive`, a comment is
    /// sent.
    pub(crate) fn new(
        source: Source,
        model: String,
        include_usage: bool,
        keep_alive: Duration,
    ) -> Self {
        Self {
            source,
            model: Value::String(model),
            prefix: None,
            include_usage,
            keep_alive,
            last: Instant::now(),
            timer: Box::pin(tokio::time::sleep(keep_alive)),
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

    /// The frame of an event; `None` for an event that the client did not request.
    fn frame(&mut self, event: &ReplyEvent) -> Result<Option<Bytes>> {
        match event {
            ReplyEvent::Chunk(chunk) => self.chunk_frame(chunk),
            ReplyEvent::Progress(progress) => {
                let seconds = progress.elapsed.as_secs();
                Ok(Some(comment(&format!("{} {seconds} s", progress.status))))
            }
            _ => Ok(None),
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
            self.prefix = Prefix::new(&chunk, &self.model);
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

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        loop {
            if matches!(this.source, Source::Closed) {
                return Poll::Ready(None);
            }
            let frame = match this.poll_event(cx) {
                Poll::Ready(Some(event)) => match event.and_then(|event| this.frame(&event)) {
                    Ok(None) => continue,
                    Ok(Some(frame)) => frame,
                    Err(error) => {
                        this.source = Source::Closed;
                        data(&ApiError::from(error).body())
                    }
                },
                Poll::Ready(None) => {
                    this.source = Source::Closed;
                    Bytes::from_static(b"data: [DONE]\n\n")
                }
                Poll::Pending => {
                    ready!(this.poll_silence(cx));
                    comment("keep-alive")
                }
            };
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

fn comment(text: &str) -> Bytes {
    let mut frame = Vec::new();
    sse_codec::encode_comment(&mut frame, text);
    frame.into()
}
