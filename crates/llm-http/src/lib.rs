#![doc = include_str!("../README.md")]
//!
//! Start with [`UpstreamClient`], [`Exchange`], [`HttpClient`] and [`Authentication`].

mod authentication;
mod body;
mod call_span;
mod client;
mod connection;
mod deadline;
mod memory;
mod propagation;
#[cfg(feature = "reqwest")]
mod reqwest;
mod retry;
mod send;
mod upstream_client;

pub use crate::authentication::{Authentication, Signer};
pub use crate::body::Body;
pub use crate::call_span::CallSpan;
pub use crate::client::{HttpClient, HttpOptions};
pub use crate::connection::Connection;
pub use crate::deadline::{Deadline, with_limit};
pub use crate::memory::MemoryTransport;
pub use crate::propagation::set_propagator;
#[cfg(feature = "reqwest")]
pub use crate::reqwest::ReqwestTransport;
pub use crate::retry::RetryPolicy;
pub use crate::send::{SendOptions, send, transport};
pub use crate::upstream_client::{Exchange, UpstreamClient};
