//! One dialect of SQL for both databases: integers and texts, placeholders `?1`, and batches that
//! run as one transaction.

mod database;
pub(crate) mod migrate;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::borrow::Cow;

use crate::{Error, ErrorKind, Result};

pub(crate) use self::database::{Database, Target};

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
    values: Vec<Value>,
    is_required: bool,
}

impl Statement {
    pub(crate) fn new(sql: impl Into<Cow<'static, str>>) -> Self {
        Self {
            sql: sql.into(),
            values: Vec::new(),
            is_required: false,
        }
    }

    /// Adds the next parameter.
    pub(crate) fn with(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Rolls the batch back if the statement neither changes nor returns a row.
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
    /// A required statement, with this index, changed nothing: the batch was rolled back.
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

/// A row of a result.
#[derive(Debug)]
pub(crate) struct Row(Vec<Value>);

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
