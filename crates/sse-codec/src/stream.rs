use alloc::borrow::Cow;
use alloc::sync::Arc;
use core::error::Error as StdError;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_core::{FusedStream, Stream};
use pin_project_lite::pin_project;

use crate::decoder::Decoder;
use crate::event::{Event, Kind, lossy};
use crate::limits::{LimitExceeded, Limits};

pin_project! {
    /// A stream of events from a stream of reads, such as the body of a response.
    ///
    /// An incomplete last event is yielded as [`Kind::Incomplete`]. An event over the [`Limits`] is
    /// an error, after which the stream continues. An error of the inner stream is yielded once and
    /// ends the stream.
    pub struct EventStream<S> {
        #[pin]
        inner: Option<S>,
        decoder: Decoder,
        chunk: Bytes,
        names: Last,
        ids: Last,
    }
}

impl<S> EventStream<S> {
    /// Decodes the reads of `inner`.
    pub fn new(inner: S) -> Self {
        Self {
            inner: Some(inner),
            decoder: Decoder::new(),
            chunk: Bytes::new(),
            names: Last::default(),
            ids: Last::default(),
        }
    }

    /// Sets the maximum length of lines and events.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.decoder = self.decoder.with_limits(limits);
        self
    }

    /// Also yields comments, as [`Kind::Comment`].
    #[must_use]
    pub fn with_comments(mut self, comments: bool) -> Self {
        self.decoder = self.decoder.with_comments(comments);
        self
    }

    /// Also yields blocks without a `data` line, as [`Kind::Empty`].
    #[must_use]
    pub fn with_empty_events(mut self, empty_events: bool) -> Self {
        self.decoder = self.decoder.with_empty_events(empty_events);
        self
    }

    /// The last event ID of the last complete block, for reconnecting; empty if there is none.
    pub fn last_event_id(&self) -> &str {
        self.decoder.last_event_id()
    }

    /// The reconnection time in milliseconds that the server set most recently.
    pub fn retry(&self) -> Option<u64> {
        self.decoder.retry()
    }
}

impl<S, E> Stream for EventStream<S>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    type Item = Result<OwnedEvent, StreamError<E>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            let mut rest = &this.chunk[..];
            let item = this.decoder.next(&mut rest);
            let used = this.chunk.len() - rest.len();
            // Not `map`: each call would move an event of about a hundred bytes again.
            match item {
                Some(Ok(event)) => {
                    let event = own(event, this.chunk, this.names, this.ids);
                    this.chunk.advance(used);
                    return Poll::Ready(Some(Ok(event)));
                }
                Some(Err(error)) => {
                    this.chunk.advance(used);
                    return Poll::Ready(Some(Err(StreamError::Limit(error))));
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
                    let tail = this.decoder.finish();
                    let tail = tail
                        .map(|tail| tail.map(|event| own(event, this.chunk, this.names, this.ids)));
                    return Poll::Ready(tail.map(|tail| tail.map_err(StreamError::Limit)));
                }
            }
        }
    }
}

impl<S, E> FusedStream for EventStream<S>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    fn is_terminated(&self) -> bool {
        self.inner.is_none()
    }
}

impl<S> fmt::Debug for EventStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}

/// An event that owns its parts; its data is a slice of its read if possible.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OwnedEvent {
    /// The `data` lines joined with LF, like [`Event::data`].
    pub data: Bytes,
    kind: Kind,
    name: Option<Arc<str>>,
    id: Option<Arc<str>>,
    retry: Option<u64>,
}

impl OwnedEvent {
    /// The kind of the item.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the stream ended before the blank line that completes the event.
    pub fn is_incomplete(&self) -> bool {
        self.kind == Kind::Incomplete
    }

    /// The event type, like [`Event::name`].
    pub fn name(&self) -> &str {
        match (&self.name, self.kind) {
            (Some(name), _) => name,
            (None, Kind::Comment) => "",
            (None, _) => "message",
        }
    }

    /// The data as text; invalid UTF-8 is replaced by U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        lossy(&self.data)
    }

    /// The last event ID; empty until a server sets one.
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or("")
    }

    /// The reconnection time in milliseconds, if this event sets one.
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }
}

impl From<Event<'_>> for OwnedEvent {
    fn from(event: Event<'_>) -> Self {
        own(
            event,
            &Bytes::new(),
            &mut Last::default(),
            &mut Last::default(),
        )
    }
}

/// The error of an [`EventStream`] or a [`LineStream`](crate::LineStream).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum StreamError<E> {
    /// The inner stream failed; this is the last item.
    Inner(E),
    /// An event or a line was discarded because of its length; the stream continues.
    Limit(LimitExceeded),
}

impl<E> fmt::Display for StreamError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(_) => f.write_str("the stream of reads failed"),
            Self::Limit(error) => error.fmt(f),
        }
    }
}

impl<E: StdError + 'static> StdError for StreamError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Inner(error) => Some(error),
            Self::Limit(_) => None,
        }
    }
}

#[inline]
fn own(event: Event<'_>, chunk: &Bytes, names: &mut Last, ids: &mut Last) -> OwnedEvent {
    let data = own_bytes(event.data(), chunk);
    OwnedEvent {
        data,
        kind: event.kind(),
        name: match event.name() {
            "message" | "" => None,
            name => Some(names.share(name)),
        },
        id: match event.id() {
            "" => None,
            id => Some(ids.share(id)),
        },
        retry: event.retry(),
    }
}

/// The bytes as a slice of `chunk` if they lie in it, or else as a copy.
#[inline]
pub(crate) fn own_bytes(bytes: &[u8], chunk: &Bytes) -> Bytes {
    if bytes.is_empty() {
        Bytes::new()
    } else if chunk.as_ptr_range().contains(&bytes.as_ptr()) {
        chunk.slice_ref(bytes)
    } else {
        Bytes::copy_from_slice(bytes)
    }
}

/// The last string, shared by consecutive events with the same value.
#[derive(Debug, Default)]
struct Last(Option<Arc<str>>);

impl Last {
    fn share(&mut self, text: &str) -> Arc<str> {
        match &self.0 {
            Some(last) if **last == *text => Arc::clone(last),
            _ => Arc::clone(self.0.insert(Arc::from(text))),
        }
    }
}
