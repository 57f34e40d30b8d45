use std::borrow::Cow;

use super::{Owner, OwnerFilter, OwnerInfo, OwnerKind, OwnerRow, OwnerSettings, check};
use crate::ledger::budget_statement;
use crate::sql::{Batch, Database, Outcome, Row, Statement, unreadable};
use crate::{BudgetId, Clock, Error, ErrorKind, Money, Result, Store, Timestamp};

use super::changes::{BUMP, until_written};
use super::queries::serialized;

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

    /// Creates an owner.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] names the setting that is not acceptable;
    /// [`ErrorKind::Conflict`] if there is such an owner.
    pub async fn create(
        &self,
        kind: OwnerKind,
        id: &str,
        settings: OwnerSettings,
    ) -> Result<Owner> {
        let insert = format!("{PUT} WHERE gateway_owners.deleted = 1");
        let owner = Owner {
            kind,
            id: id.to_owned(),
            settings,
        };
        if self.write(&owner, insert, None).await? {
            return Ok(owner);
        }
        let message = format!("the {} exists", kind.name());
        Err(Error::new(ErrorKind::Conflict, message))
    }

    /// Creates an owner, or replaces its settings, whoever changed them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] names the setting that is not acceptable.
    pub async fn put(&self, kind: OwnerKind, id: &str, settings: OwnerSettings) -> Result<Owner> {
        let owner = Owner {
            kind,
            id: id.to_owned(),
            settings,
        };
        self.write(&owner, PUT, None).await?;
        Ok(owner)
    }

    /// Changes the settings of an owner. `change` may run several times, if others change the owner
    /// at the same time.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], and those of [`put`](Self::put).
    pub async fn update(
        &self,
        kind: OwnerKind,
        id: &str,
        change: impl Fn(&mut OwnerSettings),
    ) -> Result<Owner> {
        until_written(kind.name(), || self.try_update(kind, id, &change)).await
    }

    /// `None` if the owner was changed after it was read.
    async fn try_update(
        &self,
        kind: OwnerKind,
        id: &str,
        change: &impl Fn(&mut OwnerSettings),
    ) -> Result<Option<Owner>> {
        let select = "SELECT o.deleted, o.data, o.version FROM gateway_owners o \
                      WHERE o.kind = ?1 AND o.id = ?2";
        let select = Statement::new(select).with(kind.name()).with(id);
        let found = self.database.run(Batch::read(select)).await?.rows()?;
        let row = found.first().and_then(|rows| rows.first());
        let row = row.ok_or_else(|| not_found(kind))?;
        let owner = OwnerRow::read(kind, id, row, 0)?.0;
        let mut owner = owner.ok_or_else(|| not_found(kind))?;
        change(&mut owner.settings);
        let update = "UPDATE gateway_owners SET data = ?3, \
                      version = (SELECT version FROM gateway_changes WHERE id = 1) \
                      WHERE kind = ?1 AND id = ?2 AND version = ?4 AND deleted = 0";
        let is_written = self.write(&owner, update, Some(row.int(2)?)).await?;
        Ok(is_written.then_some(owner))
    }

    /// Writes an owner and its budget; false if the statement has no effect. The parameters of `sql`
    /// are kind, id, settings and, if there is one, `version`.
    async fn write(
        &self,
        owner: &Owner,
        sql: impl Into<Cow<'static, str>>,
        version: Option<i64>,
    ) -> Result<bool> {
        let Owner { kind, id, settings } = owner;
        check::owner(id, settings)?;
        let write = Statement::new(sql)
            .with(kind.name())
            .with(id.as_str())
            .with(serialized(settings)?)
            .required();
        let write = match version {
            Some(version) => write.with(version),
            None => write,
        };
        let budget = BudgetId::owner(*kind, id);
        let budget = budget_statement(&budget, &settings.limits, self.clock.now());
        let batch = Batch::write().announced().and(Statement::new(BUMP));
        let outcome = self.database.run(batch.and(write).and(budget)).await?;
        Ok(matches!(outcome, Outcome::Done(_)))
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

    /// Lists owners, by id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn list(&self, kind: OwnerKind, filter: &OwnerFilter) -> Result<Vec<OwnerInfo>> {
        let select = format!("{SELECT} AND o.id > ?2 ORDER BY o.id LIMIT ?3 OFFSET ?4");
        let select = Statement::new(select)
            .with(kind.name())
            .with(filter.after.as_deref().unwrap_or_default())
            .with(i64::from(filter.limit.clamp(1, 1000)))
            .with(i64::from(filter.skip));
        let rows = self.database.rows(select).await?;
        rows.iter().map(|row| info(kind, row)).collect()
    }

    /// The number of owners.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn count(&self, kind: OwnerKind) -> Result<u64> {
        let count = "SELECT COUNT(*) FROM gateway_owners o WHERE o.kind = ?1 AND o.deleted = 0";
        let rows = self.database.rows(Statement::new(count).with(kind.name()));
        let rows = rows.await?;
        let row = rows.first().ok_or_else(unreadable)?;
        u64::try_from(row.int(0)?).map_err(|_| unreadable())
    }

    /// Deletes an owner and its keys. Usage records stay. Another owner may get the id: it has none of
    /// the keys and no spend.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such owner.
    pub async fn delete(&self, kind: OwnerKind, id: &str) -> Result<()> {
        let delete = "UPDATE gateway_owners SET deleted = 1, \
                      version = (SELECT version FROM gateway_changes WHERE id = 1) \
                      WHERE kind = ?1 AND id = ?2 AND deleted = 0";
        let delete = Statement::new(delete).with(kind.name()).with(id).required();
        let keys = format!(
            "UPDATE gateway_keys SET deleted = 1, \
             version = (SELECT version FROM gateway_changes WHERE id = 1) \
             WHERE {}_id = ?1 AND deleted = 0",
            kind.name()
        );
        let keys = Statement::new(keys).with(id);
        let spend = "UPDATE gateway_budgets SET spent = 0 WHERE id = ?1";
        let spend = Statement::new(spend).with(BudgetId::owner(kind, id).as_str());
        let batch = Batch::write().announced().and(Statement::new(BUMP));
        match self
            .database
            .run(batch.and(delete).and(keys).and(spend))
            .await?
        {
            Outcome::Done(_) => Ok(()),
            Outcome::Refused(_) => Err(not_found(kind)),
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

fn not_found(kind: OwnerKind) -> Error {
    Error::new(ErrorKind::NotFound, format!("no such {}", kind.name()))
}

const PUT: &str = "INSERT INTO gateway_owners (kind, id, version, deleted, data) \
    VALUES (?1, ?2, (SELECT version FROM gateway_changes WHERE id = 1), 0, ?3) \
    ON CONFLICT (kind, id) DO UPDATE SET \
    version = excluded.version, deleted = 0, data = excluded.data";

const SELECT: &str = "SELECT o.id, o.deleted, o.data, b.spent, b.reset_at \
    FROM gateway_owners o LEFT JOIN gateway_budgets b ON b.id = o.kind || ':' || o.id \
    WHERE o.kind = ?1 AND o.deleted = 0";
