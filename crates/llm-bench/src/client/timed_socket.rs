use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::client::kernel_time;
use crate::clock::{Clock, nanos};

/// A socket that records when bytes arrived and were written. It is below TLS, so that the times are
/// those of the bytes on the wire.
#[derive(Debug)]
pub(crate) struct TimedSocket {
    socket: TcpStream,
    io_times: Rc<IoTimes>,
}

/// When the latest bytes arrived and were written. A connection and all its exchanges stay on one
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

    /// When the current bytes arrived: by the kernel's clock where it has one, else when they were read.
    pub(crate) fn last_read(&self) -> u64 {
        self.last_read.get()
    }

    pub(crate) fn last_write(&self) -> Option<u64> {
        self.last_write.get()
    }

    /// Records bytes that have waited this long in the kernel.
    fn read(&self, waited: Duration) {
        // The kernel's clock can be set while a benchmark runs: time does not go back by it.
        let earliest = self.last_read.get().max(self.last_write.get().unwrap_or(0));
        let arrived = self.clock.now().saturating_sub(nanos(waited));
        let at = arrived.max(earliest);
        self.last_read.set(at);
        if self.first_read.get().is_none() {
            self.first_read.set(Some(at));
        }
    }
}

impl TimedSocket {
    pub(crate) fn new(socket: TcpStream, io_times: Rc<IoTimes>) -> Self {
        kernel_time::enable(&socket);
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
        let waited = ready!(kernel_time::poll_read(&mut self.socket, cx, buf))?;
        if buf.filled().len() > before {
            self.io_times.read(waited);
        }
        Poll::Ready(Ok(()))
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn bytes_count_from_their_arrival_at_the_kernel() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = TcpStream::connect(address).await.unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let clock = Clock::start();
        let io_times = IoTimes::new(clock);
        let mut socket = TimedSocket::new(socket, Rc::clone(&io_times));
        let mut bytes = [0; 8];
        // The kernel starts to take times a moment after the first socket that asks for them.
        for _ in 0..3 {
            let sent = clock.now();
            server.write_all(b"a").unwrap();
            std::thread::sleep(Duration::from_millis(100));
            let begun = clock.now();
            assert_eq!(socket.read(&mut bytes).await.unwrap(), 1);
            let arrived = io_times.last_read();
            assert!(sent <= arrived, "{arrived} is before {sent}");
            if arrived < begun {
                return;
            }
        }
        panic!("the times are those of the reads");
    }
}
