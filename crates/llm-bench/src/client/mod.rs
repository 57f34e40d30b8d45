//! The client that measures: connections of its own, whose every read from the socket is stamped.

mod connect;
mod connection;
mod pool;
mod stamped;

pub(crate) use connect::{ConnectError, Connector};
pub(crate) use connection::{Connection, Exchanged, Sink};
pub(crate) use pool::Pool;
