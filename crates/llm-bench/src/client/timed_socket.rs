use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::clock::Clock;

/// A socket that records when it was read and written. It is below TLS, so that the times are
/// those of the bytes on the wire.
#[derive(Debug)]
pub(crate) struct TimedSocket {
    socket: TcpStream,
    io_times: Rc<IoTimes>,
}

/// When the socket was last read and written. A connection and all its exchanges stay on one
/// thread.
#[derive(Debug)]
pub(crate) struct IoTimes {
    clock: Clock,
    first_read: Cell<Option<u64>>,
    last_read: Cell<u64>,
    last_write: Cell<Option<u64>>,
}

impl IoTimes {
    pub(crate) fn new(clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            clock,
            first_read: Cell::new(None),
            last_read: Cell::new(0),
            last_write: Cell::new(None),
        })
    }

    /// Starts an exchange: clears earlier times.
    pub(crate) fn reset(&self) {
        self.first_read.set(None);
        self.last_write.set(None);
    }

    pub(crate) fn first_read(&self) -> Option<u64> {
        self.first_read.get()
    }

    /// When the current bytes were read.
    pub(crate) fn last_read(&self) -> u64 {
        self.last_read.get()
    }

    pub(crate) fn last_write(&self) -> Option<u64> {
        self.last_write.get()
    }
}

impl TimedSocket {
    pub(crate) fn new(socket: TcpStream, io_times: Rc<IoTimes>) -> Self {
        Self { socket, io_times }
    }

    fn written(&self, done: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(done, Poll::Ready(Ok(_))) {
            self.io_times
                .last_write
                .set(Some(self.io_times.clock.now()));
        }
        done
    }
}

impl AsyncRead for TimedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let done = Pin::new(&mut self.socket).poll_read(cx, buf);
        if done.is_ready() && buf.filled().len() > before {
            let now = self.io_times.clock.now();
            self.io_times.last_read.set(now);
            if self.io_times.first_read.get().is_none() {
                self.io_times.first_read.set(Some(now));
            }
        }
        done
    }
}

impl AsyncWrite for TimedSocket {
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
