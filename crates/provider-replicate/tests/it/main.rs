//! The provider against scripted and simulated upstreams.
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests fail tests

mod cancel;
mod chat;
mod completions;
mod litellm;
mod names;
mod params;
#[path = "../../../replicate-api/tests/it/scripted.rs"]
mod scripted;
mod sim;
mod stream;
mod support;
mod wire;
