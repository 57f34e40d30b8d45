use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::clock::Clock;

/// A socket that notes when it was read and written. It lies under TLS, so that the times are
/// those of the bytes on the wire.
#[derive(Debug)]
pub(crate) struct Stamped {
    socket: TcpStream,
    stamps: Rc<Stamps>,
}

/// When the socket was last read and written; a connection and all its exchanges are of one thread.
#[derive(Debug)]
pub(crate) struct Stamps {
    clock: Clock,
    first_read: Cell<Option<u64>>,
    last_read: Cell<u64>,
    last_write: Cell<Option<u64>>,
}

impl Stamps {
    pub(crate) fn new(clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            clock,
            first_read: Cell::new(None),
            last_read: Cell::new(0),
            last_write: Cell::new(None),
        })
    }

    /// Begins an exchange: times from before are not its own.
    pub(crate) fn reset(&self) {
        self.first_read.set(None);
        self.last_write.set(None);
    }

    pub(crate) fn first_read(&self) -> Option<u64> {
        self.first_read.get()
    }

    /// When the bytes came that are being looked at.
    pub(crate) fn last_read(&self) -> u64 {
        self.last_read.get()
    }

    pub(crate) fn last_write(&self) -> Option<u64> {
        self.last_write.get()
    }
}

impl Stamped {
    pub(crate) fn new(socket: TcpStream, stamps: Rc<Stamps>) -> Self {
        Self { socket, stamps }
    }

    fn written(&self, done: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(done, Poll::Ready(Ok(_))) {
            self.stamps.last_write.set(Some(self.stamps.clock.now()));
        }
        done
    }
}

impl AsyncRead for Stamped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let done = Pin::new(&mut self.socket).poll_read(cx, buf);
        if done.is_ready() && buf.filled().len() > before {
            let now = self.stamps.clock.now();
            self.stamps.last_read.set(now);
            if self.stamps.first_read.get().is_none() {
                self.stamps.first_read.set(Some(now));
            }
        }
        done
    }
}

impl AsyncWrite for Stamped {
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
        parts: &[io::IoSlice<'_>],
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
