use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

/// Why machines could not measure together.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// The engine could not be reached, or the connection to it broke. The address is not shown:
    /// there may be a password in it.
    #[error("the coordinator cannot be reached")]
    Engine(#[source] Box<dyn StdError + Send + Sync>),
    /// Not enough workers came in time.
    #[error(
        "{found} of {wanted} workers came: they need the same --coordinator, --session and secret"
    )]
    Few {
        /// How many came.
        found: usize,
        /// How many were wanted.
        wanted: usize,
    },
    /// The measurement was interrupted on this machine; the workers were stopped.
    #[error("interrupted: the workers were stopped")]
    Interrupted,
    /// A worker's name is at most 64 bytes of letters, digits, `-`, `_` and `.`, and does not
    /// begin with `.`.
    #[error(
        "invalid worker name {0:?}: expected at most 64 letters, digits, -, _ and ., no . first"
    )]
    Name(String),
    /// A secret that is too short or too long.
    #[error("the secret must have 32 to 1024 characters; `openssl rand -hex 32` prints one")]
    Secret,
    /// The secret's file cannot be read.
    #[error("cannot read the secret from {}", path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The leader stopped the measurement.
    #[error("the leader stopped: {0}")]
    Stopped(String),
    /// The other side has not been heard for a while.
    #[error("timed out after {seconds} s waiting for {0}", seconds = super::SILENCE.as_secs())]
    Silent(String),
    /// A session's name is at most 64 letters, digits, `-` and `_`.
    #[error("invalid session name {0:?}: expected at most 64 letters, digits, - and _")]
    Session(String),
    /// A message, such as a plan, is longer than 512 KiB.
    #[error("a message of {0} bytes is too long: at most 524288 are sent")]
    TooLong(usize),
    /// An address other than `redis://…` and `nats://…`, or of an engine whose feature is not
    /// built in.
    #[error("the coordinator has to be {0}")]
    Unsupported(&'static str),
    /// A worker failed.
    #[error("the worker {worker} failed: {message}")]
    Worker {
        /// Its name.
        worker: String,
        /// What it said.
        message: String,
    },
    /// A worker sent results that cannot be read.
    #[error("the results of the worker {worker} cannot be read")]
    Results {
        /// Its name.
        worker: String,
        /// What is wrong with them.
        source: serde_json::Error,
    },
}

impl CoordinatorError {
    pub(super) fn engine(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Engine(error.into())
    }
}
