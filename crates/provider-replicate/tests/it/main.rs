//! The provider against scripted and simulated upstreams.
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests fail tests

#[path = "../../../provider-openai/tests/support/canaries.rs"]
mod canaries;
mod cancel;
mod chat;
mod completions;
mod limits;
mod litellm;
mod names;
mod outputs;
mod params;
mod prompts;
#[path = "../../../replicate-api/tests/it/scripted.rs"]
mod scripted;
mod secrets;
mod sim;
mod stops;
mod stream;
mod support;
mod tracing;
mod wire;
