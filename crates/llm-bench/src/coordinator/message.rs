use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a worker says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "say", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum FromWorker {
    Alive,
    Failed {
        message: String,
    },
    /// It is there, and has no plan.
    Hello {
        name: String,
    },
    /// A part of the results; the bytes follow the message.
    Part {
        part: u32,
        parts: u32,
    },
    Ready {
        run: u32,
    },
}

/// What the leader says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "say", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum FromLeader {
    Alive,
    /// Asks for workers.
    Call,
    /// Start the run.
    Go {
        run: u32,
    },
    /// Send this part of the results; beyond the last: all of them have arrived.
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
