//! The task that asks for leases and writes records.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use llm_provider::text::excerpt;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::reservation::Hold;
use super::statements::{self, FIRST_GRANT, HEARTBEAT, Headroom};
use super::{Charge, LedgerOptions, Page, SharedBook, UsageRecord, exceeded};
use crate::sql::{Batch, Database, Outcome, Statement};
use crate::{Clock, Error, ErrorKind, Money, Result, Store, Timestamp, id};

/// The most records of one batch.
pub(super) const BATCH: usize = 500;

/// How often budgets are reset and unused leases are returned.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// The longest time between two attempts to write, while the database does not answer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// A grant includes this many times the amount of the reservation, for later ones.
const CHUNK: u64 = 16;

#[derive(Debug)]
pub(super) enum Command {
    Grant {
        charge: Charge,
        estimate: Money,
        reply: oneshot::Sender<Result<Hold>>,
    },
    Flush {
        reply: oneshot::Sender<Result<()>>,
    },
    Close {
        reply: oneshot::Sender<Result<()>>,
    },
}

#[derive(Debug)]
pub(super) struct Writer {
    database: Database,
    clock: Clock,
    book: SharedBook,
    flush_interval: Duration,
    lease_time: Duration,
    replica: String,
    heartbeat_due: Timestamp,
    backoff: Duration,
    /// The most records of the next batch: one after a batch that the database rejected.
    limit: usize,
    /// The soft budgets that the log has a warning of, and the ends of their periods.
    warned: BTreeSet<(String, Option<i64>)>,
}

impl Writer {
    pub(super) async fn new(
        store: &Store,
        options: &LedgerOptions,
        book: SharedBook,
    ) -> Result<Self> {
        let mut writer = Self {
            database: store.database.clone(),
            clock: store.clock.clone(),
            book,
            flush_interval: options.flush_interval.max(Duration::from_millis(1)),
            lease_time: options.lease_time,
            replica: String::new(),
            heartbeat_due: Timestamp::default(),
            backoff: Duration::ZERO,
            limit: BATCH,
            warned: BTreeSet::new(),
        };
        writer.register().await?;
        Ok(writer)
    }

