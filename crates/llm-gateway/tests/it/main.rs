//! The gateway as its users see it: a config file, a request, a socket.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is a test"
)]

mod apis;
mod chat;
mod config;
mod guard;
mod hostile;
mod keys;
mod operations;
mod reload;
mod routes;
mod serve;
mod stream;
mod support;
