//! [`Responses`]: responses of the Responses API that are kept for later requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::sql::{Batch, Database, Outcome, Row, Statement};
use crate::{Clock, Error, Result, Store, Timestamp};

/// How long responses are kept, and how many.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResponseOptions {
    /// How long a response is kept after it was made; 30 days by default, as at OpenAI.
    pub time_to_live: Duration,
    /// The size limit of all responses together, in bytes of JSON; 1 GiB by default. Above it, the
    /// oldest ones are deleted.
    pub max_bytes: u64,
    /// The size limit of a conversation, in bytes of JSON; 64 MiB by default.
    pub max_history: u64,
}

impl Default for ResponseOptions {
    fn default() -> Self {
        Self {
            time_to_live: Duration::from_secs(30 * 24 * 60 * 60),
            max_bytes: 1 << 30,
            max_history: 64 << 20,
        }
    }
}

impl ResponseOptions {
    /// Sets how long a response is kept.
    #[must_use]
    pub fn with_time_to_live(mut self, time_to_live: Duration) -> Self {
        self.time_to_live = time_to_live;
        self
    }

    /// Sets the size limit of all responses together, in bytes.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets the size limit of a conversation, in bytes.
    #[must_use]
    pub fn with_max_history(mut self, bytes: u64) -> Self {
        self.max_history = bytes;
        self
    }
}

/// A response and the input of its request, as JSON.
///
/// `Debug` shows neither.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct StoredResponse {
    /// The response's id.
    pub id: String,
    /// Who may use it: the id of a key, or an empty text for the operator.
    pub owner: String,
    /// The response that it continues.
    pub previous_id: Option<String>,
    /// Whether it is complete.
    pub state: ResponseState,
    /// The items of the request's input.
    pub input: String,
    /// The response.
    pub response: String,
}

/// Whether a response is complete.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ResponseState {
    /// It does not change any more.
    Ended,
    /// A process works on it, and calls [`Responses::renew`].
    Running,
    /// The process that worked on it ended, or has not reached the database for
    /// [`Responses::ABANDONED_AFTER`].
    Abandoned,
}

impl StoredResponse {
    /// A response that has ended, without a previous one.
    pub fn new(
        owner: impl Into<String>,
        id: impl Into<String>,
        input: impl Into<String>,
        response: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            owner: owner.into(),
            previous_id: None,
            state: ResponseState::Ended,
            input: input.into(),
            response: response.into(),
        }
    }

    /// Sets the response that it continues.
    #[must_use]
    pub fn with_previous(mut self, id: Option<String>) -> Self {
        self.previous_id = id;
        self
    }

    /// Sets whether it is complete.
    #[must_use]
    pub fn with_state(mut self, state: ResponseState) -> Self {
        self.state = state;
        self
    }

    fn bytes(&self) -> u64 {
        size(&self.input).saturating_add(size(&self.response))
    }

    fn read(row: &Row, now: Timestamp) -> Result<Self> {
        let renewed_at = row.opt_int(3)?.map(Timestamp::from_millis);
        let state = match renewed_at {
            None => ResponseState::Ended,
            Some(at) if at.after(Responses::ABANDONED_AFTER) > now => ResponseState::Running,
            Some(_) => ResponseState::Abandoned,
        };
        Ok(Self {
            id: row.text(0)?.to_owned(),
            owner: row.text(1)?.to_owned(),
            previous_id: row.opt_text(2)?.map(str::to_owned),
            state,
            input: row.text(4)?.to_owned(),
            response: row.text(5)?.to_owned(),
        })
    }
}

impl std::fmt::Debug for StoredResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredResponse")
            .field("id", &self.id)
            .field("owner", &self.owner)
            .field("previous_id", &self.previous_id)
            .field("state", &self.state)
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

/// The responses of a [`Store`], shared by all gateways of its database.
///
/// Only the owner that stored a response finds it. Clones are the same responses. A task deletes what
/// has expired, every minute, until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Responses {
    inner: Arc<Inner>,
    _cleaner: Arc<Cleaner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    clock: Clock,
    options: ResponseOptions,
    /// The bytes that were stored since the size was checked.
    written: AtomicU64,
    is_large: Notify,
}

