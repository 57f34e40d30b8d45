#![doc = include_str!("../README.md")]

mod auth;
mod beginning;
mod body;
mod config;
mod error;
mod gateway;
mod headers;
mod request;
mod response;
mod routes;
mod serve;
mod service;
mod sse;

pub use crate::config::{Config, ConfigError, Position, Problem, Severity};
pub use crate::gateway::{Gateway, GatewayOptions};
pub use crate::response::Body;
pub use crate::service::GatewayService;
