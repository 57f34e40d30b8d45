//! `polyllm bench` against simulated upstreams.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod agents;
mod endpoints;
mod failures;
mod hub;
mod measure;
mod mlflow;
#[cfg(unix)]
mod stop;
mod support;
mod theirs;
