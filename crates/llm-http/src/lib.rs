#![doc = include_str!("../README.md")]
//!
//! Start with [`UpstreamClient`], [`Exchange`], [`HttpClient`] and [`Authentication`].

mod authentication;
mod body;
mod client;
mod connection;
mod deadline;
mod memory;
#[cfg(feature = "reqwest")]
mod reqwest;
mod retry;
mod send;
mod upstream_client;

pub use crate::authentication::{Authentication, Signer};
pub use crate::body::Body;
pub use crate::client::{HttpClient, HttpOptions};
pub use crate::connection::Connection;
pub use crate::deadline::{Deadline, with_limit};
pub use crate::memory::MemoryTransport;
#[cfg(feature = "reqwest")]
pub use crate::reqwest::ReqwestTransport;
pub use crate::retry::RetryPolicy;
pub use crate::send::{SendOptions, send, transport};
pub use crate::upstream_client::{Exchange, UpstreamClient};
