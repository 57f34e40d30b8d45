//! Random histories of calls over several gateways: the ledger equals a model of it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gateway_store::{
    Access, Ledger, LedgerOptions, Money, OwnerKind, Reservation, SpendBy, Store, UsageFilter,
    UsageRecord,
};
use proptest::prelude::*;

use self::common::{Place, TestClock, access, dollars, settings, team};

const GATEWAYS: usize = 3;
const KEYS: usize = 3;

/// The budgets of the keys; the last key has none. The first two are of the team.
const BUDGETS: [Option<&str>; KEYS] = [Some("0.5"), Some("2"), None];
const TEAM: &str = "1.5";

#[derive(Clone, Debug)]
enum Step {
    /// Reserves so many cents with a key at a gateway.
    Reserve {
        gateway: usize,
        key: usize,
        cents: u64,
    },
    /// Settles a reservation at a part of its estimate, in percent.
    Settle {
        call: usize,
        percent: u64,
    },
    /// Settles a reservation under the request id of an earlier one.
    Repeat {
        call: usize,
        earlier: usize,
    },
    Cancel {
        call: usize,
    },
    Flush {
        gateway: usize,
    },
    Close {
        gateway: usize,
    },
    /// Ends a gateway without warning, and starts another one in its place.
    Crash {
        gateway: usize,
    },
    Wait {
        seconds: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let gateway = 0..GATEWAYS;
    let step = prop_oneof![
        8 => (gateway.clone(), 0..KEYS, 0..40_u64)
            .prop_map(|(gateway, key, cents)| Step::Reserve { gateway, key, cents }),
        6 => (0..64_usize, 0..=100_u64).prop_map(|(call, percent)| Step::Settle { call, percent }),
        1 => (0..64_usize, 0..64_usize).prop_map(|(call, earlier)| Step::Repeat { call, earlier }),
        2 => (0..64_usize).prop_map(|call| Step::Cancel { call }),
        2 => gateway.clone().prop_map(|gateway| Step::Flush { gateway }),
        1 => gateway.clone().prop_map(|gateway| Step::Close { gateway }),
        1 => gateway.prop_map(|gateway| Step::Crash { gateway }),
        2 => (0..40_u64).prop_map(|seconds| Step::Wait { seconds }),
    ];
    prop::collection::vec(step, 1..80)
}

/// A call that is not settled yet.
struct Open {
    gateway: usize,
    key: usize,
    reservation: Reservation,
}

/// What the ledger must say.
#[derive(Default)]
struct Model {
    written: BTreeMap<String, (usize, Money)>,
    /// Settled at a gateway, and perhaps not written yet.
    pending: Vec<(usize, String, usize, Money)>,
}

impl Model {
    fn write(&mut self, gateway: usize) {
        let pending = std::mem::take(&mut self.pending);
        for (at, id, key, cost) in pending {
            if at == gateway {
                self.written.entry(id).or_insert((key, cost));
            } else {
                self.pending.push((at, id, key, cost));
            }
        }
    }

    fn spend(&self, keys: &[usize]) -> Money {
        let costs = self.written.values().filter(|(key, _)| keys.contains(key));
        costs.map(|(_, cost)| *cost).sum()
    }
}

struct World {
    clock: TestClock,
    url: String,
    stores: Vec<Store>,
    ledgers: Vec<Ledger>,
    keys: Vec<Access>,
    open: Vec<Open>,
    model: Model,
    requests: usize,
}

impl World {
    async fn new(place: &Place) -> Self {
        let clock = TestClock::default();
        let store = place.open_at(&clock).await;
        team(&store, "t", |s| s.limits.max_budget = Some(dollars(TEAM))).await;
        let mut keys = Vec::new();
        for budget in BUDGETS {
            let settings = settings(|s| {
                s.limits.max_budget = budget.map(dollars);
                s.team_id = budget.map(|_| "t".to_owned());
            });
            keys.push(access(&store, settings).await);
        }
        let (mut stores, mut ledgers) = (Vec::new(), Vec::new());
        for _ in 0..GATEWAYS {
            let store = place.open_at(&clock).await;
            ledgers.push(start(&store).await);
            stores.push(store);
        }
        let (open, model) = (Vec::new(), Model::default());
        Self {
            clock,
            url: place.url.clone(),
            stores,
            ledgers,
            keys,
            open,
            model,
            requests: 0,
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Reserve {
                gateway,
                key,
                cents,
            } => {
                let estimate = dollars("0.01").times(cents);
                let charge = self.keys[key].charge();
                match self.ledgers[gateway].reserve(charge, estimate).await {
                    Ok(reservation) => self.open.push(Open {
                        gateway,
                        key,
                        reservation,
                    }),
                    Err(error) => assert_eq!(
                        error.kind(),
                        gateway_store::ErrorKind::BudgetExceeded,
                        "{error}"
                    ),
                }
            }
            Step::Settle { call, percent } => {
                self.requests += 1;
                let id = format!("r{}", self.requests);
                self.settle(call, id, percent);
            }
            Step::Repeat { call, earlier } => {
                let earlier = earlier % (self.requests + 1);
                self.settle(call, format!("r{earlier}"), 100);
            }
            Step::Cancel { call } => drop(self.pick(call)),
            Step::Flush { gateway } => {
                self.ledgers[gateway].flush().await.unwrap();
                self.model.write(gateway);
            }
            Step::Close { gateway } => {
                self.ledgers[gateway].close().await.unwrap();
                self.model.write(gateway);
            }
            Step::Crash { gateway } => self.crash(gateway).await,
            Step::Wait { seconds } => self.clock.advance(Duration::from_secs(seconds)),
        }
    }

