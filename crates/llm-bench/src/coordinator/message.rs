use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What a worker says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(super) enum FromWorker {
    Alive {
        worker: u64,
    },
    Failed {
        worker: u64,
        message: String,
    },
    Hello {
        worker: u64,
        name: String,
    },
    /// A part of the results; the bytes follow the message.
    Part {
        worker: u64,
        part: u32,
        parts: u32,
    },
    Ready {
        worker: u64,
        run: u32,
    },
}

impl FromWorker {
    pub(super) fn worker(&self) -> u64 {
        match self {
            Self::Alive { worker }
            | Self::Failed { worker, .. }
            | Self::Hello { worker, .. }
            | Self::Part { worker, .. }
            | Self::Ready { worker, .. } => *worker,
        }
    }
}

/// What the leader says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(super) enum FromLeader {
    Alive,
    /// Start the run.
    Go {
        run: u32,
    },
    /// Send this part of the results; beyond the last: all of them have arrived.
    Part {
        worker: u64,
        part: u32,
    },
    Plan {
        worker: u64,
        arguments: Vec<String>,
    },
    Stop {
        reason: String,
    },
}

/// A line of JSON, and bytes.
pub(super) fn encode(message: &impl Serialize, bytes: &[u8]) -> Vec<u8> {
    // Nothing here fails to serialize.
    let mut encoded = serde_json::to_vec(message).unwrap_or_default();
    encoded.push(b'\n');
    encoded.extend_from_slice(bytes);
    encoded
}

/// None for what is no message of ours: others may speak on the same subject.
pub(super) fn decode<T: DeserializeOwned>(message: &[u8]) -> Option<(T, &[u8])> {
    let end = message.iter().position(|byte| *byte == b'\n')?;
    let decoded = serde_json::from_slice(&message[..end]).ok()?;
    Some((decoded, &message[end + 1..]))
}
