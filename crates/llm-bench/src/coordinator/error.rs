use std::error::Error as StdError;

/// Why machines could not measure together.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// The engine could not be reached, or the connection to it broke. The address is not told:
    /// there may be a password in it.
    #[error("the coordinator cannot be reached")]
    Engine(#[source] Box<dyn StdError + Send + Sync>),
    /// Not enough workers came in time.
    #[error("{found} of {wanted} workers came")]
    Few {
        /// How many came.
        found: usize,
        /// How many were wanted.
        wanted: usize,
    },
    /// The leader stopped the measurement.
    #[error("the leader stopped: {0}")]
    Stopped(String),
    /// The other side has not been heard of for a while.
    #[error("nothing was heard of {0} for {seconds} s", seconds = super::SILENCE.as_secs())]
    Silent(String),
    /// A session's name is letters, digits, `-` and `_`.
    #[error("the session's name {0:?} has other characters than letters, digits, - and _")]
    Session(String),
    /// An address that is none of `redis://…` and `nats://…`, or of an engine whose feature is
    /// not built in.
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
