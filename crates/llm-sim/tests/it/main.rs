//! Tests of the simulation over loopback.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod common;
mod control;
mod faults;
mod replicate;
mod together;
mod truth;