/// A task that ends with its owner.
#[derive(Debug)]
struct Cleaner(JoinHandle<()>);

impl Drop for Cleaner {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Responses {
    /// The time without [`renew`](Self::renew) after which a running response counts as abandoned.
    pub const ABANDONED_AFTER: Duration = Duration::from_secs(60);

    pub(crate) fn new(store: &Store, options: ResponseOptions) -> Self {
        let inner = Arc::new(Inner {
            database: store.database.clone(),
            clock: store.clock.clone(),
            options,
            written: AtomicU64::new(0),
            is_large: Notify::new(),
        });
        let cleaner = tokio::spawn(clean_regularly(Arc::clone(&inner)));
        Self {
            inner,
            _cleaner: Arc::new(Cleaner(cleaner)),
        }
    }

    /// Stores a response.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if it is larger than the limit of all responses together,
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if there is one with this id, and those of the database.
    pub async fn put(&self, response: StoredResponse) -> Result<()> {
        let bytes = response.bytes();
        if bytes > self.inner.options.max_bytes {
            return Err(Error::invalid("the response is larger than the store"));
        }
        let now = self.inner.clock.now();
        let is_running = response.state != ResponseState::Ended;
        let insert = "INSERT INTO gateway_responses (id, owner, previous_id, created_at, \
                      expires_at, renewed_at, bytes, input, response) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let insert = Statement::new(insert)
            .with(response.id)
            .with(response.owner)
            .with(response.previous_id)
            .with(now.as_millis())
            .with(now.after(self.inner.options.time_to_live).as_millis())
            .with(is_running.then(|| now.as_millis()))
            .with(int(bytes))
            .with(response.input)
            .with(response.response);
        self.inner
            .database
            .run(Batch::write().and(insert))
            .await?
            .rows()?;
        self.inner.wrote(bytes);
        Ok(())
    }

    /// A response of `owner`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn get(&self, owner: &str, id: &str) -> Result<Option<StoredResponse>> {
        let now = self.inner.clock.now();
        let select = format!("SELECT {COLUMNS} FROM gateway_responses r WHERE {IS_KEPT}");
        let select = Statement::new(select)
            .with(id)
            .with(owner)
            .with(now.as_millis());
        let rows = self.inner.database.rows(select).await?;
        rows.first()
            .map(|row| StoredResponse::read(row, now))
            .transpose()
    }

    /// A response of `owner` and all that it continues, oldest first. `None` if one of them was
    /// deleted or has expired.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if there are more than 10,000 of them, or if they are larger than
    /// [`max_history`](ResponseOptions::max_history); and those of the database.
    pub async fn history(&self, owner: &str, id: &str) -> Result<Option<Vec<StoredResponse>>> {
        let now = self.inner.clock.now();
        let select = format!(
            "WITH RECURSIVE chain (id, previous_id, place, total) AS (\
                 SELECT r.id, r.previous_id, 1, r.bytes FROM gateway_responses r WHERE {IS_KEPT} \
                 UNION ALL \
                 SELECT r.id, r.previous_id, c.place + 1, c.total + r.bytes \
                 FROM gateway_responses r JOIN chain c ON r.id = c.previous_id \
                 WHERE r.owner = ?2 AND r.expires_at > ?3 AND c.place < {MAX_PLACE} \
                 AND c.total <= {max}) \
             SELECT {COLUMNS}, c.place, c.total FROM chain c JOIN gateway_responses r \
             ON r.id = c.id WHERE c.total <= {max} ORDER BY c.place DESC",
            max = self.inner.options.max_history,
        );
        let select = Statement::new(select)
            .with(id)
            .with(owner)
            .with(now.as_millis());
        let rows = self.inner.database.rows(select).await?;
        let Some(oldest) = rows.first() else {
            return match self.get(owner, id).await? {
                Some(_) => Err(self.too_long()),
                None => Ok(None),
            };
        };
        if let Some(missing) = oldest.opt_text(2)? {
            // The query stopped there, or found nothing.
            return match self.get(owner, missing).await? {
                Some(_) => Err(self.too_long()),
                None => Ok(None),
            };
        }
        let responses = rows.iter().map(|row| StoredResponse::read(row, now));
        responses.collect::<Result<_>>().map(Some)
    }

