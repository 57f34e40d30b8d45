use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use timed_socket::TimedSocket;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::connection::Connection;
use crate::client::io_times::IoTimes;
use crate::client::tls::TlsTrust;
use crate::clock::Clock;
use crate::command_line::without_userinfo;
use crate::error::Error;
use crate::record::{ConnectTimes, FailureKind};
use crate::target::Origin;

/// Opens connections and measures the steps.
#[derive(Clone)]
pub(crate) struct Connector {
    clock: Clock,
    tls: Option<TlsConnector>,
}

impl Connector {
    /// `tls`: the accepted certificates, if any origin needs TLS. If not, the system's certificates
    /// are not loaded, which would take time.
    pub(crate) fn new(clock: Clock, tls: Option<&TlsTrust>) -> Result<Self, Error> {
        let tls = tls.map(TlsTrust::connector).transpose()?;
        Ok(Self { clock, tls })
    }

    pub(crate) async fn connect(
        &self,
        origin: &Origin,
    ) -> Result<(Connection, ConnectTimes), ConnectError> {
        let start = self.clock.now();
        let host = origin.host.trim_matches(['[', ']']);
        let addresses = tokio::net::lookup_host((host, origin.port))
            .await
            .map_err(|error| ConnectError::new(FailureKind::Dns, origin, &error))?;
        let resolved = self.clock.now();
        let socket = connect_any(addresses)
            .await
            .map_err(|error| ConnectError::new(FailureKind::Connect, origin, &error))?;
        // Without it, the kernel may delay small writes; a failure is harmless.
        let _ = socket.set_nodelay(true);
        let connected = self.clock.now();

        let io_times = IoTimes::new(self.clock);
        let socket = TimedSocket::new(socket, Rc::clone(&io_times));
        let connection = if origin.tls {
            let tls_error = |error: &dyn fmt::Display| ConnectError {
                kind: FailureKind::Tls,
                message: format!("{origin}: {}", readable(&error.to_string())),
            };
            let name = ServerName::try_from(host.to_owned()).map_err(|e| tls_error(&e))?;
            let Some(tls) = &self.tls else {
                return Err(tls_error(&"TLS is not set up"));
            };
            let socket = tls.connect(name, socket).await.map_err(|e| tls_error(&e))?;
            Connection::open(TokioIo::new(socket), io_times).await
        } else {
            Connection::open(TokioIo::new(socket), io_times).await
        };
        let connection = connection.map_err(|error| ConnectError {
            kind: FailureKind::Connect,
            message: format!("{origin}: {error}"),
        })?;
        let ready = self.clock.now();
        let times = ConnectTimes {
            dns_ns: resolved - start,
            tcp_ns: connected - resolved,
            tls_ns: if origin.tls { ready - connected } else { 0 },
        };
        Ok((connection, times))
    }
}

/// The reason of a TLS error; that of a usual self-signed certificate is a code of the library's.
fn readable(reason: &str) -> &str {
    match reason.contains("CaUsedAsEndEntity") {
        true => {
            "the server's certificate is that of a certificate authority: create it with \
             `-addext basicConstraints=critical,CA:FALSE`"
        }
        false => reason,
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = self.tls.is_some();
        f.debug_struct("Connector").field("tls", &tls).finish()
    }
}

/// A failure to connect.
#[derive(Clone, Debug)]
pub(crate) struct ConnectError {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
}

impl ConnectError {
    fn new(kind: FailureKind, origin: &Origin, error: &io::Error) -> Self {
        let message = without_userinfo(&format!("{origin}: {error}"));
        Self { kind, message }
    }
}

async fn connect_any(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address")))
}
