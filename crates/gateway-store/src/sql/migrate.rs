//! Creates the schema of the database, and migrates older versions.

use super::{Batch, Database, Outcome, Statement};
use crate::{Error, ErrorKind, Result, Timestamp};

/// The migrations, oldest first. The version of a migration is its place in the list, from 1. A
/// migration that was released must not be changed.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_start.sql"),
    include_str!("../migrations/0002_prices_and_soft_budgets.sql"),
    include_str!("../migrations/0003_records_without_batches.sql"),
    include_str!("../migrations/0004_responses.sql"),
];

/// The tables that a complete schema has.
const TABLES: &[&str] = &[
    "gateway_changes",
    "gateway_keys",
    "gateway_owners",
    "gateway_budgets",
    "gateway_replicas",
    "gateway_leases",
    "gateway_usage",
    "gateway_responses",
];

/// Brings the database to the newest version. Each migration is one transaction.
pub(crate) async fn migrate(database: &Database, now: Timestamp) -> Result<()> {
    let table = "CREATE TABLE IF NOT EXISTS gateway_migrations \
                 (version BIGINT PRIMARY KEY, applied_at BIGINT NOT NULL)";
    let versions = Batch::write()
        .and(Statement::new(table))
        .and(Statement::new(
            "SELECT version FROM gateway_migrations ORDER BY version",
        ));
    let applied = database.run(versions).await?.rows()?;
    let applied: Vec<i64> = applied
        .iter()
        .flatten()
        .map(|row| row.int(0))
        .collect::<Result<_>>()?;
    check(&applied)?;
    for (version, script) in (1..).zip(MIGRATIONS).skip(applied.len()) {
        apply(database, version, script, now).await?;
    }
    check_tables(database).await
}

/// Rejects a database whose migrations are not the first ones of [`MIGRATIONS`].
fn check(applied: &[i64]) -> Result<()> {
    let newest = applied.last().copied().unwrap_or_default();
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if newest > known {
        let message = format!(
            "the database has schema version {newest}, but this program supports versions up to \
             {known}: run the newer program"
        );
        return Err(Error::new(ErrorKind::TooNew, message));
    }
    if applied.iter().copied().ne((1..).take(applied.len())) {
        return Err(incomplete("a migration before version ", newest));
    }
    Ok(())
}

async fn apply(database: &Database, version: i64, script: &str, now: Timestamp) -> Result<()> {
    let insert = "INSERT INTO gateway_migrations VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    let insert = Statement::new(insert)
        .with(version)
        .with(now.as_millis())
        .required();
    let statements = statements(script).map(|sql| Statement::new(sql.to_owned()));
    let batch = statements.fold(Batch::write().and(insert), Batch::and);
    match database.run(batch).await {
        // `Refused`: another gateway applied it at the same time.
        Ok(Outcome::Done(_) | Outcome::Refused(_)) => Ok(()),
        Err(error) if error.is_outage() => Err(error),
        Err(error) => {
            let message = format!(
                "the database cannot be migrated to version {version}: a part of the schema may \
                 exist already; restore a backup, or use an empty database"
            );
            Err(Error::new(ErrorKind::Incomplete, message).with_source(error))
        }
    }
}

/// The statements of a script. Scripts have no comments.
fn statements(script: &str) -> impl Iterator<Item = &str> {
    script
        .split(';')
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
}

async fn check_tables(database: &Database) -> Result<()> {
    for table in TABLES {
        let probe = Statement::new(format!("SELECT 1 FROM {table} LIMIT 0"));
        match database.run(Batch::read(probe)).await {
            Ok(_) => {}
            Err(error) if error.is_outage() || error.kind() == ErrorKind::Corrupt => {
                return Err(error);
            }
            Err(error) => return Err(incomplete("the table ", table).with_source(error)),
        }
    }
    Ok(())
}

fn incomplete(what: &str, name: impl std::fmt::Display) -> Error {
    let message = format!(
        "the schema of the database is incomplete: {what}{name} is missing; restore a backup, or \
         use an empty database"
    );
    Error::new(ErrorKind::Incomplete, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_migrations_without_a_gap_are_accepted() {
        assert!(check(&[]).is_ok() && check(&[1]).is_ok());
        assert_eq!(check(&[99]).unwrap_err().kind(), ErrorKind::TooNew);
        assert_eq!(check(&[0]).unwrap_err().kind(), ErrorKind::Incomplete);
    }

    #[test]
    fn scripts_hold_whole_statements_for_both_databases() {
        for script in MIGRATIONS {
            for statement in statements(script) {
                let begins = ["CREATE ", "INSERT ", "ALTER ", "DROP ", "UPDATE "];
                assert!(
                    begins.iter().any(|start| statement.starts_with(start)),
                    "{statement}"
                );
            }
        }
    }
}
