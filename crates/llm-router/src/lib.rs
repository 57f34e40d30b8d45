#![doc = include_str!("../README.md")]

mod attempts;
mod deployment;
mod failover;
mod group;
mod router;

pub use crate::deployment::Deployment;
pub use crate::failover::{MAX_HELD_BYTES, MAX_HELD_CHUNKS};
pub use crate::router::{MAX_RETRIES, Router};
