//! Several machines, one measurement: workers that start each run at one time, over Redis or
//! NATS.
//!
//! One machine leads: it sends a plan to the workers (never a key: each takes its own from its
//! environment), waits before each run until all are ready, says go, and joins what they measured.
//! What they talk over is publish and subscribe, of which Redis and NATS promise no more than that
//! a message may arrive; so a question is asked again until the answer comes, both sides say that
//! they are alive, and neither waits for one that has gone silent.
//!
//! # Security
//!
//! Anybody who can publish there can write messages, so messages are authenticated: leader and
//! workers share a [`SessionSecret`], and each message carries a tag (HMAC-SHA256) over its bytes, the
//! session and the side that wrote it. It also carries random numbers that the leader has chosen
//! for this measurement and the worker for itself, and a number that its sender uses once, so that a
//! recorded message is of no use later. What is too long, not authentic, or not new is
//! dropped before it is parsed.
//!
//! Messages are not encrypted: whoever can subscribe reads plans and results. A worker should
//! check what a plan asks for, too: see [`crate::Access`] and [`crate::ServerTarget::is_same_address`].

mod bus;
mod error;
mod leader;
mod link;
mod message;
mod seal;
mod worker;

pub use error::CoordinatorError;
pub use leader::{Leader, LeaderStep};
pub use seal::SessionSecret;
pub use worker::Worker;

use std::time::Duration;

use llm_provider::text::printable;

/// Subjects of a session: what workers say, and what the leader says.
fn subjects(session: &str) -> Result<(String, String), CoordinatorError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if !(1..=LONGEST_NAME).contains(&session.len()) || !session.chars().all(plain) {
        return Err(CoordinatorError::Session(session.to_owned()));
    }
    Ok((
        format!("polyllm.bench.{session}.leader"),
        format!("polyllm.bench.{session}.workers"),
    ))
}

/// Whether a worker may have this name: it becomes part of a folder's name, and is printed.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.')
}

/// What the other side says, as it may be shown.
fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(LONGEST_TEXT.min(text.len()));
    let cut = if end < text.len() { "…" } else { "" };
    format!("{}{cut}", printable(&text[..end]))
}

/// How often a question is asked.
const AGAIN: Duration = Duration::from_millis(500);
/// How often both sides say that they are alive.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long a side may be silent before the other gives it up.
const SILENCE: Duration = Duration::from_secs(15);
/// The most bytes of results in a message: NATS takes a megabyte by default.
const PART: usize = 256 * 1024;
/// The most parts of a worker's results: a gibibyte.
const MOST_PARTS: u32 = 4096;
/// The most bytes of a message: a part with its envelope, or a plan.
const MOST_MESSAGE: usize = 512 * 1024;
/// The most bytes of a session's or a worker's name.
const LONGEST_NAME: usize = 64;
/// The most bytes that are shown of a text from the other side.
const LONGEST_TEXT: usize = 1000;

#[cfg(test)]
mod tests;
