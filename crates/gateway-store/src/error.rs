use std::borrow::Cow;
use std::error::Error as StdError;

use thiserror::Error;

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong in a store.
///
/// Match on [`kind`](Self::kind). No text of an error holds a key, a password or a record.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of [`struct@Error`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The `database_url` cannot be read.
    InvalidUrl,
    /// This build does not support the database of the URL.
    Unsupported,
    /// The database does not answer, or it rejects the connection.
    Unavailable,
    /// Another process holds the lock of the database.
    Locked,
    /// The disk or the database is full.
    Full,
    /// The database cannot be written.
    ReadOnly,
    /// A newer version of the program migrated the database.
    TooNew,
    /// The schema is incomplete: a migration was interrupted, or tables were removed.
    Incomplete,
    /// The file is not a database, or a row of it cannot be read.
    Corrupt,
    /// A value from the caller is not acceptable.
    InvalidInput,
    /// There is no such key, user or team.
    NotFound,
    /// Another key, user or team has this name or id, or it was changed at the same time.
    Conflict,
    /// The call would exceed a budget.
    BudgetExceeded,
    /// The ledger holds as many unwritten records as it may.
    QueueFull,
    /// A fault of this crate.
    Internal,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the database is unavailable for the moment, so that the same call may succeed later.
    pub fn is_outage(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unavailable | ErrorKind::Locked | ErrorKind::Full | ErrorKind::ReadOnly
        )
    }
}
