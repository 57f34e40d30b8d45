//! Other systems do not tell when bytes arrived.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::net::TcpStream;

pub(crate) fn enable(_: &TcpStream) {}

/// Reads what is there. The wait is not known.
pub(crate) fn poll_read(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<Duration>> {
    loop {
        ready!(socket.poll_read_ready(cx))?;
        match socket.try_read(buf.initialize_unfilled()) {
            Ok(length) => {
                buf.advance(length);
                return Poll::Ready(Ok(Duration::ZERO));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}
