//! Changes of rows that other gateways may change at the same time.

use crate::{Error, ErrorKind, Result};

/// Gives the changes of this batch a version of their own.
pub(super) const BUMP: &str = "UPDATE gateway_changes SET version = version + 1 WHERE id = 1";

/// Runs `attempt` until it writes its change.
///
/// An attempt reads a row, changes what it read, and writes it if the row still has the version that
/// was read. It returns `None` if the row has another version.
///
/// # Errors
/// Those of an attempt, and [`ErrorKind::Conflict`] after [`MOST_ATTEMPTS`].
pub(super) async fn until_written<T, F>(what: &str, attempt: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    for _ in 0..MOST_ATTEMPTS {
        if let Some(written) = attempt().await? {
            return Ok(written);
        }
    }
    let message = format!("the {what} was changed by others at the same time: try again");
    Err(Error::new(ErrorKind::Conflict, message))
}

const MOST_ATTEMPTS: usize = 5;
