//! [`Held`]: the body of a response that holds its place among the requests, and whose client has to
//! read it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, interval};

use crate::response::ResponseBody;

/// A body with what is held until its end.
#[derive(Debug)]
pub(crate) struct Held {
    body: ResponseBody,
    _permit: Option<OwnedSemaphorePermit>,
    hold: Option<Arc<Hold>>,
}

/// The bodies of an HTTP/2 connection.
///
/// On HTTP/1.1, a client that does not read blocks the writes of its connection, which have a time
/// limit. A stream of HTTP/2 has a window of its own: the server stops asking for the body, and the
/// connection continues.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holds(Arc<Mutex<Vec<Weak<Hold>>>>);

/// Since when a body waits for its client; `None` while the client waits for the body.
#[derive(Debug)]
pub(crate) struct Hold(Mutex<Option<Instant>>);

impl Held {
    pub(crate) fn new(body: ResponseBody) -> Self {
        Self {
            body,
            _permit: None,
            hold: None,
        }
    }

    /// Holds a permit until the end of the body.
    pub(crate) fn with_permit(mut self, permit: OwnedSemaphorePermit) -> Self {
        self._permit = Some(permit);
        self
    }

    /// Notes when the client does not read.
    pub(crate) fn watched(mut self, hold: Arc<Hold>) -> Self {
        hold.set(Some(Instant::now()));
        self.hold = Some(hold);
        self
    }
}

impl Holds {
    /// Adds a body of the connection.
    pub(crate) fn hold(&self) -> Arc<Hold> {
        let hold = Arc::new(Hold(Mutex::new(None)));
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if holds.len() == holds.capacity() {
            holds.retain(|hold| hold.strong_count() > 0);
        }
        holds.push(Arc::downgrade(&hold));
        hold
    }

    /// Waits until a body has waited for its client for longer than `limit`.
    pub(crate) async fn stalled(&self, limit: Duration) {
        let mut ticks = interval((limit / 4).max(Duration::from_millis(1)));
        loop {
            ticks.tick().await;
            let holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let is_over = |hold: Arc<Hold>| hold.get().is_some_and(|since| since.elapsed() > limit);
            if holds.iter().filter_map(Weak::upgrade).any(is_over) {
                return;
            }
        }
    }
}

impl Hold {
    fn get(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = <ResponseBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(hold) = &self.hold {
            hold.set(frame.is_ready().then(Instant::now));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
