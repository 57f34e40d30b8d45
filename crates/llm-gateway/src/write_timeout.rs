//! A time limit for clients that do not read.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A connection whose writes fail after a time without progress.
///
/// The failure ends the connection and its upstream call. A write that succeeds at once costs only
/// the check of a flag: the timer is set only while a write waits.
#[derive(Debug)]
pub(crate) struct WriteTimeout<S> {
    stream: S,
    limit: Duration,
    /// Created when a write waits for the first time.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl<S> WriteTimeout<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            timer: None,
            is_waiting: false,
        }
    }

    /// Returns the result of a write, or an error if it has waited too long.
    fn check<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_waiting = false;
            return written;
        }
        let limit = self.limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if !self.is_waiting {
            self.is_waiting = true;
            // The clock cannot express the end of a longer limit.
            match Instant::now().checked_add(limit) {
                Some(due) => timer.as_mut().reset(due),
                None => return Poll::Pending,
            }
        }
        ready!(timer.as_mut().poll(cx));
        let message = "the client has stopped reading";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.check(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.check(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // A socket has no buffer to flush: only writes show whether the client reads. A flush that is
    // ready must not end the wait of a write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_write_fails_after_the_limit_if_the_client_does_not_read() {
        let (stream, _reader) = duplex(4);
        let mut stream = WriteTimeout::new(stream, LIMIT);
        let started = Instant::now();
        stream.write_all(b"full").await.unwrap();
        let error = stream.write_all(b"!").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() >= LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_that_keeps_reading_stays_connected() {
        let (stream, mut reader) = duplex(4);
        let mut stream = WriteTimeout::new(stream, LIMIT);
        let writer = tokio::spawn(async move { stream.write_all(&[0; 40]).await });
        for _ in 0..10 {
            tokio::time::sleep(LIMIT * 3 / 4).await;
            reader.read_exact(&mut [0; 4]).await.unwrap();
        }
        writer.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn silence_between_writes_does_not_count() {
        let (stream, mut reader) = duplex(4);
        let mut stream = WriteTimeout::new(stream, LIMIT);
        for _ in 0..3 {
            stream.write_all(b"full").await.unwrap();
            tokio::time::sleep(LIMIT * 2).await;
            let (written, read) = tokio::join!(stream.write_all(b"more"), async {
                tokio::time::sleep(LIMIT / 2).await;
                reader.read_exact(&mut [0; 8]).await
            });
            written.unwrap();
            read.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_limit_never_ends() {
        let (stream, mut reader) = duplex(4);
        let mut stream = WriteTimeout::new(stream, Duration::MAX);
        stream.write_all(b"full").await.unwrap();
        let (written, read) = tokio::join!(stream.write_all(b"more"), async {
            tokio::time::sleep(LIMIT * 1000).await;
            reader.read_exact(&mut [0; 8]).await
        });
        written.unwrap();
        read.unwrap();
    }
}
