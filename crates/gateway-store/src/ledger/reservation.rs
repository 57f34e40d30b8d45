use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::writer::BATCH;
use super::{Charge, Shared, SharedBook, UsageRecord};
use crate::Money;

/// An amount that is reserved for a call. Dropping it returns the amount, as for a call that was
/// not sent.
#[derive(Debug)]
#[must_use = "a reservation that is dropped reserves nothing"]
pub struct Reservation {
    hold: Hold,
    slot: OwnedSemaphorePermit,
    /// Keeps the writer running.
    shared: Arc<Shared>,
}

impl Reservation {
    pub(super) fn new(hold: Hold, slot: OwnedSemaphorePermit, shared: Arc<Shared>) -> Self {
        Self { hold, slot, shared }
    }

    /// The reserved amount.
    pub fn estimate(&self) -> Money {
        self.hold.amount
    }

    /// Records what the call cost. The record names the key, the user and the team that the
    /// reservation was made for ([`UsageRecord::with_access`]).
    ///
    /// Control characters in texts of the record are escaped, and long texts are cut.
    pub fn settle(self, mut record: UsageRecord) {
        record.normalize();
        let Self { hold, slot, shared } = self;
        let (charge, amount) = hold.take();
        let queued = shared.book.lock().settle(charge, amount, record, slot);
        if queued >= BATCH {
            shared.wake.notify_one();
        }
    }
}

/// A reserved amount in a book, returned when it is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    book: SharedBook,
    charge: Charge,
    amount: Money,
}

impl Hold {
    pub(super) fn new(book: SharedBook, charge: Charge, amount: Money) -> Self {
        Self {
            book,
            charge,
            amount,
        }
    }

    /// Gives up the amount to the caller, who releases it.
    fn take(mut self) -> (Charge, Money) {
        let taken = (std::mem::take(&mut self.charge), self.amount);
        self.amount = Money::ZERO;
        taken
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.charge.capped().is_empty() {
            self.book.lock().release(&self.charge, self.amount);
        }
    }
}
