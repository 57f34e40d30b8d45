//! PostgreSQL that stops, hangs or loses connections.
#![cfg(feature = "postgres")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use gateway_store::{
    CacheOptions, ErrorKind, Health, KeyCache, Ledger, LedgerOptions, Money, SpendBy, Store,
    StoreOptions, UsageFilter,
};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use self::common::{
    Place, access, dollars, eventually, key_with_budget, ledger, record, server, settings, spend,
};

const NEEDS: &str = "a store at PostgreSQL through a proxy";

/// What the proxy does with connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Pass,
    /// Closes all of them.
    Cut,
    /// Keeps them, and passes nothing on.
    Freeze,
}

/// A proxy in front of PostgreSQL.
struct Proxy {
    mode: watch::Sender<Mode>,
    url: String,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (user, upstream) = parts();
        let address = listener.local_addr().unwrap();
        let mode = watch::Sender::new(Mode::Pass);
        let modes = mode.subscribe();
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else {
                    return;
                };
                tokio::spawn(pass(client, upstream.clone(), modes.clone()));
            }
        });
        Self {
            mode,
            url: format!("postgres://{user}{address}"),
        }
    }

    fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    async fn open(&self, place: &Place, timeout: Duration) -> Store {
        let place = Place::of_server(&self.url, place.schema());
        let options = StoreOptions::default().with_timeout(timeout);
        Store::open(&place.url, options).await.expect(NEEDS)
    }
}

/// The `user@` and the address of the server.
fn parts() -> (String, String) {
    let server = server();
    let rest = server.split_once("://").expect("a URL").1;
    match rest.rsplit_once('@') {
        Some((user, address)) => (format!("{user}@"), address.to_owned()),
        None => (String::new(), rest.to_owned()),
    }
}

async fn pass(mut client: TcpStream, upstream: String, mut modes: watch::Receiver<Mode>) {
    if *modes.borrow_and_update() == Mode::Cut {
        return;
    }
    let mut upstream = TcpStream::connect(upstream).await.unwrap();
    loop {
        let mode = *modes.borrow_and_update();
        match mode {
            Mode::Cut => return,
            Mode::Freeze => {
                if modes.changed().await.is_err() {
                    return;
                }
                // Bytes sent before are lost with the connection.
                return;
            }
            Mode::Pass => {}
        }
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut upstream) => return,
            changed = modes.changed() => if changed.is_err() { return },
        }
    }
}

const PATIENT: Duration = Duration::from_secs(20);
const HASTY: Duration = Duration::from_secs(2);

async fn cache(store: &Store) -> KeyCache {
    let options = CacheOptions::default().with_poll_interval(Duration::from_millis(100));
    KeyCache::new(store, options).await.unwrap()
}

async fn an_outage_is_not_an_outage_of_the_gateway(mode: Mode, timeout: Duration) {
    let place = Place::postgres().await;
    let direct = place.open().await;
    let proxy = Proxy::start().await;
    let store = proxy.open(&place, timeout).await;
    let (cache, ledger) = (cache(&store).await, ledger(&store).await);
    let known = direct
        .keys()
        .generate(settings(|s| s.limits.max_budget = Some(dollars("100"))))
        .await
        .unwrap();
    let other = direct.keys().generate(settings(|_| {})).await.unwrap();
    let find = async |secret: &llm_provider::ApiKey| cache.find(secret.expose().as_bytes()).await;
    cache.refresh().await.unwrap();
    let found = find(&known.secret).await.unwrap().unwrap();
    let reserve = async |cents| {
        let estimate = dollars("0.01").times(cents);
        ledger.reserve(found.charge(), estimate).await
    };
    reserve(1)
        .await
        .unwrap()
        .settle(record(&found, "before", "0.01"));
    ledger.flush().await.unwrap();

    proxy.set(mode);
    // A known key works, and calls are settled; the lease covers the first ones.
    for index in 0..50 {
        assert!(find(&known.secret).await.unwrap().is_some());
        let reservation = reserve(1).await.unwrap();
        reservation.settle(record(&found, format!("during-{index}"), "0.01"));
    }
    let error = find(&other.secret).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(ledger.flush().await.is_err());
    assert_eq!(*store.health().borrow(), Health::Unavailable);
    // Without the database, no more than the overdraft.
    let error = reserve(200).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExceeded, "{error}");
    direct
        .keys()
        .set_blocked(&known.key.hash, true)
        .await
        .unwrap();

    proxy.set(Mode::Pass);
    eventually("everything is written", async || {
        ledger.flush().await.is_ok()
    })
    .await;
    assert_eq!(spend(&direct, &found).await, dollars("0.51"));
    eventually("the block is seen", async || {
        let found = find(&known.secret).await;
        found.is_ok_and(|found| found.is_some_and(|access| access.key.settings.limits.blocked))
    })
    .await;
    assert!(find(&other.secret).await.unwrap().is_some());
    eventually("the store is healthy", async || {
        *store.health().borrow() == Health::Available
    })
    .await;
    drop((ledger, cache, store, direct));
    place.remove().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: cargo xtask ci --only services"]
async fn known_keys_work_while_postgresql_is_down() {
    an_outage_is_not_an_outage_of_the_gateway(Mode::Cut, PATIENT).await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: cargo xtask ci --only services"]
async fn known_keys_work_while_postgresql_hangs() {
    an_outage_is_not_an_outage_of_the_gateway(Mode::Freeze, HASTY).await;
}

/// Connections are cut at any moment, also between a commit and its answer.
#[tokio::test]
#[ignore = "needs a PostgreSQL server: cargo xtask ci --only services"]
async fn connections_that_are_cut_neither_lose_nor_repeat_a_record() {
    let place = Place::postgres().await;
    let direct = place.open().await;
    let proxy = Proxy::start().await;
    let store = proxy.open(&place, PATIENT).await;
    let key = key_with_budget(&direct, "1000").await;
    let options = LedgerOptions::default().with_flush_interval(Duration::from_millis(1));
    let ledger = Ledger::new(&store, options).await.unwrap();
    let free = access(&direct, settings(|_| {})).await;
    let mut settled = 0;
    for round in 0..40_u64 {
        for index in 0..20 {
            let access = if index % 2 == 0 { &key } else { &free };
            let estimate = dollars("0.01");
            let Ok(reservation) = ledger.reserve(access.charge(), estimate).await else {
                continue;
            };
            settled += 1;
            reservation.settle(record(access, format!("r{round}-{index}"), "0.01"));
        }
        // A different moment of the batch each time.
        tokio::time::sleep(Duration::from_micros(round * 150)).await;
        proxy.set(Mode::Cut);
        tokio::task::yield_now().await;
        proxy.set(Mode::Pass);
    }
    eventually("everything is written", async || {
        ledger.flush().await.is_ok()
    })
    .await;
    let rows = direct
        .reports()
        .spend(&[SpendBy::Provider], &UsageFilter::default())
        .await;
    let row = &rows.unwrap()[0];
    assert_eq!(
        (row.requests, row.cost),
        (settled, dollars("0.01").times(settled))
    );
    let sum = spend(&direct, &key).await + spend(&direct, &free).await;
    assert_eq!(sum, row.cost);
    assert!(row.cost > Money::ZERO);
    drop((ledger, store, direct));
    place.remove().await;
}
