use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_util::StreamExt;
use http::uri::Authority;
use llm_provider::{BodyStream, Error, ErrorKind, Result};
use tokio::time::{Instant, Sleep};

use crate::send::host_name;

/// The body of a response, as it arrives.
///
/// It ends with an error if the connection breaks or no bytes arrive within the idle timeout.
/// Dropping it closes its connection, or resets its HTTP/2 stream.
pub struct Body {
    /// `None` after the end.
    pieces: Option<BodyStream>,
    host: Option<Authority>,
    idle: Duration,
    /// When the current wait for the next piece began.
    waiting: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Body {
    pub(crate) fn new(pieces: BodyStream, host: Option<Authority>, idle: Duration) -> Self {
        Self {
            pieces: Some(pieces),
            host,
            // So that the deadline fits an `Instant`.
            idle: idle.min(LONGEST_IDLE),
            waiting: None,
            timer: None,
        }
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`] if it is longer than `limit` bytes, and the errors of the
    /// stream.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        let mut first = Bytes::new();
        while let Some(chunk) = self.next().await {
            let chunk = chunk?;
            if first.len() + whole.len() + chunk.len() > limit {
                let host = host_name(self.host.as_ref());
                let message = format!("{host} sent a response of more than {limit} bytes");
                return Err(Error::new(ErrorKind::UnexpectedBody, message));
            }
            // Most bodies arrive in one piece, which need not be copied.
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

    /// Returns a timeout error once the wait exceeds the idle timeout.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let waiting = *self.waiting.get_or_insert_with(Instant::now);
        let deadline = waiting + self.idle;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // The timer is reset when it fires, not after every piece: that is cheaper.
        while timer.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                self.pieces = None;
                let seconds = self.idle.as_secs_f32();
                let message = format!(
                    "{} sent no data for {seconds} s",
                    host_name(self.host.as_ref())
                );
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
        let Some(pieces) = &mut this.pieces else {
            return Poll::Ready(None);
        };
        match pieces.poll_next_unpin(cx) {
            Poll::Pending => this.poll_idle(cx),
            Poll::Ready(Some(Ok(piece))) => {
                this.waiting = None;
                Poll::Ready(Some(Ok(piece)))
            }
            ended => {
                this.pieces = None;
                ended
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
