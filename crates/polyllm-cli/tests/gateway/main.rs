//! End-to-end tests in one process: a client, the gateway, the router, the providers, and the
//! simulated upstreams.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod chat;
mod native;
mod openai;
mod operations;
#[path = "../common/page.rs"]
mod page;
mod replicate;
mod secrets;
mod simulation;
mod support;
