//! The provider against the simulated Together and against scripted servers.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../../provider-openai/tests/support/canaries.rs"]
mod canaries;
mod chat;
mod deadline;
mod litellm;
mod operations;
mod params;
mod secrets;
mod streams;
mod support;
mod templates;