    /// Replaces a running response by its result. `false` if it does not run any more: it was
    /// cancelled or deleted.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn finish(&self, owner: &str, id: &str, response: String) -> Result<bool> {
        let bytes = size(&response);
        let update = "UPDATE gateway_responses SET response = ?3, bytes = bytes + ?4, \
                      renewed_at = NULL WHERE id = ?1 AND owner = ?2 AND renewed_at IS NOT NULL";
        let update = Statement::new(update)
            .with(id)
            .with(owner)
            .with(response)
            .with(int(bytes));
        self.inner.wrote(bytes);
        self.changes(update).await
    }

    /// Says that a process still works on a response. `false` if it should stop: the response was
    /// cancelled or deleted.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn renew(&self, owner: &str, id: &str) -> Result<bool> {
        let update = "UPDATE gateway_responses SET renewed_at = ?3 \
                      WHERE id = ?1 AND owner = ?2 AND renewed_at IS NOT NULL";
        let now = self.inner.clock.now();
        let update = Statement::new(update)
            .with(id)
            .with(owner)
            .with(now.as_millis());
        self.changes(update).await
    }

    /// Deletes a response of `owner`. `false` if there is none.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn delete(&self, owner: &str, id: &str) -> Result<bool> {
        let delete = format!("DELETE FROM gateway_responses AS r WHERE {IS_KEPT}");
        let now = self.inner.clock.now();
        let delete = Statement::new(delete)
            .with(id)
            .with(owner)
            .with(now.as_millis());
        self.changes(delete).await
    }

    /// Deletes what has expired, and the oldest responses above the size limit. It also happens
    /// regularly.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn clean(&self) -> Result<()> {
        self.inner.clean().await
    }

    fn too_long(&self) -> Error {
        let max = self.inner.options.max_history;
        let message = format!(
            "the conversation has more than {MAX_PLACE} responses or {max} bytes: begin a new one"
        );
        Error::invalid(message)
    }

    async fn changes(&self, statement: Statement) -> Result<bool> {
        let batch = Batch::write().and(statement.required());
        let outcome = self.inner.database.run(batch).await?;
        Ok(matches!(outcome, Outcome::Done(_)))
    }
}

impl Inner {
    fn wrote(&self, bytes: u64) {
        let written = self.written.fetch_add(bytes, Ordering::Relaxed);
        if written.saturating_add(bytes) > self.options.max_bytes / SLACK {
            self.is_large.notify_one();
        }
    }

    async fn clean(&self) -> Result<()> {
        self.written.store(0, Ordering::Relaxed);
        let expired = Statement::new("DELETE FROM gateway_responses WHERE expires_at <= ?1")
            .with(self.clock.now().as_millis());
        let oldest = "DELETE FROM gateway_responses WHERE id IN (SELECT id FROM (SELECT id, \
                      CAST(SUM(bytes) OVER (ORDER BY created_at DESC, id DESC) AS BIGINT) AS total \
                      FROM gateway_responses) AS sizes WHERE total > ?1)";
        let oldest = Statement::new(oldest).with(int(self.options.max_bytes));
        let batch = Batch::write().and(expired).and(oldest);
        self.database.run(batch).await?.rows().map(drop)
    }
}

async fn clean_regularly(inner: Arc<Inner>) {
    loop {
        // The database logs its outages; the next turn tries again.
        let _ = inner.clean().await;
        // The time has passed, or much was stored.
        let _ = timeout(CLEAN_INTERVAL, inner.is_large.notified()).await;
    }
}

fn size(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

fn int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

const COLUMNS: &str = "r.id, r.owner, r.previous_id, r.renewed_at, r.input, r.response";
const IS_KEPT: &str = "r.id = ?1 AND r.owner = ?2 AND r.expires_at > ?3";

/// The most responses of a conversation.
const MAX_PLACE: u32 = 10_000;

/// How often expired responses are deleted.
const CLEAN_INTERVAL: Duration = Duration::from_secs(60);

/// The size limit is checked when this part of it was stored.
const SLACK: u64 = 16;
