//! The part of the ledger that is in memory: reservations, and records that are not written yet.
//!
//! The database grants this process a *lease* of each budget. The lease covers what is reserved by
//! running calls and what is queued to be written; the rest of it is spare. A reservation that fits
//! into the spare needs no query. All leases of a budget and its spend together never exceed its
//! maximum when a lease is granted.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::{BudgetId, Charge, UsageRecord};
use crate::sql::Row;
use crate::{Money, Timestamp};

/// How long a refusal is repeated without asking the database.
const REFUSAL: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Book {
    accounts: HashMap<BudgetId, Account>,
    queue: VecDeque<Entry>,
    /// How many records are being written.
    in_writing: usize,
}

/// A record that waits to be written, with its place in the queue.
#[derive(Debug)]
pub(super) struct Entry {
    /// The record, as it is written.
    pub(super) row: Arc<Row>,
    pub(super) cost: Money,
    /// The budgets that the cost is charged to.
    pub(super) budgets: Vec<BudgetId>,
    charge: Charge,
    _slot: OwnedSemaphorePermit,
}

impl Entry {
    pub(super) fn request_id(&self) -> &str {
        // The first column, which is never null.
        self.row.text(0).unwrap_or_default()
    }
}

/// The state of a budget in this process.
#[derive(Debug, Default)]
struct Account {
    lease: Money,
    reserved: Money,
    queued: Money,
    /// Whether the lease in the database may differ from `lease`.
    is_dirty: bool,
    /// Whether something was reserved since the last housekeeping.
    is_used: bool,
    /// Whether to return the spare.
    is_idle: bool,
    /// An amount that the database refused, and until when that counts.
    refused: Option<(Money, Timestamp)>,
}

impl Account {
    fn committed(&self) -> Money {
        self.reserved + self.queued
    }

    fn spare(&self) -> Money {
        self.lease - self.committed()
    }

    fn is_empty(&self) -> bool {
        !self.is_dirty
            && self.refused.is_none()
            && [self.lease, self.reserved, self.queued] == [Money::ZERO; 3]
    }
}

/// Whether an amount could be reserved.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Reserve {
    Done,
    /// The database has to grant more.
    Short,
    /// The database refused as much less than [`REFUSAL`] ago.
    Refused(BudgetId),
}

/// A request to the database for leases.
#[derive(Debug)]
pub(super) struct Request {
    /// The budgets and their whole leases.
    pub(super) leases: Vec<(BudgetId, Money)>,
    /// The previous leases, to be restored if the request fails.
    before: Vec<(BudgetId, Money)>,
}

/// What is written in one batch.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// The budgets and their leases after the batch.
    pub(super) leases: Vec<(BudgetId, Money)>,
    costs: Vec<Money>,
}

impl Book {
    /// Reserves an amount of each budget, or of none.
    pub(super) fn reserve(&mut self, charge: &Charge, amount: Money, now: Timestamp) -> Reserve {
        let mut is_short = false;
        for budget in charge.capped() {
            let account = self.accounts.entry(budget.clone()).or_default();
            account.is_used = true;
            // What is free is not limited, also after more was spent than estimated.
            if amount == Money::ZERO || account.spare() >= amount {
                continue;
            }
            is_short = true;
            if let Some((refused, until)) = account.refused
                && now < until
                && amount >= refused
            {
                return Reserve::Refused(budget.clone());
            }
        }
        if is_short {
            return Reserve::Short;
        }
        self.add(charge, amount);
        Reserve::Done
    }

    /// Reserves without a lease, while the database does not answer: at most `overdraft` more than
    /// the lease of each budget.
    pub(super) fn overdraw(&mut self, charge: &Charge, amount: Money, overdraft: Money) -> bool {
        let accounts = &self.accounts;
        let spare = |budget| accounts.get(budget).map_or(Money::ZERO, Account::spare);
        let fits = |budget| spare(budget) + overdraft >= amount;
        let is_allowed = charge.capped().iter().all(fits);
        if is_allowed {
            self.add(charge, amount);
        }
        is_allowed
    }

    fn add(&mut self, charge: &Charge, amount: Money) {
        for budget in charge.capped() {
            let account = self.accounts.entry(budget.clone()).or_default();
            account.reserved = account.reserved + amount;
            account.is_used = true;
            // The lease no longer covers what is reserved: update the database.
            account.is_dirty |= account.spare() < Money::ZERO;
        }
    }

    /// Returns a reserved amount.
    pub(super) fn release(&mut self, charge: &Charge, amount: Money) {
        for budget in charge.capped() {
            if let Some(account) = self.accounts.get_mut(budget) {
                account.reserved = account.reserved - amount;
            }
        }
    }

    /// Replaces a reserved amount by the cost of a record, which is written later.
    pub(super) fn settle(
        &mut self,
        charge: Charge,
        amount: Money,
        record: UsageRecord,
        slot: OwnedSemaphorePermit,
    ) -> usize {
        self.release(&charge, amount);
        for budget in charge.capped() {
            let account = self.accounts.entry(budget.clone()).or_default();
            account.queued = account.queued + record.cost;
        }
        self.queue.push_back(Entry {
            cost: record.cost,
            budgets: record.budgets(),
            row: Arc::new(record.into_row()),
            charge,
            _slot: slot,
        });
        self.queue.len()
    }

