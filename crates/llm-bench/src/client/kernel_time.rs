//! When the kernel received the bytes that are read from a socket.
//!
//! On a loaded client, bytes wait in the kernel until their thread runs. On Linux, the kernel tells when
//! they arrived ([`SO_TIMESTAMPING`]), so that this wait is not taken for the server's.
//!
//! [`SO_TIMESTAMPING`]: https://www.kernel.org/doc/html/latest/networking/timestamping.html

#[cfg(target_os = "linux")]
pub(super) use linux::{enable, poll_read};
#[cfg(not(target_os = "linux"))]
pub(super) use portable::{enable, poll_read};

#[cfg(target_os = "linux")]
mod linux {
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

    /// Asks for the times of received bytes. Where the kernel refuses, there are none.
    pub(in crate::client) fn enable(socket: &TcpStream) {
        let flags = TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE
            | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE;
        let _ = setsockopt(socket, sockopt::Timestamping, &flags);
    }

    /// Reads what is there, and returns how long the latest of these bytes have waited in the kernel.
    pub(in crate::client) fn poll_read(
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

    /// `None` also if the clock was set back since.
    fn waited(messages: impl Iterator<Item = ControlMessageOwned>) -> Option<Duration> {
        let mut messages = messages;
        let arrived = messages.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampsns(times) => Some(Duration::from(times.system)),
            _ => None,
        })?;
        let now = Duration::from(ClockId::CLOCK_REALTIME.now().ok()?);
        now.checked_sub(arrived).filter(|_| !arrived.is_zero())
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use tokio::io::{AsyncRead, ReadBuf};
    use tokio::net::TcpStream;

    pub(in crate::client) fn enable(_: &TcpStream) {}

    /// Reads what is there. How long it has waited is not known.
    pub(in crate::client) fn poll_read(
        socket: &mut TcpStream,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Duration>> {
        Pin::new(socket)
            .poll_read(cx, buf)
            .map_ok(|()| Duration::ZERO)
    }
}
