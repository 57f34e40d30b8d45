//! The ledger: reservations in budgets, and records of what calls cost.

mod book;
mod budget;
mod csv;
mod record;
mod reports;
mod reservation;
mod statements;
mod writer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;

use self::book::{Book, Page, Request, Reserve};
use self::reservation::Hold;
use self::writer::{Command, Writer};
use crate::{Clock, Error, ErrorKind, Health, Money, Result, Store};

pub(crate) use self::budget::budget_statement;
pub use self::budget::{BudgetId, Charge};
pub use self::csv::write_csv;
pub use self::record::{UsageOutcome, UsageRecord};
pub use self::reports::{Reports, SpendBy, SpendRow, UsageCursor, UsageFilter};
pub use self::reservation::Reservation;

/// How a [`Ledger`] behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LedgerOptions {
    /// The longest time from settling a call to the start of its writing; 250 ms by default.
    pub flush_interval: Duration,
    /// The most calls that run or wait to be written; 100,000 by default. Further calls are
    /// rejected with [`ErrorKind::QueueFull`].
    pub capacity: usize,
    /// How much each process may reserve of each budget without a lease, while the database does
    /// not answer; one dollar by default.
    pub overdraft: Money,
    /// How long the leases of a process that ended without [`Ledger::close`] are kept from others;
    /// 30 s by default.
    pub lease_time: Duration,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_millis(250),
            capacity: 100_000,
            overdraft: Money::from_nanos(1_000_000_000),
            lease_time: Duration::from_secs(30),
        }
    }
}

impl LedgerOptions {
    /// Sets the longest time from settling a call to the start of its writing.
    #[must_use]
    pub fn with_flush_interval(mut self, flush_interval: Duration) -> Self {
        self.flush_interval = flush_interval;
        self
    }

    /// Sets the most calls that run or wait to be written.
    #[must_use]
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Sets how much may be reserved while the database does not answer.
    #[must_use]
    pub fn with_overdraft(mut self, overdraft: Money) -> Self {
        self.overdraft = overdraft;
        self
    }

    /// Sets how long the leases of a process that crashed are kept.
    #[must_use]
    pub fn with_lease_time(mut self, lease_time: Duration) -> Self {
        self.lease_time = lease_time;
        self
    }
}

/// Records what calls cost, and keeps them within their budgets.
///
/// A call is reserved at an estimate of its cost, and settled at its actual cost. The spend of a
/// budget exceeds its maximum at most by
///
/// - what calls cost more than their estimates, and
/// - [`LedgerOptions::overdraft`] for each process, for calls while the database does not answer.
///
/// Settled calls are written in batches. A record of the same request is written once, even if a
/// batch has to be repeated. A process that is killed loses records that were settled less than
/// the flush interval and the time of one batch ago, and those that it could not write because the
/// database did not answer.
///
/// Clones are the same ledger.
#[derive(Clone, Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    book: SharedBook,
    slots: Arc<Semaphore>,
    commands: mpsc::Sender<Command>,
    wake: Arc<Notify>,
    health: watch::Receiver<Health>,
    clock: Clock,
    overdraft: Money,
    timeout: Duration,
}

/// The book of a ledger and its writer.
#[derive(Clone, Debug, Default)]
struct SharedBook(Arc<Mutex<Book>>);

