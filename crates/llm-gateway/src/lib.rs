#![doc = include_str!("../README.md")]

mod auth;
mod body;
mod config;
mod error;
mod gateway;
mod guard;
mod headers;
mod prefix;
mod response;
mod routes;
mod serve;
mod service;
mod sse;
mod write_timeout;

pub use crate::config::{Config, ConfigError, Position, Problem, Severity};
pub use crate::gateway::{Gateway, GatewayOptions};
pub use crate::response::ResponseBody;
pub use crate::service::GatewayService;
