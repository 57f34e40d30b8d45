//! SQLite: a file in WAL mode, or a database in memory.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, TransactionBehavior, params_from_iter};
use tokio::task::spawn_blocking;

use super::{Batch, Driver, Outcome, Row, Statement, Value, unreadable};
use crate::{Error, ErrorKind, Result};

/// Where the database is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Memory,
    File(PathBuf),
}

/// A connection. It is `None` while a batch runs on a thread for blocking work.
#[derive(Debug)]
pub(crate) struct Sqlite {
    connection: Option<Connection>,
    place: Place,
    lock_timeout: Duration,
}

impl Sqlite {
    pub(crate) fn new(place: Place, lock_timeout: Duration) -> Self {
        Self {
            connection: None,
            place,
            lock_timeout,
        }
    }
}

impl Driver for Sqlite {
    async fn run(&mut self, batch: Batch) -> Result<Outcome> {
        let connection = self.connection.take();
        let (place, lock_timeout) = (self.place.clone(), self.lock_timeout);
        let work = move || {
            let mut connection = match connection {
                Some(connection) => connection,
                None => open(&place, lock_timeout)?,
            };
            let outcome = execute(&mut connection, &batch).map_err(|error| convert(&place, error));
            Ok((connection, outcome))
        };
        // A database in memory waits neither for a disk nor for a lock.
        let done = match self.place {
            Place::Memory => work(),
            Place::File(_) => spawn_blocking(work).await.map_err(|error| {
                Error::new(ErrorKind::Internal, "the work of the database ended early")
                    .with_source(error)
            })?,
        };
        let (connection, outcome) = done?;
        self.connection = Some(connection);
        outcome
    }
}

fn open(place: &Place, lock_timeout: Duration) -> Result<Connection> {
    connect(place, lock_timeout).map_err(|error| convert(place, error))
}

fn connect(place: &Place, lock_timeout: Duration) -> rusqlite::Result<Connection> {
    let connection = match place {
        Place::Memory => Connection::open_in_memory()?,
        Place::File(path) => Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?,
    };
    connection.busy_timeout(lock_timeout)?;
    use_wal(&connection, lock_timeout)?;
    // A commit is on the disk when it returns.
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(connection)
}

/// Sets the WAL mode, in which readers do not wait for writers. If several processes open a new file
/// at once, SQLite rejects all but one of them without a wait, whatever its `busy_timeout` is.
#[expect(
    clippy::disallowed_methods,
    reason = "files are opened on a thread for blocking work"
)]
fn use_wal(connection: &Connection, lock_timeout: Duration) -> rusqlite::Result<()> {
    let end = Instant::now() + lock_timeout;
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error) if is_busy(&error) && Instant::now() < end => thread::sleep(WAL_RETRY),
            result => return result,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn execute(connection: &mut Connection, batch: &Batch) -> rusqlite::Result<Outcome> {
    let behavior = match batch.is_write {
        true => TransactionBehavior::Immediate,
        false => TransactionBehavior::Deferred,
    };
    let transaction = connection.transaction_with_behavior(behavior)?;
    let mut results = Vec::with_capacity(batch.statements.len());
    for (index, statement) in batch.statements.iter().enumerate() {
        let Some(rows) = run(&transaction, statement)? else {
            transaction.rollback()?;
            return Ok(Outcome::Refused(index));
        };
        results.push(rows);
    }
    transaction.commit()?;
    Ok(Outcome::Done(results))
}

/// The rows of a statement; `None` if it is required and an execution has no effect.
fn run(connection: &Connection, statement: &Statement) -> rusqlite::Result<Option<Vec<Row>>> {
    let mut prepared = connection.prepare(&statement.sql)?;
    let columns = prepared.column_count();
    let mut rows = Vec::new();
    for parameters in &statement.executions {
        let parameters = params_from_iter(&parameters.0);
        let effect = if columns == 0 {
            prepared.execute(parameters)?
        } else {
            let before = rows.len();
            let mut found = prepared.query(parameters)?;
            while let Some(row) = found.next()? {
                let values = (0..columns).map(|column| Ok(value(row.get_ref(column)?)));
                rows.push(Row(values.collect::<rusqlite::Result<_>>()?));
            }
            rows.len() - before
        };
        if statement.is_required && effect == 0 {
            return Ok(None);
        }
    }
    Ok(Some(rows))
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Value::Null,
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

fn convert(place: &Place, error: rusqlite::Error) -> Error {
    let code = error.sqlite_error_code();
    let Some((kind, what)) = code.and_then(classify) else {
        return match code {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                let message = format!("{} is not a SQLite database, or damaged", name(place));
                Error::new(ErrorKind::Corrupt, message)
            }
            Some(ErrorCode::ConstraintViolation) => {
                Error::new(ErrorKind::Conflict, "the name or id is already in use")
            }
            Some(_) => Error::new(ErrorKind::Internal, "SQLite rejects a statement"),
            None => unreadable(),
        }
        .with_source(error);
    };
    Error::new(kind, format!("{} {what}", name(place))).with_source(error)
}

fn classify(code: ErrorCode) -> Option<(ErrorKind, &'static str)> {
    Some(match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => (
            ErrorKind::Locked,
            "is locked by another process: end that process, or use another file",
        ),
        ErrorCode::DiskFull => (
            ErrorKind::Full,
            "cannot grow: the disk or the database is full",
        ),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => (
            ErrorKind::ReadOnly,
            "cannot be written: give the gateway write access to the file and its folder",
        ),
        ErrorCode::CannotOpen => (
            ErrorKind::Unavailable,
            "cannot be opened: check that its folder exists and can be written",
        ),
        ErrorCode::SystemIoFailure => (
            ErrorKind::Unavailable,
            "cannot be read or written: the disk reports an error",
        ),
        _ => return None,
    })
}

fn name(place: &Place) -> String {
    match place {
        Place::Memory => "the database in memory".to_owned(),
        Place::File(path) => format!("the database {}", shown(path)),
    }
}

fn shown(path: &Path) -> String {
    llm_provider::text::excerpt(&path.to_string_lossy()).into_owned()
}

const WAL_RETRY: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn connections_that_open_a_new_file_at_once_wait_for_each_other() {
        const THREADS: usize = 4;
        for _ in 0..50 {
            let folder = tempfile::tempdir().unwrap();
            let place = Place::File(folder.path().join("store.db"));
            let start = Barrier::new(THREADS);
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        start.wait();
                        open(&place, Duration::from_secs(20)).unwrap();
                    });
                }
            });
        }
    }
}
