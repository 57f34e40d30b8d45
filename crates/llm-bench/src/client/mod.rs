//! The measuring HTTP client: it timestamps every read from its sockets.

mod connect;
mod connection;
mod pool;
mod timed_socket;
mod tls;

pub(crate) use connect::{ConnectError, Connector};
pub(crate) use connection::{Connection, ExchangeEnd, ResponseSink};
pub(crate) use pool::Pool;
pub use tls::TlsTrust;