    /// The leases that a reservation needs, with `chunk` more for later ones.
    ///
    /// Until the answer, the spare of these budgets is not given to others.
    pub(super) fn request(&mut self, charge: &Charge, amount: Money, chunk: Money) -> Request {
        let (mut leases, mut before) = (Vec::new(), Vec::new());
        for budget in charge.capped() {
            let account = self.accounts.entry(budget.clone()).or_default();
            if account.spare() >= amount + chunk {
                continue;
            }
            before.push((budget.clone(), account.lease));
            account.lease = account.lease.min(account.committed());
            leases.push((budget.clone(), account.committed() + amount + chunk));
        }
        Request { leases, before }
    }

    /// The database granted a request: reserves the amount.
    pub(super) fn grant(&mut self, request: Request, charge: &Charge, amount: Money) {
        for (budget, lease) in request.leases {
            let account = self.accounts.entry(budget).or_default();
            account.lease = lease;
            account.refused = None;
        }
        self.add(charge, amount);
    }

    /// The request failed: the leases are what they were.
    pub(super) fn restore(&mut self, request: &Request) {
        for (budget, lease) in &request.before {
            let account = self.accounts.entry(budget.clone()).or_default();
            account.lease = *lease;
            // Perhaps only the answer was lost.
            account.is_dirty = true;
        }
    }

    /// The database refused this amount of a budget.
    pub(super) fn refuse(&mut self, budget: &BudgetId, amount: Money, now: Timestamp) {
        let account = self.accounts.entry(budget.clone()).or_default();
        account.refused = Some((amount, now.after(REFUSAL)));
    }

    /// Whether there is something to write; also a heartbeat for the leases, if one is due.
    pub(super) fn has_work(&self, is_heartbeat_due: bool) -> bool {
        let holds = |account: &Account| is_heartbeat_due && account.lease > Money::ZERO;
        let mut accounts = self.accounts.values();
        !self.queue.is_empty() || accounts.any(|account| account.is_dirty || holds(account))
    }

    /// How many records are not written yet.
    pub(super) fn queued(&self) -> usize {
        self.queue.len() + self.in_writing
    }

    /// Marks budgets whose spare was not used since the last call, and forgets empty accounts.
    pub(super) fn tidy(&mut self, now: Timestamp) {
        self.accounts.retain(|_, account| {
            if !account.is_used && account.spare() > Money::ZERO {
                (account.is_idle, account.is_dirty) = (true, true);
            }
            account.is_used = false;
            account.refused = account.refused.filter(|(_, until)| now < *until);
            !account.is_empty()
        });
    }

    /// Limits were changed: the database is asked before the next reservations.
    pub(super) fn renew(&mut self) {
        for account in self.accounts.values_mut() {
            account.refused = None;
            if account.spare() > Money::ZERO {
                account.lease = account.committed();
                account.is_dirty = true;
            }
        }
    }

    /// Marks all spare to be returned.
    pub(super) fn close(&mut self) {
        for account in self.accounts.values_mut() {
            account.is_idle = true;
            account.is_dirty |= account.lease != Money::ZERO;
        }
    }

    /// Takes at most `limit` records to be written, with the leases that follow from them.
    pub(super) fn take(&mut self, limit: usize) -> Page {
        let count = self.queue.len().min(limit);
        let entries: Vec<_> = self.queue.drain(..count).collect();
        let mut costs: HashMap<&BudgetId, Money> = HashMap::new();
        for entry in &entries {
            for budget in entry.charge.capped() {
                let cost = costs.entry(budget).or_default();
                *cost = *cost + entry.cost;
            }
        }
        let dirty = self.accounts.iter().filter(|(_, account)| account.is_dirty);
        let dirty: HashSet<_> = dirty.map(|(budget, _)| budget.clone()).collect();
        let touched = dirty.iter().chain(costs.keys().copied());
        let mut touched: Vec<_> = touched.cloned().collect();
        touched.sort_unstable();
        touched.dedup();
        let (mut leases, mut written) = (Vec::new(), Vec::new());
        for budget in touched {
            let account = self.accounts.entry(budget.clone()).or_default();
            let cost = costs.get(&budget).copied().unwrap_or_default();
            let committed = account.committed();
            if std::mem::take(&mut account.is_idle) {
                account.lease = account.lease.min(committed);
            }
            // Changes from now on need another batch.
            account.is_dirty = false;
            leases.push((budget, account.lease.max(committed) - cost));
            written.push(cost);
        }
        self.in_writing = entries.len();
        Page {
            entries,
            leases,
            costs: written,
        }
    }

    /// The page was written.
    pub(super) fn commit(&mut self, page: Page) {
        self.in_writing = 0;
        for ((budget, lease), cost) in page.leases.into_iter().zip(page.costs) {
            let account = self.accounts.entry(budget).or_default();
            account.lease = lease;
            account.queued = account.queued - cost;
        }
    }

    /// The page was not written, or perhaps it was and the answer is lost: it is written again.
    pub(super) fn put_back(&mut self, page: Page) {
        self.in_writing = 0;
        for (budget, _) in page.leases {
            self.accounts.entry(budget).or_default().is_dirty = true;
        }
        for entry in page.entries.into_iter().rev() {
            self.queue.push_front(entry);
        }
    }

    /// The database has no lease of this process any more.
    pub(super) fn forget_leases(&mut self) {
        for account in self.accounts.values_mut() {
            account.is_dirty |= account.lease != Money::ZERO || account.committed() != Money::ZERO;
            account.lease = account.committed();
        }
    }
}
