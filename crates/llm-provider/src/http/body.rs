use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_util::StreamExt;
use http::uri::Authority;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, Sleep};

use super::name;
use crate::{Error, ErrorKind, Result};

/// The body of an answer, as it arrives.
///
/// It ends with an error when the connection breaks or when nothing comes for the idle time.
/// Dropping it closes its connection, or resets its HTTP/2 stream.
pub struct Body {
    /// `None` after the end.
    incoming: Option<Incoming>,
    host: Option<Authority>,
    idle: Duration,
    /// Since when the reader has been waiting for the next piece.
    waiting: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Body {
    pub(super) fn new(incoming: Incoming, host: Option<Authority>, idle: Duration) -> Self {
        Self {
            incoming: Some(incoming),
            host,
            // So that no deadline is beyond what a clock can tell.
            idle: idle.min(LONGEST_IDLE),
            waiting: None,
            timer: None,
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`] when it is longer than `limit` bytes, and those of the
    /// stream.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        let mut first = Bytes::new();
        while let Some(chunk) = self.next().await {
            let chunk = chunk?;
            if first.len() + whole.len() + chunk.len() > limit {
                let host = name(&self.host);
                let message = format!("{host} sent an answer of more than {limit} bytes");
                return Err(Error::new(ErrorKind::UnexpectedBody, message));
            }
            // Most bodies come in one piece, which then need not be copied.
            if first.is_empty() && whole.is_empty() {
                first = chunk;
            } else {
                whole.extend_from_slice(&first);
                first = Bytes::new();
                whole.extend_from_slice(&chunk);
            }
        }
        Ok(if whole.is_empty() {
            first
        } else {
            whole.freeze()
        })
    }

    /// Ends with an error once the wait has been too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let waiting = *self.waiting.get_or_insert_with(Instant::now);
        let deadline = waiting + self.idle;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // The timer is set anew when it fires, not with every piece: that is cheaper.
        while timer.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                self.incoming = None;
                let seconds = self.idle.as_secs_f32();
                let message = format!("{} sent nothing for {seconds} s", name(&self.host));
                return Poll::Ready(Some(Err(Error::new(ErrorKind::Timeout, message))));
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl Stream for Body {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let Some(incoming) = &mut this.incoming else {
                return Poll::Ready(None);
            };
            match Pin::new(incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    this.waiting = None;
                    // What is no data are trailers, which tell nothing that anybody needs.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    this.incoming = None;
                    let host = name(&this.host);
                    let message =
                        format!("{host} broke the connection in the middle of its answer");
                    let error = Error::new(ErrorKind::Transport, message).with_source(error);
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => this.incoming = None,
                Poll::Pending => return this.poll_idle(cx),
            }
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

const LONGEST_IDLE: Duration = Duration::from_secs(365 * 24 * 3600);
