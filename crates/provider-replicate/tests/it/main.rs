//! The provider against scripted and simulated upstreams.
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests fail tests

mod cancel;
mod chat;
mod litellm;
mod manage;
mod names;
mod params;
mod sim;
mod stream;
mod support;
mod wire;
