use super::{Owner, OwnerInfo, OwnerKind, OwnerRow, OwnerSettings, check};
use crate::ledger::budget_statement;
use crate::sql::{Batch, Database, Outcome, Row, Statement, unreadable};
use crate::{BudgetId, Clock, Error, ErrorKind, Money, Result, Store, Timestamp};

use super::queries::{BUMP, serialized};

/// The users and teams of a [`Store`].
#[derive(Clone, Debug)]
pub struct Owners {
    database: Database,
    clock: Clock,
}

impl Owners {
    pub(crate) fn new(store: &Store) -> Self {
        Self {
            database: store.database.clone(),
            clock: store.clock.clone(),
        }
    }

    /// Creates an owner, or replaces its settings.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] names the setting that is not acceptable.
    pub async fn put(&self, kind: OwnerKind, id: &str, settings: OwnerSettings) -> Result<Owner> {
        check::owner(id, &settings)?;
        let put = "INSERT INTO gateway_owners (kind, id, version, deleted, data) \
                   VALUES (?1, ?2, (SELECT version FROM gateway_changes WHERE id = 1), 0, ?3) \
                   ON CONFLICT (kind, id) DO UPDATE SET \
                   version = excluded.version, deleted = 0, data = excluded.data";
        let put = Statement::new(put)
            .with(kind.name())
            .with(id)
            .with(serialized(&settings)?);
        let budget = budget_statement(
            &BudgetId::owner(kind, id),
            &settings.limits,
            self.clock.now(),
        );
        let batch = Batch::write().announced().and(Statement::new(BUMP));
        self.database
            .run(batch.and(put).and(budget))
            .await?
            .rows()?;
        Ok(Owner {
            kind,
            id: id.to_owned(),
            settings,
        })
    }

    /// An owner and its spend.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn get(&self, kind: OwnerKind, id: &str) -> Result<Option<OwnerInfo>> {
        let select = Statement::new(format!("{SELECT} AND o.id = ?2"))
            .with(kind.name())
            .with(id);
        let rows = self.database.rows(select).await?;
        rows.first().map(|row| info(kind, row)).transpose()
    }

    /// At most `limit` owners, at most 1,000, after the one with the id `after`, by id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn list(
        &self,
        kind: OwnerKind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<OwnerInfo>> {
        let select = format!("{SELECT} AND o.id > ?2 ORDER BY o.id LIMIT ?3");
        let select = Statement::new(select)
            .with(kind.name())
            .with(after.unwrap_or_default())
            .with(i64::from(limit.clamp(1, 1000)));
        let rows = self.database.rows(select).await?;
        rows.iter().map(|row| info(kind, row)).collect()
    }

    /// Deletes an owner. Its keys stop working.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such owner.
    pub async fn delete(&self, kind: OwnerKind, id: &str) -> Result<()> {
        let delete = "UPDATE gateway_owners SET deleted = 1, \
                      version = (SELECT version FROM gateway_changes WHERE id = 1) \
                      WHERE kind = ?1 AND id = ?2 AND deleted = 0";
        let delete = Statement::new(delete).with(kind.name()).with(id).required();
        let batch = Batch::write().announced().and(Statement::new(BUMP));
        match self.database.run(batch.and(delete)).await? {
            Outcome::Done(_) => Ok(()),
            Outcome::Refused(_) => {
                let message = format!("no such {}", kind.name());
                Err(Error::new(ErrorKind::NotFound, message))
            }
        }
    }
}

fn info(kind: OwnerKind, row: &Row) -> Result<OwnerInfo> {
    let owner = OwnerRow::read(kind, row.text(0)?, row, 1)?;
    Ok(OwnerInfo {
        owner: owner.0.ok_or_else(unreadable)?,
        spend: Money::from_nanos(row.opt_int(3)?.unwrap_or_default()),
        budget_reset_at: row.opt_int(4)?.map(Timestamp::from_millis),
    })
}

const SELECT: &str = "SELECT o.id, o.deleted, o.data, b.spent, b.reset_at \
    FROM gateway_owners o LEFT JOIN gateway_budgets b ON b.id = o.kind || ':' || o.id \
    WHERE o.kind = ?1 AND o.deleted = 0";
