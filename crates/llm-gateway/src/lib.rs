//! An OpenAI-compatible server over any provider, configured by LiteLLM's `config.yaml`.
//!
//! ```no_run
//! use llm_gateway::{Config, Gateway, GatewayOptions};
//! use llm_provider::Registry;
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new(); // with the providers of your choice
//! let config = Config::load("config.yaml".as_ref(), &registry)?;
//! let gateway = Gateway::new(config, GatewayOptions::new());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:4000").await?;
//! let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
//! gateway.serve(listener, ctrl_c).await?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Config`] is LiteLLM's file; whatever is wrong with it is told at once, each mistake with
//!   its place and how to mend it ([`ConfigError`], [`Problem`]).
//! - [`Gateway`] serves `POST /chat/completions`, plain and streamed, `GET /models` and
//!   `GET /health/…`, each with and without `/v1`; alone ([`Gateway::serve`]) or inside another
//!   axum program ([`Gateway::into_router`]).
//!
//! Bodies pass byte for byte, but for the name of the model. Failures have OpenAI's error body
//! and a status that tells whose they are. A client that leaves ends its upstream call.

mod auth;
mod body;
mod config;
mod error;
mod gateway;
mod headers;
mod items;
mod request;
mod routes;
mod serve;
mod sse;

pub use crate::config::{Config, ConfigError, Position, Problem, Severity};
pub use crate::gateway::{Gateway, GatewayOptions};
