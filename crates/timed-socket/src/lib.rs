#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "portable.rs")]
mod kernel;

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP socket that reports its reads and writes to an [`Observer`].
pub struct TimedSocket<O> {
    socket: TcpStream,
    observer: O,
}

/// Learns when bytes arrived and were written. An `Rc` or `Arc` shares it with other code.
pub trait Observer {
    /// Bytes were read. The latest of them have waited this long in the kernel.
    fn read(&self, waited: Duration);

    /// Bytes were passed to the kernel.
    fn written(&self) {}
}

impl<O: Observer + ?Sized> Observer for Rc<O> {
    fn read(&self, waited: Duration) {
        (**self).read(waited);
    }

    fn written(&self) {
        (**self).written();
    }
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn read(&self, waited: Duration) {
        (**self).read(waited);
    }

    fn written(&self) {
        (**self).written();
    }
}

impl<O: Observer> TimedSocket<O> {
    /// Reports the reads and writes of `socket`.
    pub fn new(socket: TcpStream, observer: O) -> Self {
        kernel::enable(&socket);
        Self { socket, observer }
    }

    /// The observer.
    pub fn observer(&self) -> &O {
        &self.observer
    }

    fn written(&self, done: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(done, Poll::Ready(Ok(_))) {
            self.observer.written();
        }
        done
    }
}

impl<O: Observer + Unpin> AsyncRead for TimedSocket<O> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let waited = ready!(kernel::poll_read(&self.socket, cx, buf))?;
        if buf.filled().len() > before {
            self.observer.read(waited);
        }
        Poll::Ready(Ok(()))
    }
}

impl<O: Observer + Unpin> AsyncWrite for TimedSocket<O> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.written(done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.written(done)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl<O: fmt::Debug> fmt::Debug for TimedSocket<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimedSocket")
            .field("socket", &self.socket)
            .field("observer", &self.observer)
            .finish()
    }
}
