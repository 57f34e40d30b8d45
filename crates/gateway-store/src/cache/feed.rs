//! What changed in the store since a version of it.

use crate::sql::{Batch, Database, Row, Statement};
use crate::{Error, ErrorKind, OwnerKind, Result};

/// The maximum number of changes that are listed.
const MOST_CHANGES: i64 = 200;

/// The changes up to a version.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) version: i64,
    /// `None` if there are too many.
    pub(super) list: Option<Vec<Change>>,
}

/// What was changed or deleted.
#[derive(Debug)]
pub(super) enum Change {
    Key(String),
    User(String),
    Team(String),
}

pub(super) async fn version(database: &Database) -> Result<i64> {
    let select = Statement::new("SELECT version FROM gateway_changes WHERE id = 1");
    let rows = database.rows(select).await?;
    match rows.first() {
        Some(row) => row.int(0),
        None => {
            let message = "the table gateway_changes is empty: restore a backup, or use an empty \
                           database";
            Err(Error::new(ErrorKind::Incomplete, message))
        }
    }
}

/// The changes since the version `from`, if there are any.
pub(super) async fn changes(database: &Database, from: i64) -> Result<Option<Changes>> {
    let version = version(database).await?;
    if version == from {
        return Ok(None);
    }
    // A restored backup may be older than what was read before.
    if version < from {
        let list = None;
        return Ok(Some(Changes { version, list }));
    }
    let since = |sql: &'static str| {
        let statement = Statement::new(sql).with(from).with(version);
        statement.with(MOST_CHANGES + 1)
    };
    let keys = since("SELECT id FROM gateway_keys WHERE version > ?1 AND version <= ?2 LIMIT ?3");
    let owners =
        since("SELECT id, kind FROM gateway_owners WHERE version > ?1 AND version <= ?2 LIMIT ?3");
    let batch = Batch::read(keys).and(owners);
    let rows = database.run(batch).await?.rows()?;
    let list: Vec<Change> = rows.iter().flatten().map(change).collect::<Result<_>>()?;
    let is_complete = i64::try_from(list.len()).is_ok_and(|count| count <= MOST_CHANGES);
    Ok(Some(Changes {
        version,
        list: Some(list).filter(|_| is_complete),
    }))
}

fn change(row: &Row) -> Result<Change> {
    let id = row.text(0)?.to_owned();
    if row.len() == 1 {
        return Ok(Change::Key(id));
    }
    Ok(match row.text(1)? {
        kind if kind == OwnerKind::User.name() => Change::User(id),
        _ => Change::Team(id),
    })
}
