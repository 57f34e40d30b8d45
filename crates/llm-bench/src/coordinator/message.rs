use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A message of a worker.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "say", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum WorkerMessage {
    Alive,
    Failed {
        message: String,
    },
    /// The worker waits for a plan.
    Hello {
        name: String,
    },
    /// A part of the results; its bytes follow the message.
    Part {
        part: u32,
        parts: u32,
    },
    Ready {
        run: u32,
    },
}

/// A message of the leader.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "say", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum LeaderMessage {
    Alive,
    /// Invites workers.
    Call,
    /// Starts the run.
    Go {
        run: u32,
    },
    /// Requests a part of the results; a number past the last part means that all have arrived.
    Part {
        part: u32,
    },
    /// What to measure.
    Plan {
        plan: Value,
    },
    Stop {
        reason: String,
    },
}
