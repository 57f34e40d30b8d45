//! One dialect of SQL for both databases: integers and texts, placeholders `?1`, and batches that
//! run as one transaction.

mod database;
mod faults;
pub(crate) mod migrate;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::borrow::Cow;
use std::sync::Arc;

use crate::{Error, ErrorKind, Result};

pub(crate) use self::database::{Database, Target};
pub use self::faults::Fault;
pub(crate) use self::faults::Faults;

/// What a column or a parameter holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One statement with its parameters.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    sql: Cow<'static, str>,
    /// The parameters of each execution.
    executions: Vec<Arc<Row>>,
    is_required: bool,
}

impl Statement {
    pub(crate) fn new(sql: impl Into<Cow<'static, str>>) -> Self {
        Self {
            sql: sql.into(),
            executions: vec![Arc::default()],
            is_required: false,
        }
    }

    /// A statement that is prepared once and executed with each of these parameters. Its rows are
    /// those of all executions.
    pub(crate) fn repeated(
        sql: &'static str,
        executions: impl IntoIterator<Item = Arc<Row>>,
    ) -> Self {
        Self {
            executions: executions.into_iter().collect(),
            ..Self::new(sql)
        }
    }

    /// Adds the next parameter.
    pub(crate) fn with(mut self, value: impl Into<Value>) -> Self {
        if let Some(parameters) = self.executions.last_mut() {
            Arc::make_mut(parameters).0.push(value.into());
        }
        self
    }

    /// Rolls the batch back if an execution neither changes nor returns a row.
    pub(crate) fn required(mut self) -> Self {
        self.is_required = true;
        self
    }
}

/// Statements that run as one transaction.
///
/// Batches that write exclude each other on both databases, so that a batch sees all that others
/// committed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    statements: Vec<Statement>,
    is_write: bool,
    is_announced: bool,
}

impl Batch {
    pub(crate) fn read(statement: Statement) -> Self {
        Self::default().and(statement)
    }

    pub(crate) fn write() -> Self {
        Self {
            is_write: true,
            ..Self::default()
        }
    }

    /// Announces the changes after the commit, in this process and in others.
    pub(crate) fn announced(mut self) -> Self {
        self.is_announced = true;
        self
    }

    pub(crate) fn and(mut self, statement: Statement) -> Self {
        self.statements.push(statement);
        self
    }
}

/// What a batch did.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The batch was committed: the rows of each statement.
    Done(Vec<Vec<Row>>),
    /// An execution of a required statement, with this index, changed nothing: the batch was rolled
    /// back.
    Refused(usize),
}

impl Outcome {
    /// The rows of each statement of a batch without required statements.
    pub(crate) fn rows(self) -> Result<Vec<Vec<Row>>> {
        match self {
            Self::Done(rows) => Ok(rows),
            Self::Refused(_) => Err(Error::new(
                ErrorKind::Internal,
                "a statement without effect was required",
            )),
        }
    }
}

/// A row of a result, or the parameters of a statement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row(Vec<Value>);

impl<const N: usize> From<[Value; N]> for Row {
    fn from(values: [Value; N]) -> Self {
        Self(values.into())
    }
}

impl Row {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn int(&self, column: usize) -> Result<i64> {
        self.opt_int(column)?.ok_or_else(unreadable)
    }

    pub(crate) fn opt_int(&self, column: usize) -> Result<Option<i64>> {
        match self.0.get(column) {
            Some(Value::Int(value)) => Ok(Some(*value)),
            Some(Value::Null) => Ok(None),
            _ => Err(unreadable()),
        }
    }

    pub(crate) fn text(&self, column: usize) -> Result<&str> {
        self.opt_text(column)?.ok_or_else(unreadable)
    }

    pub(crate) fn opt_text(&self, column: usize) -> Result<Option<&str>> {
        match self.0.get(column) {
            Some(Value::Text(value)) => Ok(Some(value)),
            Some(Value::Null) => Ok(None),
            _ => Err(unreadable()),
        }
    }
}

/// The error of a row that this crate did not write.
pub(crate) fn unreadable() -> Error {
    let message = "a row of the database cannot be read: restore the database from a backup";
    Error::new(ErrorKind::Corrupt, message)
}

/// Runs batches on one connection.
pub(crate) trait Driver: Send + 'static {
    /// Runs a batch. Dropping the future leaves the transaction uncommitted, or committed in full.
    fn run(&mut self, batch: Batch) -> impl Future<Output = Result<Outcome>> + Send;
}
