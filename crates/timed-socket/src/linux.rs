//! Linux adds the time of arrival to what `recvmsg` returns.

use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, TimestampingFlag, Timestamps, recvmsg, setsockopt, sockopt,
};
use nix::time::ClockId;
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;

/// Asks for the times. Where the kernel refuses, there are none.
pub(crate) fn enable(socket: &TcpStream) {
    let flags = TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE
        | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE;
    let _ = setsockopt(socket, sockopt::Timestamping, &flags);
}

/// Reads what is there, and returns how long the latest of these bytes have waited.
pub(crate) fn poll_read(
    socket: &mut TcpStream,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<Duration>> {
    loop {
        ready!(socket.poll_read_ready(cx))?;
        match socket.try_io(Interest::READABLE, || receive(socket, buf)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return Poll::Ready(done),
        }
    }
}

fn receive(socket: &TcpStream, buf: &mut ReadBuf<'_>) -> io::Result<Duration> {
    let mut times = nix::cmsg_space!(Timestamps);
    let mut parts = [IoSliceMut::new(buf.initialize_unfilled())];
    let (fd, flags) = (socket.as_raw_fd(), MsgFlags::empty());
    let received = recvmsg::<()>(fd, &mut parts, Some(&mut times), flags)?;
    let waited = received.cmsgs().ok().and_then(waited).unwrap_or_default();
    let length = received.bytes;
    buf.advance(length);
    Ok(waited)
}

/// `None` if the kernel took no time, or if its clock was set back since.
fn waited(mut messages: impl Iterator<Item = ControlMessageOwned>) -> Option<Duration> {
    let arrived = messages.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampsns(times) => Some(Duration::from(times.system)),
        _ => None,
    })?;
    let now = Duration::from(ClockId::CLOCK_REALTIME.now().ok()?);
    now.checked_sub(arrived).filter(|_| !arrived.is_zero())
}
