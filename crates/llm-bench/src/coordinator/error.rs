use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

/// An error of a measurement on several machines.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// The engine cannot be reached, or the connection broke. The address is not shown, since it
    /// may contain a password.
    #[error("the coordinator cannot be reached")]
    Engine(#[source] Box<dyn StdError + Send + Sync>),
    /// Too few workers joined in time.
    #[error(
        "{found} of {expected} {} joined: they need the same --coordinator, --session and secret",
        if *expected == 1 { "worker" } else { "workers" }
    )]
    TooFewWorkers {
        /// The number that joined.
        found: usize,
        /// The number that was expected.
        expected: usize,
    },
    /// The user interrupted the measurement on this machine; the workers were stopped.
    #[error("interrupted: the workers were stopped")]
    Interrupted,
    /// A worker's name is at most 64 bytes of letters, digits, `-`, `_` and `.`, and does not
    /// start with `.`.
    #[error(
        "invalid worker name {0:?}: expected at most 64 letters, digits, -, _ and ., not starting with ."
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
        /// The cause.
        source: io::Error,
    },
    /// The leader stopped the measurement.
    #[error("the leader stopped: {0}")]
    Stopped(String),
    /// The other side timed out.
    #[error("timed out after {seconds} s waiting for {0}", seconds = super::TIMEOUT.as_secs())]
    TimedOut(String),
    /// A session's name is at most 64 letters, digits, `-` and `_`.
    #[error("invalid session name {0:?}: expected at most 64 letters, digits, - and _")]
    Session(String),
    /// A message, such as a plan, is longer than 512 KiB.
    #[error("a message of {0} bytes is too long: at most 524288 are sent")]
    TooLong(usize),
    /// The address is not `redis://…` or `nats://…`, or the engine's feature is missing.
    #[error("unsupported coordinator; expected {0}")]
    Unsupported(&'static str),
    /// A worker failed.
    #[error("the worker {worker} failed: {message}")]
    Worker {
        /// Its name.
        worker: String,
        /// Its message.
        message: String,
    },
    /// A worker sent invalid results.
    #[error("invalid results of the worker {worker}")]
    Results {
        /// Its name.
        worker: String,
        /// The error in them.
        source: serde_json::Error,
    },
}

impl CoordinatorError {
    pub(super) fn engine(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Engine(error.into())
    }
}
