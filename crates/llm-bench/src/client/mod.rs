//! The measuring HTTP client: it knows when the bytes of each read arrived.

mod connect;
mod connection;
mod io_times;
mod pool;
mod tls;

pub(crate) use connect::{ConnectError, Connector};
pub(crate) use connection::{Connection, ExchangeEnd, ResponseSink};
pub(crate) use pool::Pool;
pub use tls::TlsTrust;
