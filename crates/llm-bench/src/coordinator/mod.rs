//! One measurement by several machines: workers start each run at the same time, over Redis or
//! NATS.
//!
//! One machine, the leader, sends a plan to the workers. The plan never contains a key: each worker
//! takes its own from its environment. Before each run, the leader waits until all workers are
//! ready and then starts them. At the end it collects their results,
//! which `bench_report::merge` joins.
//!
//! The transport is publish and subscribe. Redis and NATS do not guarantee delivery, so each side
//! repeats a message until the other responds, both send heartbeats, and both stop waiting for a
//! side that is silent.
//!
//! # Security
//!
//! Anyone with access to the engine can publish messages, so messages are authenticated. Leader and
//! workers share a [`SessionSecret`]. Each message has a tag (HMAC-SHA256) over its bytes, the session and
//! the sender's side. It also has random numbers, chosen by the leader for the measurement and by
//! the worker for itself, and a counter of its sender, so that a recorded message cannot be
//! replayed. Messages that are too long, not authentic or replayed are dropped before they are
//! parsed.
//!
//! Messages are not encrypted: subscribers can read plans and results. A worker should also check
//! what a plan requests: see [`crate::Access`] and [`crate::ServerTarget::is_same_address`].

mod bus;
mod channel;
mod error;
mod leader;
mod message;
mod signature;
mod worker;

pub use error::CoordinatorError;
pub use leader::{Leader, LeaderEvent};
pub use signature::SessionSecret;
pub use worker::Worker;

use std::time::Duration;

use llm_provider::text::printable;

/// The subjects of a session: of the workers' messages, and of the leader's.
fn subjects(session: &str) -> Result<(String, String), CoordinatorError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if !(1..=MAX_NAME).contains(&session.len()) || !session.chars().all(plain) {
        return Err(CoordinatorError::Session(session.to_owned()));
    }
    Ok((
        format!("polyllm.bench.{session}.leader"),
        format!("polyllm.bench.{session}.workers"),
    ))
}

/// Whether a worker may have this name, which becomes part of a folder's name and is printed.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.')
}

/// A text of the other side, made safe to show.
fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_TEXT.min(text.len()));
    let cut = if end < text.len() { "…" } else { "" };
    format!("{}{cut}", printable(&text[..end]))
}

/// The interval of repeated messages.
const REPEAT_INTERVAL: Duration = Duration::from_millis(500);
/// The interval of heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The silence after which the other side counts as disconnected.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The most bytes of results per message: NATS accepts a megabyte by default.
const PART: usize = 256 * 1024;
/// The most parts of a worker's results: 1 GiB.
const MAX_PARTS: u32 = 4096;
/// The longest message in bytes: a part with its envelope, or a plan.
const MAX_MESSAGE: usize = 512 * 1024;
/// The longest name of a session or a worker, in bytes.
const MAX_NAME: usize = 64;
/// The longest text of the other side that is shown, in bytes.
const MAX_TEXT: usize = 1000;

#[cfg(test)]
mod tests;
