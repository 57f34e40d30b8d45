//! The router with providers in memory, most of it on a paused clock.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod basics;
mod cache;
mod continuation;
mod cost;
mod failure;
mod hedge;
mod hostile;
mod limits;
mod names;
mod reload;
mod support;
