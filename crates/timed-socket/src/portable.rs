//! Other systems do not tell when bytes arrived.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

pub(crate) fn enable(_: &TcpStream) {}

/// Reads what is there. The wait is not known.
pub(crate) fn poll_read(
    socket: &mut TcpStream,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<Duration>> {
    let read = Pin::new(socket).poll_read(cx, buf);
    read.map_ok(|()| Duration::ZERO)
}