    fn settle(&mut self, call: usize, id: String, percent: u64) {
        let Some(open) = self.pick(call) else { return };
        let nanos = open.reservation.estimate().nanos() / 100;
        let cost = Money::from_nanos(nanos).times(percent);
        let record = UsageRecord::new(&*id, self.clock.now())
            .with_access(&self.keys[open.key])
            .with_cost(cost);
        open.reservation.settle(record);
        self.model.pending.push((open.gateway, id, open.key, cost));
    }

    fn pick(&mut self, call: usize) -> Option<Open> {
        match self.open.len() {
            0 => None,
            count => Some(self.open.swap_remove(call % count)),
        }
    }

    /// What was settled is written or not, as with a process that is killed; its leases stay.
    async fn crash(&mut self, gateway: usize) {
        let store = Store::open(&self.url, common::options(&self.clock))
            .await
            .unwrap();
        let ledger = start(&store).await;
        // Nothing is dropped: that would return leases and write records.
        std::mem::forget(std::mem::replace(&mut self.ledgers[gateway], ledger));
        std::mem::forget(std::mem::replace(&mut self.stores[gateway], store));
        let open = std::mem::take(&mut self.open);
        for call in open {
            match call.gateway == gateway {
                true => std::mem::forget(call),
                false => self.open.push(call),
            }
        }
        self.model.pending.retain(|(at, ..)| *at != gateway);
    }

    /// Compares the database with the model.
    async fn check(&self) {
        let store = &self.stores[0];
        for (index, access) in self.keys.iter().enumerate() {
            let expected = self.model.spend(&[index]);
            assert_eq!(common::spend(store, access).await, expected, "key {index}");
            if let Some(budget) = BUDGETS[index] {
                assert!(expected <= dollars(budget), "key {index}: {expected}");
            }
        }
        let team = store.owners().get(OwnerKind::Team, "t").await.unwrap();
        let expected = self.model.spend(&[0, 1]);
        assert_eq!(team.unwrap().spend, expected);
        assert!(expected <= dollars(TEAM), "team: {expected}");
        let reports = store.reports();
        let rows = reports
            .spend(&[SpendBy::Key], &UsageFilter::default())
            .await
            .unwrap();
        let sums: BTreeMap<_, _> = rows
            .into_iter()
            .map(|row| (row.group[0].clone().unwrap(), row.cost))
            .collect();
        for (index, access) in self.keys.iter().enumerate() {
            let sum = sums.get(&access.key.id).copied().unwrap_or_default();
            assert_eq!(sum, self.model.spend(&[index]), "records of key {index}");
        }
        let records = reports
            .records(&UsageFilter::default(), None, 1000)
            .await
            .unwrap();
        let ids: BTreeSet<_> = records
            .into_iter()
            .map(|record| record.request_id)
            .collect();
        assert!(ids.iter().eq(self.model.written.keys()));
    }

    /// After all gateways ended and their leases expired, the rest of each budget is free.
    async fn check_rest(mut self) {
        self.open.clear();
        for gateway in 0..GATEWAYS {
            self.ledgers[gateway].close().await.unwrap();
            self.model.write(gateway);
        }
        self.check().await;
        let fresh = start(&self.stores[0]).await;
        let spent = self.model.spend(&[1]);
        let rest = (dollars("2") - spent).min(dollars(TEAM) - self.model.spend(&[0, 1]));
        common::eventually("the rest of the budget is free", async || {
            self.clock.advance(Duration::from_secs(31));
            fresh.reserve(self.keys[1].charge(), rest).await.is_ok()
        })
        .await;
    }
}

/// Starts a ledger that writes only on a step of the history, and renews its leases as usual.
async fn start(store: &Store) -> Ledger {
    let options = LedgerOptions::default().with_flush_interval(Duration::from_secs(24 * 3600));
    Ledger::new(store, options).await.unwrap()
}

async fn run(place: &Place, steps: Vec<Step>) {
    let mut world = World::new(place).await;
    for step in steps {
        world.take(step).await;
    }
    // What is pending was not acknowledged as written, and is not in the model yet.
    for gateway in 0..GATEWAYS {
        world.ledgers[gateway].flush().await.unwrap();
        world.model.write(gateway);
    }
    world.check().await;
    world.check_rest().await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 10, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_equals_the_model_on_sqlite(steps in steps()) {
        runtime().block_on(async { run(&Place::sqlite(), steps).await });
    }
}

#[cfg(feature = "postgres")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 10, ..ProptestConfig::default() })]

    #[test]
    #[ignore = "needs a PostgreSQL server: cargo xtask ci --only services"]
    fn the_ledger_equals_the_model_on_postgresql(steps in steps()) {
        runtime().block_on(async {
            let place = Place::postgres().await;
            run(&place, steps).await;
            place.remove().await;
        });
    }
}
