use llm_provider::ApiKey;
use serde::{Deserialize, Serialize};

use super::changes::{BUMP, until_written};
use super::{GeneratedKey, Key, KeyFilter, KeyHash, KeyInfo, KeySettings, check, secret};
use crate::ledger::budget_statement;
use crate::sql::{Batch, Database, Outcome, Row, Statement, Value, unreadable};
use crate::{BudgetId, Clock, Error, ErrorKind, Money, OwnerKind, Result, Store, Timestamp, id};

/// The keys of a [`Store`].
#[derive(Clone, Debug)]
pub struct Keys {
    database: Database,
    clock: Clock,
}

impl Keys {
    pub(crate) fn new(store: &Store) -> Self {
        Self {
            database: store.database.clone(),
            clock: store.clock.clone(),
        }
    }

    /// Generates a key. Its secret is returned here only.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] names the setting that is not acceptable;
    /// [`ErrorKind::Conflict`] if another key has the alias.
    pub async fn generate(&self, settings: KeySettings) -> Result<GeneratedKey> {
        let secret = secret::generate()?;
        let key = self.insert(&secret, settings).await?;
        Ok(GeneratedKey { secret, key })
    }

    /// Adds a key with a secret of the caller's.
    ///
    /// # Errors
    /// Those of [`generate`](Self::generate), and [`ErrorKind::InvalidInput`] for a secret that
    /// does not begin with `sk-`, is short, or cannot be sent in a header.
    pub async fn add(&self, secret: &ApiKey, settings: KeySettings) -> Result<Key> {
        secret::check(secret)?;
        self.insert(secret, settings).await
    }

    async fn insert(&self, secret: &ApiKey, settings: KeySettings) -> Result<Key> {
        check::key(&settings)?;
        let now = self.clock.now();
        let key = Key {
            id: id::new(now)?,
            hash: KeyHash::of(secret.expose()),
            name: secret::name(secret),
            settings,
            created_at: now,
            updated_at: now,
        };
        let insert = "INSERT INTO gateway_keys \
             (id, hash, alias, user_id, team_id, version, deleted, data) VALUES \
             (?1, ?2, ?3, ?4, ?5, (SELECT version FROM gateway_changes WHERE id = 1), 0, ?6)";
        self.change(&key, fill(insert, &key)?).await?;
        Ok(key)
    }

    /// The key with a hash, and its spend.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn get(&self, hash: &KeyHash) -> Result<Option<KeyInfo>> {
        let select = Statement::new(format!("{SELECT} AND k.hash = ?1")).with(hash.to_string());
        let rows = self.database.rows(select).await?;
        rows.first().map(info).transpose()
    }

    /// The key with an id, and its spend.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn get_by_id(&self, id: &str) -> Result<Option<KeyInfo>> {
        let select = Statement::new(format!("{SELECT} AND k.id = ?1")).with(id);
        let rows = self.database.rows(select).await?;
        rows.first().map(info).transpose()
    }

    /// Lists keys.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn list(&self, filter: &KeyFilter) -> Result<Vec<KeyInfo>> {
        let (mut sql, mut values) = filtered(SELECT, filter);
        values.push(i64::from(filter.limit.clamp(1, 1000)).into());
        sql += &format!(" ORDER BY k.id LIMIT ?{}", values.len());
        values.push(i64::from(filter.skip).into());
        sql += &format!(" OFFSET ?{}", values.len());
        let select = values
            .into_iter()
            .fold(Statement::new(sql), Statement::with);
        self.database.rows(select).await?.iter().map(info).collect()
    }

    /// The number of keys that [`list`](Self::list) would return without `skip` and `limit`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn count(&self, filter: &KeyFilter) -> Result<u64> {
        let count = "SELECT COUNT(*) FROM gateway_keys k WHERE k.deleted = 0";
        let (sql, values) = filtered(count, filter);
        let count = values
            .into_iter()
            .fold(Statement::new(sql), Statement::with);
        let rows = self.database.rows(count).await?;
        let row = rows.first().ok_or_else(unreadable)?;
        u64::try_from(row.int(0)?).map_err(|_| unreadable())
    }

    /// Changes the settings of a key. `change` may run several times, if others change the key at
    /// the same time.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], and those of [`generate`](Self::generate).
    pub async fn update(&self, hash: &KeyHash, change: impl Fn(&mut KeySettings)) -> Result<Key> {
        self.replace(hash, |key| {
            change(&mut key.settings);
            check::key(&key.settings)
        })
        .await
    }

    /// Blocks a key, or unblocks it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such key.
    pub async fn set_blocked(&self, hash: &KeyHash, blocked: bool) -> Result<Key> {
        self.update(hash, |settings| settings.limits.blocked = blocked)
            .await
    }

    /// Replaces the secret of a key. The old one stops working; id, settings and spend stay.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such key.
    pub async fn regenerate(&self, hash: &KeyHash) -> Result<GeneratedKey> {
        let secret = secret::generate()?;
        let key = self.replace(hash, |key| {
            key.hash = KeyHash::of(secret.expose());
            key.name = secret::name(&secret);
            Ok(())
        });
        let key = key.await?;
        Ok(GeneratedKey { secret, key })
    }

    /// Deletes a key. Its usage records stay.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such key.
    pub async fn delete(&self, hash: &KeyHash) -> Result<()> {
        let delete = "UPDATE gateway_keys SET deleted = 1, \
                      version = (SELECT version FROM gateway_changes WHERE id = 1) \
                      WHERE hash = ?1 AND deleted = 0";
        let delete = Statement::new(delete).with(hash.to_string()).required();
        let batch = Batch::write().announced().and(Statement::new(BUMP));
        match self.database.run(batch.and(delete)).await? {
            Outcome::Done(_) => Ok(()),
            Outcome::Refused(_) => Err(not_found()),
        }
    }

    async fn replace(
        &self,
        hash: &KeyHash,
        change: impl Fn(&mut Key) -> Result<()>,
    ) -> Result<Key> {
        until_written("key", || self.try_replace(hash, &change)).await
    }

    /// `None` if the key was changed after it was read.
    async fn try_replace(
        &self,
        hash: &KeyHash,
        change: &impl Fn(&mut Key) -> Result<()>,
    ) -> Result<Option<Key>> {
        let select = format!("SELECT {KEY_COLUMNS} FROM gateway_keys k WHERE k.hash = ?1");
        let select = Statement::new(select + " AND k.deleted = 0").with(hash.to_string());
        let found = self.database.run(Batch::read(select)).await?.rows()?;
        let row = found.first().and_then(|rows| rows.first());
        let row = row.ok_or_else(not_found)?;
        let mut key = read_key(row)?;
        change(&mut key)?;
        key.updated_at = self.clock.now();
        let update = "UPDATE gateway_keys SET \
             hash = ?2, alias = ?3, user_id = ?4, team_id = ?5, data = ?6, \
             version = (SELECT version FROM gateway_changes WHERE id = 1) \
             WHERE id = ?1 AND version = ?7 AND deleted = 0";
        let update = fill(update, &key)?.with(row.int(VERSION)?).required();
        Ok(self.change(&key, update).await?.then_some(key))
    }

    /// Writes a key and its budget; false if `write` is required and has no effect.
    async fn change(&self, key: &Key, write: Statement) -> Result<bool> {
        let settings = &key.settings;
        let owners = [
            (OwnerKind::User, &settings.user_id),
            (OwnerKind::Team, &settings.team_id),
        ];
        let owners: Vec<_> = owners
            .into_iter()
            .filter_map(|(kind, id)| Some((kind, id.as_deref()?)))
            .collect();
        let budget = budget_statement(&BudgetId::key(&key.id), &settings.limits, key.updated_at);
        let checks = owners.iter().map(|(kind, id)| owner_exists(*kind, id));
        let batch = checks.fold(Batch::write().announced(), Batch::and);
        let batch = batch.and(Statement::new(BUMP)).and(write).and(budget);
        match self.database.run(batch).await? {
            Outcome::Done(_) => Ok(true),
            Outcome::Refused(index) => match owners.get(index) {
                Some((kind, _)) => Err(Error::invalid(format!(
                    "`{0}_id`: no such {0}; create the {0} first",
                    kind.name()
                ))),
                None => Ok(false),
            },
        }
    }
}

