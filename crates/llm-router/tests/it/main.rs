//! The router with providers in memory, most of it on a paused clock.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod basics;
mod failure;
mod hostile;
mod limits;
mod names;
mod support;
