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
    socket: &TcpStream,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<Duration>> {
    loop {
        ready!(socket.poll_read_ready(cx))?;
        let mut waited = None;
        let done = socket.try_io(Interest::READABLE, || {
            let received = receive(socket, buf)?;
            waited = Some(received.waited);
            // The next read would block. Saying so saves it.
            match received.is_all {
                true => Err(io::ErrorKind::WouldBlock.into()),
                false => Ok(()),
            }
        });
        match (waited, done) {
            (Some(waited), _) => return Poll::Ready(Ok(waited)),
            (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                return Poll::Ready(Err(error));
            }
            (None, _) => {}
        }
    }
}

struct Received {
    waited: Duration,
    /// Whether nothing more was there.
    is_all: bool,
}

fn receive(socket: &TcpStream, buf: &mut ReadBuf<'_>) -> io::Result<Received> {
    let mut times = nix::cmsg_space!(Timestamps);
    let room = buf.remaining().min(MAX_READ);
    let mut parts = [IoSliceMut::new(buf.initialize_unfilled_to(room))];
    let (fd, flags) = (socket.as_raw_fd(), MsgFlags::empty());
    let received = recvmsg::<()>(fd, &mut parts, Some(&mut times), flags)?;
    let waited = received.cmsgs().ok().and_then(waited).unwrap_or_default();
    let length = received.bytes;
    buf.advance(length);
    // Zero bytes are the end of the stream, which the next read shall see, too.
    let is_all = (1..room).contains(&length);
    Ok(Received { waited, is_all })
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

/// The most bytes of one read. The room for them is set to zero before each read.
const MAX_READ: usize = 16 * 1024;
