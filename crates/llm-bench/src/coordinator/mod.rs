//! Several machines, one measurement: workers that start each run at one time, over Redis or
//! NATS.
//!
//! One machine leads: it hands its arguments to the workers (never a key: each takes its own
//! from its environment), waits before each run until all are ready, says go, and joins what
//! they measured. What they talk over is publish and subscribe, of which Redis and NATS promise
//! no more than that a message may arrive; so whoever wants an answer asks again until it comes,
//! both sides say that they are alive, and nobody waits for one that has gone silent.
//!
//! Whoever may publish there may have the workers measure something: use an engine of your own.

mod bus;
mod error;
mod leader;
mod message;
mod worker;

pub use error::CoordinatorError;
pub use leader::{Leader, Step};
pub use worker::Worker;

use std::time::Duration;

/// Subjects of a session: what workers say, and what the leader says.
fn subjects(session: &str) -> Result<(String, String), CoordinatorError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if session.is_empty() || !session.chars().all(plain) {
        return Err(CoordinatorError::Session(session.to_owned()));
    }
    Ok((
        format!("polyllm.bench.{session}.leader"),
        format!("polyllm.bench.{session}.workers"),
    ))
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

#[cfg(test)]
mod tests;
