//! Mistakes that a gateway could have, to see that the invariants find them.

use std::time::Duration;

use gateway_store::{
    CacheOptions, KeyCache, KeySettings, Ledger, LedgerOptions, UsageFilter, UsageRecord,
};
use tokio::time::sleep;

use super::client::secret;
use super::plan::{BUDGET, PARALLEL, RATE};
use super::world::World;

/// A mistake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Bug {
    /// The requests per minute of a key are not limited.
    NoRateLimit,
    /// The parallel requests of a key are not limited.
    NoParallelLimit,
    /// The budget of a key is not enforced.
    NoBudget,
    /// A call never returns what it reserved of a budget.
    ReservationKept,
    /// A record is written a second time, with another id.
    RecordTwice,
    /// The call of a client that left is not cancelled upstream.
    CallNotCancelled,
    /// The upstream counts a token that the gateway does not record.
    TokenNotRecorded,
}

impl Bug {
    /// All mistakes, with what the invariants say of each.
    pub(super) const ALL: [(Self, &str); 7] = [
        (Self::NoRateLimit, "requests in "),
        (Self::NoParallelLimit, "parallel requests at gateway"),
        (Self::NoBudget, "key 1: "),
        (Self::ReservationKept, "is left, and"),
        (Self::RecordTwice, "has 2 records"),
        (Self::CallNotCancelled, "still runs upstream"),
        (Self::TokenNotRecorded, "upstream, "),
    ];

    /// Leaves out a limit of a key.
    pub(super) fn change(self, key: usize, settings: &mut KeySettings) {
        match (self, key) {
            (Self::NoRateLimit, RATE) => settings.limits.rpm_limit = None,
            (Self::NoParallelLimit, PARALLEL) => settings.limits.max_parallel_requests = None,
            (Self::NoBudget, BUDGET) => settings.limits.max_budget = None,
            _ => {}
        }
    }

    /// Whether the upstreams keep a call whose client has left.
    pub(super) fn keeps_calls(self) -> bool {
        self == Self::CallNotCancelled
    }

    /// The tokens that the upstream counts besides those that it reports.
    pub(super) fn hidden_tokens(self) -> u64 {
        u64::from(self == Self::TokenNotRecorded)
    }

    /// Makes the mistakes of the ledger, after the requests of a history.
    pub(super) async fn strike(self, world: &World) {
        match self {
            Self::ReservationKept => {
                let cache = KeyCache::new(&world.store, CacheOptions::default())
                    .await
                    .unwrap();
                let access = cache
                    .find(secret(BUDGET).as_bytes())
                    .await
                    .unwrap()
                    .unwrap();
                let ledger = ledger(world).await;
                if let Ok(reservation) = ledger
                    .reserve(access.charge(), "0.001".parse().unwrap())
                    .await
                {
                    std::mem::forget(reservation);
                }
                // Its process lives on.
                std::mem::forget(ledger);
            }
            Self::RecordTwice => {
                let filter = UsageFilter::default();
                let reports = world.store.reports();
                let records = reports.records(&filter, None, 1).await.unwrap();
                let Some(record) = records.first() else {
                    return;
                };
                let mut copy = UsageRecord::new("another id", record.started_at);
                copy.session_id.clone_from(&record.session_id);
                let ledger = ledger(world).await;
                let charge = gateway_store::Charge::default();
                let reservation = ledger
                    .reserve(charge, gateway_store::Money::ZERO)
                    .await
                    .unwrap();
                reservation.settle(copy);
                ledger.close().await.unwrap();
            }
            _ => {}
        }
    }
}

async fn ledger(world: &World) -> Ledger {
    let ledger = Ledger::new(&world.store, LedgerOptions::default())
        .await
        .unwrap();
    // The gateway returns what it leased and does not use.
    sleep(Duration::from_secs(2)).await;
    ledger
}