/// Adds the conditions of a filter to a query of `gateway_keys k`.
fn filtered(select: &str, filter: &KeyFilter) -> (String, Vec<Value>) {
    let mut sql = select.to_owned();
    let mut values = Vec::new();
    for (condition, value) in [
        ("k.user_id =", &filter.user_id),
        ("k.team_id =", &filter.team_id),
        ("k.alias =", &filter.key_alias),
        ("k.id >", &filter.after),
    ] {
        if let Some(value) = value {
            values.push(Value::from(value.as_str()));
            sql += &format!(" AND {condition} ?{}", values.len());
        }
    }
    (sql, values)
}

fn owner_exists(kind: OwnerKind, id: &str) -> Statement {
    let select = "SELECT 1 FROM gateway_owners WHERE kind = ?1 AND id = ?2 AND deleted = 0";
    Statement::new(select).with(kind.name()).with(id).required()
}

/// Gives a statement the parameters 1 to 6.
fn fill(sql: &'static str, key: &Key) -> Result<Statement> {
    let data = Data {
        name: key.name.clone(),
        settings: key.settings.clone(),
        created_at: key.created_at,
        updated_at: key.updated_at,
    };
    let settings = &key.settings;
    Ok(Statement::new(sql)
        .with(key.id.as_str())
        .with(key.hash.to_string())
        .with(settings.key_alias.as_deref())
        .with(settings.user_id.as_deref())
        .with(settings.team_id.as_deref())
        .with(serialized(&data)?))
}

/// The part of a key that no query looks at.
#[derive(Deserialize, Serialize)]
struct Data {
    name: String,
    settings: KeySettings,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// Reads a row that begins with [`KEY_COLUMNS`].
pub(crate) fn read_key(row: &Row) -> Result<Key> {
    let data: Data = serde_json::from_str(row.text(3)?).map_err(|_| unreadable())?;
    Ok(Key {
        id: row.text(0)?.to_owned(),
        hash: KeyHash::read(row.text(1)?)?,
        name: data.name,
        settings: data.settings,
        created_at: data.created_at,
        updated_at: data.updated_at,
    })
}

fn info(row: &Row) -> Result<KeyInfo> {
    Ok(KeyInfo {
        key: read_key(row)?,
        spend: Money::from_nanos(row.opt_int(4)?.unwrap_or_default()),
        budget_reset_at: row.opt_int(5)?.map(Timestamp::from_millis),
    })
}

pub(super) fn serialized(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| {
        Error::new(ErrorKind::Internal, "settings cannot be written as JSON").with_source(error)
    })
}

fn not_found() -> Error {
    Error::new(ErrorKind::NotFound, "no such key")
}

/// The columns of `gateway_keys k` that [`read_key`] reads.
pub(crate) const KEY_COLUMNS: &str = "k.id, k.hash, k.version, k.data";

/// The place of the version in [`KEY_COLUMNS`].
const VERSION: usize = 2;

const SELECT: &str = "SELECT k.id, k.hash, k.version, k.data, b.spent, b.reset_at \
    FROM gateway_keys k LEFT JOIN gateway_budgets b ON b.id = 'key:' || k.id \
    WHERE k.deleted = 0";
