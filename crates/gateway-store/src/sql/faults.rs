//! A connection to another [`Database`] that fails when a test or a simulation wants it to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{Batch, Database, Driver, Outcome};
use crate::{Error, ErrorKind, Result};

/// What happens to one operation of a store with faults; see
/// [`Store::with_faults`](crate::Store::with_faults).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The operation takes this much longer.
    Delay(Duration),
    /// The operation does not reach the database and fails with [`ErrorKind::Unavailable`].
    Lost,
    /// The database runs the operation, and its answer is lost: it fails with
    /// [`ErrorKind::Unavailable`].
    AnswerLost,
}

pub(crate) type Faults = Arc<dyn Fn() -> Option<Fault> + Send + Sync>;

/// Passes batches on to another database.
pub(super) struct Faulty {
    pub(super) database: Database,
    pub(super) is_reader: bool,
    pub(super) faults: Faults,
}

impl Driver for Faulty {
    async fn run(&mut self, batch: Batch) -> Result<Outcome> {
        let fault = (self.faults)();
        match fault {
            None | Some(Fault::AnswerLost) => {}
            Some(Fault::Delay(delay)) => sleep(delay).await,
            Some(Fault::Lost) => return Err(unavailable()),
        }
        let outcome = self.database.pass(batch, self.is_reader).await;
        match fault {
            Some(Fault::AnswerLost) => Err(unavailable()),
            _ => outcome,
        }
    }
}

fn unavailable() -> Error {
    Error::new(ErrorKind::Unavailable, "a fault of the simulated store")
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").finish_non_exhaustive()
    }
}
