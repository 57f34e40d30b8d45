#![doc = include_str!("../README.md")]

mod body;
mod client;
mod connection;
mod deadline;
mod memory;
#[cfg(feature = "reqwest")]
mod reqwest;
mod retry;
mod send;

pub use crate::body::Body;
pub use crate::client::{HttpClient, HttpOptions};
pub use crate::connection::Connection;
pub use crate::deadline::{Deadline, with_limit};
pub use crate::memory::MemoryTransport;
#[cfg(feature = "reqwest")]
pub use crate::reqwest::ReqwestTransport;
pub use crate::retry::Policy;
pub use crate::send::{send, transport};
