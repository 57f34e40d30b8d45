//! The gateway as its users see it: a config file, a request, a socket.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this is a test"
)]

mod apis;
mod call_options;
mod chat;
mod config;
mod connections;
mod dialects;
mod exchanges;
mod guard;
mod hostile;
mod key_models;
mod keys;
mod known_bugs;
mod litellm_keys;
mod logs;
mod metrics;
mod operations;
mod owners;
mod reload;
mod routes;
mod serve;
mod spend;
mod stored;
mod stream;
mod support;
mod tokenizer;
mod ui;
