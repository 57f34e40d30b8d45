//! Together against its simulation, and against a server that says what it is told to.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod chat;
mod litellm;
mod operations;
mod params;
mod streams;
mod support;
mod templates;
