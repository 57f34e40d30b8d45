//! The client against scripted and simulated upstreams.
#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests fail tests

mod documents;
#[allow(dead_code, reason = "the tests of provider-replicate use it, too")]
mod scripted;
mod wire;
