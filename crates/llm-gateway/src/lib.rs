#![doc = include_str!("../README.md")]
//!
//! Start with [`Config`], [`Gateway`], [`GatewayService`] and [`VirtualKeys`].

mod activity;
mod api;
mod auth;
mod body;
mod call_options;
mod config;
mod connection;
mod error;
mod gateway;
mod guard;
mod headers;
mod held;
mod keys;
mod learned;
mod metrics;
mod prefix;
mod request_log;
mod response;
mod routes;
mod serve;
mod service;
mod spend;
mod sse;
mod stored;
mod tls;
mod tokenizer;
mod trace;
mod ui;
mod write_timeout;

pub use crate::config::{Config, ConfigError, ModelInfo, Position, Problem, Severity};
pub use crate::gateway::{Gateway, GatewayOptions};
pub use crate::keys::VirtualKeys;
pub use crate::response::ResponseBody;
pub use crate::service::GatewayService;
pub use crate::stored::StoredResponses;
pub use crate::tls::{Tls, TlsError, TlsFiles};
pub use crate::tokenizer::{TokenizerError, Tokenizers};
pub use gateway_store::{DatabaseUrl, Period, ResponseOptions};
pub use llm_router::{Deployment, PriceTable};
