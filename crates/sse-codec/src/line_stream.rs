use alloc::borrow::Cow;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_core::{FusedStream, Stream};
use pin_project_lite::pin_project;

use crate::event::lossy;
use crate::lines::LineDecoder;
use crate::stream::{StreamError, own_bytes};

pin_project! {
    /// A stream of lines from a stream of reads, such as the body of a response in NDJSON.
    ///
    /// A line over the limit is an error, after which the stream continues. An error of the inner
    /// stream is yielded once and ends the stream.
    pub struct LineStream<S> {
        #[pin]
        inner: Option<S>,
        decoder: LineDecoder,
        chunk: Bytes,
    }
}

impl<S> LineStream<S> {
    /// Decodes the reads of `inner`.
    pub fn new(inner: S) -> Self {
        Self {
            inner: Some(inner),
            decoder: LineDecoder::new(),
            chunk: Bytes::new(),
        }
    }

    /// Sets the maximum length of a line in bytes: 16 MiB by default.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.decoder = self.decoder.with_limit(limit);
        self
    }
}

impl<S, E> Stream for LineStream<S>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    type Item = Result<OwnedLine, StreamError<E>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            let mut rest = &this.chunk[..];
            let item = this.decoder.next(&mut rest);
            let used = this.chunk.len() - rest.len();
            match item {
                Some(line) => {
                    let line = line.map(|line| OwnedLine {
                        data: own_bytes(line, this.chunk),
                        incomplete: false,
                    });
                    this.chunk.advance(used);
                    return Poll::Ready(Some(line.map_err(StreamError::Limit)));
                }
                None => *this.chunk = Bytes::new(),
            }
            let Some(inner) = this.inner.as_mut().as_pin_mut() else {
                return Poll::Ready(None);
            };
            match ready!(inner.poll_next(cx)) {
                Some(Ok(chunk)) => *this.chunk = chunk,
                Some(Err(error)) => {
                    this.inner.set(None);
                    return Poll::Ready(Some(Err(StreamError::Inner(error))));
                }
                None => {
                    this.inner.set(None);
                    let tail = this.decoder.finish().map(|line| OwnedLine {
                        data: Bytes::copy_from_slice(line),
                        incomplete: true,
                    });
                    return Poll::Ready(tail.map(Ok));
                }
            }
        }
    }
}

impl<S, E> FusedStream for LineStream<S>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    fn is_terminated(&self) -> bool {
        self.inner.is_none()
    }
}

impl<S> fmt::Debug for LineStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineStream")
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}

/// A line of a [`LineStream`]; its data is a slice of its read if possible.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OwnedLine {
    /// The line without its line end; never empty.
    pub data: Bytes,
    incomplete: bool,
}

impl OwnedLine {
    /// Whether the stream ended before the line end.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// The line as text; invalid UTF-8 is replaced by U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        lossy(&self.data)
    }
}