    /// Runs until the ledger and all reservations are dropped; then writes what is left.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, wake: Arc<Notify>) {
        let mut next_flush = Instant::now() + self.flush_interval;
        let mut next_housekeeping = Instant::now() + HOUSEKEEPING;
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => {
                    let Some(command) = command else { break };
                    self.execute(command).await;
                    // Many commands must not hold up the records.
                    if Instant::now() < next_flush {
                        continue;
                    }
                }
                () = sleep_until(next_housekeeping) => {
                    self.run_housekeeping().await;
                    next_housekeeping = Instant::now() + HOUSEKEEPING;
                    continue;
                }
                () = sleep_until(next_flush) => {}
                () = wake.notified(), if self.backoff.is_zero() => {}
            }
            // Its errors are reported by the database; the records are still queued.
            let _ = self.write_page().await;
            let has_more = self.book.lock().queued() >= BATCH && self.backoff.is_zero();
            let wait = match has_more {
                true => Duration::ZERO,
                false => self.flush_interval.max(self.backoff),
            };
            next_flush = Instant::now() + wait;
        }
        let _ = self.close().await;
    }

    async fn execute(&mut self, command: Command) {
        // The caller may have left; a granted amount is returned then.
        match command {
            Command::Grant {
                charge,
                estimate,
                reply,
            } => drop(reply.send(self.grant(charge, estimate).await)),
            Command::Flush { reply } => drop(reply.send(self.flush().await)),
            Command::Close { reply } => drop(reply.send(self.close().await)),
        }
    }

    /// Reserves an amount, if the database grants the leases for it.
    async fn grant(&mut self, charge: Charge, estimate: Money) -> Result<Hold> {
        let attempts = [
            (estimate.times(CHUNK), Headroom::Tenth),
            (Money::ZERO, Headroom::None),
        ];
        for (chunk, headroom) in attempts {
            let request = self.book.lock().request(&charge, estimate, chunk);
            if !request.leases.is_empty() {
                let refused = self.ask(&request, headroom).await;
                if !matches!(refused, Ok(None)) {
                    self.book.lock().restore(&request);
                }
                match (refused?, headroom) {
                    (None, _) => {}
                    (Some(_), Headroom::Tenth) => continue,
                    (Some(index), Headroom::None) => {
                        let Some((budget, _)) = request.leases.get(index) else {
                            continue;
                        };
                        self.book.lock().refuse(budget, estimate, self.clock.now());
                        return Err(exceeded(budget));
                    }
                }
            }
            self.book.lock().grant(request, &charge, estimate);
            return Ok(Hold::new(self.book.clone(), charge, estimate));
        }
        Err(Error::new(
            ErrorKind::Internal,
            "a refusal without a budget",
        ))
    }

    /// Asks the database for leases; the index of the budget that refuses, if one does.
    async fn ask(&mut self, request: &super::Request, headroom: Headroom) -> Result<Option<usize>> {
        let refused = self
            .with_heartbeat(|replica, expires_at| {
                statements::grant(replica, expires_at, request, headroom)
            })
            .await?;
        Ok(refused.map(|index| index.saturating_sub(FIRST_GRANT)))
    }

    async fn flush(&mut self) -> Result<()> {
        while self.book.lock().has_work(false) {
            self.write_page().await?;
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        self.book.lock().close();
        self.flush().await?;
        self.database
            .run(statements::unregister(&self.replica))
            .await?
            .rows()?;
        self.book.lock().forget_leases();
        Ok(())
    }

    /// Writes at most one batch of records, and leases that changed.
    async fn write_page(&mut self) -> Result<()> {
        let is_due = self.clock.now() >= self.heartbeat_due;
        if !self.book.lock().has_work(is_due) {
            return Ok(());
        }
        let page = self.book.lock().take(self.limit);
        match self.write(&page).await {
            Ok(()) => {
                self.book.lock().commit(page);
                (self.backoff, self.limit) = (Duration::ZERO, BATCH);
                Ok(())
            }
            Err(error) if error.is_outage() => {
                self.book.lock().put_back(page);
                let next = self.backoff.max(self.flush_interval).saturating_mul(2);
                self.backoff = next.min(LONGEST_BACKOFF);
                Err(error)
            }
            Err(error) => self.reject(page, error),
        }
    }

    /// Writes the records of a page that the database does not have yet. It has some of them if the
    /// answer to an earlier attempt was lost.
    async fn write(&mut self, page: &Page) -> Result<()> {
        let mut known = BTreeSet::new();
        for _ in 0..2 {
            let flush =
                |replica: &str, expires_at| statements::flush(replica, expires_at, page, &known);
            if self.with_heartbeat(flush).await?.is_none() {
                return Ok(());
            }
            let found = self.database.run(statements::known(page)).await?.rows()?;
            let ids = found
                .iter()
                .flatten()
                .map(|row| row.text(0).map(str::to_owned));
            known = ids.collect::<Result<_>>()?;
        }
        let message = "another process writes records of the same requests";
        Err(Error::new(ErrorKind::Locked, message))
    }

    /// Handles a batch that the database rejects: its records are written one by one, and the one
    /// that is rejected again is logged and dropped.
    fn reject(&mut self, page: Page, error: Error) -> Result<()> {
        let text = error.to_string();
        let error_text = &*excerpt(&text);
        match page.entries.as_slice() {
            [] => {
                tracing::error!(error = error_text, "the database rejects leases");
                self.book.lock().put_back(page);
                self.backoff = LONGEST_BACKOFF;
                Err(error)
            }
            [entry] => {
                let record = UsageRecord::read(&entry.row);
                let record = record.map(|record| serde_json::to_string(&record));
                let record = record.ok().and_then(Result::ok).unwrap_or_default();
                tracing::error!(
                    error = error_text,
                    record,
                    "the database rejects a usage record, which is lost"
                );
                self.book.lock().commit(page);
                self.limit = BATCH;
                Ok(())
            }
            _ => {
                self.book.lock().put_back(page);
                self.limit = 1;
                Ok(())
            }
        }
    }

    /// Runs a batch that begins with a heartbeat; the index of the statement that was refused, if
    /// one was.
    async fn with_heartbeat(
        &mut self,
        batch: impl Fn(&str, Timestamp) -> Batch,
    ) -> Result<Option<usize>> {
        for _ in 0..2 {
            let expires_at = self.clock.now().after(self.lease_time);
            let outcome = self.database.run(batch(&self.replica, expires_at)).await?;
            self.heartbeat_due = self.clock.now().after(self.lease_time / 3);
            match outcome {
                Outcome::Done(_) => return Ok(None),
                // The registration expired, and another process removed it with its leases.
                Outcome::Refused(HEARTBEAT) => self.register().await?,
                Outcome::Refused(index) => return Ok(Some(index)),
            }
        }
        let message = "the leases of this process expire at once: compare the clocks of the \
                       gateways";
        Err(Error::new(ErrorKind::Locked, message))
    }

    async fn register(&mut self) -> Result<()> {
        let now = self.clock.now();
        let replica = id::new(now)?;
        let batch = statements::register(&replica, now.after(self.lease_time));
        self.database.run(batch).await?.rows()?;
        self.replica = replica;
        self.book.lock().forget_leases();
        Ok(())
    }

    async fn run_housekeeping(&mut self) {
        let now = self.clock.now();
        self.book.lock().tidy(now);
        if !self.backoff.is_zero() {
            return;
        }
        // The database reports its outages; all of this is done again a second later.
        let _ = self.reset_budgets(now).await;
        let _ = self.database.run(statements::sweep(now)).await;
        let _ = self.warn_of_soft_budgets().await;
    }

    /// Warns once of each soft budget in each of its periods.
    async fn warn_of_soft_budgets(&mut self) -> Result<()> {
        let rows = self.database.rows(Statement::new(statements::SOFT)).await?;
        let mut exceeded = BTreeSet::new();
        for row in &rows {
            let budget = (row.text(0)?.to_owned(), row.opt_int(2)?);
            if !self.warned.contains(&budget) {
                let spend = Money::from_nanos(row.int(1)?).to_string();
                tracing::warn!(budget = budget.0, spend, "a soft budget is exceeded");
            }
            exceeded.insert(budget);
        }
        self.warned = exceeded;
        Ok(())
    }

    async fn reset_budgets(&self, now: Timestamp) -> Result<()> {
        let due = self.database.rows(statements::due(now)).await?;
        if due.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::write();
        for row in &due {
            let (period, reset_at) = (row.int(1)?.max(1), row.int(2)?);
            let periods = now.as_millis().saturating_sub(reset_at) / period + 1;
            let next = reset_at.saturating_add(period.saturating_mul(periods));
            batch = batch.and(statements::reset(row.text(0)?, reset_at, next));
        }
        self.database.run(batch).await?.rows()?;
        Ok(())
    }
}
