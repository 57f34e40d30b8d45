#![doc = include_str!("../README.md")]

mod deployment;
mod failover;
mod router;

pub use crate::deployment::Deployment;
pub use crate::router::Router;