impl SharedBook {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// A ledger over a store.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn new(store: &Store, options: LedgerOptions) -> Result<Self> {
        let book = SharedBook::default();
        let wake = Arc::new(Notify::new());
        let (commands, queue) = mpsc::channel(COMMANDS);
        let writer = Writer::new(store, &options, book.clone()).await?;
        tokio::spawn(writer.run(queue, Arc::clone(&wake)));
        Ok(Self {
            shared: Arc::new(Shared {
                book,
                slots: Arc::new(Semaphore::new(options.capacity.min(Semaphore::MAX_PERMITS))),
                commands,
                wake,
                health: store.health(),
                clock: store.clock.clone(),
                overdraft: options.overdraft,
                timeout: store.database.timeout(),
            }),
        })
    }

    /// Reserves `estimate` of all budgets of a call, before it is sent.
    ///
    /// The estimate should be the most that the call can cost.
    ///
    /// # Errors
    /// [`ErrorKind::BudgetExceeded`] if the call could exceed a budget, and
    /// [`ErrorKind::QueueFull`] if too many records wait to be written.
    pub async fn reserve(&self, charge: Charge, estimate: Money) -> Result<Reservation> {
        if !(Money::ZERO..=Money::MAX_COST).contains(&estimate) {
            let message = "the estimate of a cost must be 0 to 1,000,000 dollars";
            return Err(Error::invalid(message));
        }
        let slots = Arc::clone(&self.shared.slots);
        let slot = slots.try_acquire_owned().map_err(|_| queue_full())?;
        let hold = self.hold(charge, estimate).await?;
        Ok(Reservation::new(hold, slot, Arc::clone(&self.shared)))
    }

    async fn hold(&self, charge: Charge, estimate: Money) -> Result<Hold> {
        let shared = &self.shared;
        let now = shared.clock.now();
        let reserve = shared.book.lock().reserve(&charge, estimate, now);
        match reserve {
            Reserve::Done => Ok(Hold::new(shared.book.clone(), charge, estimate)),
            Reserve::Refused(budget) => Err(exceeded(&budget)),
            Reserve::Short if *shared.health.borrow() == Health::Unavailable => {
                self.overdraw(charge, estimate)
            }
            Reserve::Short => match self.ask(charge.clone(), estimate).await {
                Err(error) if error.is_outage() => self.overdraw(charge, estimate),
                granted => granted,
            },
        }
    }

    async fn ask(&self, charge: Charge, estimate: Money) -> Result<Hold> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Grant {
            charge,
            estimate,
            reply,
        };
        let commands = &self.shared.commands;
        let work = async {
            commands.send(command).await.map_err(|_| closed())?;
            answer.await.map_err(|_| closed())?
        };
        // A grant that comes later is returned, as its receiver is gone.
        timeout(self.shared.timeout, work)
            .await
            .unwrap_or_else(|_| {
                let message = "the database does not answer in time";
                Err(Error::new(ErrorKind::Unavailable, message))
            })
    }

    fn overdraw(&self, charge: Charge, estimate: Money) -> Result<Hold> {
        let shared = &self.shared;
        let mut book = shared.book.lock();
        if book.overdraw(&charge, estimate, shared.overdraft) {
            drop(book);
            return Ok(Hold::new(shared.book.clone(), charge, estimate));
        }
        let message = "the database does not answer, and calls may not use more of the budget \
                       until it does";
        Err(Error::new(ErrorKind::BudgetExceeded, message))
    }

    /// Applies changes of budgets at once that this process made: what it knows of them is asked again.
    /// Changes by others take effect within about a second.
    pub fn renew(&self) {
        self.shared.book.lock().renew();
    }

    /// How many settled calls are not written yet.
    pub fn queued(&self) -> usize {
        self.shared.book.lock().queued()
    }

    /// Writes everything that was settled before.
    ///
    /// # Errors
    /// Those of the database. The records stay queued, and are written later.
    pub async fn flush(&self) -> Result<()> {
        self.command(|reply| Command::Flush { reply }).await
    }

    /// Writes everything that was settled before, and returns all leases. The ledger still works
    /// afterwards.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn close(&self) -> Result<()> {
        self.command(|reply| Command::Close { reply }).await
    }

    async fn command(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<()>>) -> Command,
    ) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let commands = &self.shared.commands;
        commands.send(command(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

fn exceeded(budget: &BudgetId) -> Error {
    let message = format!("the call could exceed the budget of the {}", budget.kind());
    Error::new(ErrorKind::BudgetExceeded, message)
}

fn queue_full() -> Error {
    let message = "too many usage records wait to be written: the database is too slow or does \
                   not answer";
    Error::new(ErrorKind::QueueFull, message)
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the ledger has stopped")
}

/// The maximum number of commands that wait for the writer.
const COMMANDS: usize = 1024;
