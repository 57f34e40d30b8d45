//! A gateway that is killed: what it settled a second ago is written, and written once.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gateway_store::{
    KeyCache, Ledger, LedgerOptions, Store, StoreOptions, UsageCursor, UsageFilter, UsageRecord,
};
use llm_provider::ApiKey;

use self::common::{Place, dollars, settings};

/// In the environment of the child: the URL of its database.
const URL: &str = "GATEWAY_STORE_KILLED_URL";
const SECRET: &str = "sk-0123456789abcdef";

/// The child of the tests below. It settles calls until it is killed, and prints each when it is
/// settled.
#[test]
fn child() {
    let Ok(url) = std::env::var(URL) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(&url, StoreOptions::default()).await.unwrap();
        let cache = KeyCache::new(&store, Default::default()).await.unwrap();
        let access = cache.find(SECRET.as_bytes()).await.unwrap().unwrap();
        let ledger = Ledger::new(&store, LedgerOptions::default()).await.unwrap();
        for index in 0.. {
            let id = format!("{}-{index}", std::process::id());
            let reservation = ledger
                .reserve(access.charge(), dollars("0.001"))
                .await
                .unwrap();
            let record = UsageRecord::new(&*id, store_now()).with_access(&access);
            reservation.settle(record.with_cost(dollars("0.0005")));
            let mut output = std::io::stdout().lock();
            writeln!(output, "settled {id} {}", ledger.queued()).unwrap();
            output.flush().unwrap();
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    });
}

fn store_now() -> gateway_store::Timestamp {
    std::time::SystemTime::now().into()
}

/// Runs the child for a while and kills it. Returns the ids of the calls that were settled, and
/// when their lines were read.
fn run_and_kill(url: &str, lines: usize) -> Vec<(String, Instant)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads", "1"])
        .env(URL, url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut settled = Vec::new();
    for line in output.lines().map_while(Result::ok) {
        // The first line of the child follows text of the test harness.
        let Some((_, rest)) = line.split_once("settled ") else {
            continue;
        };
        let id = rest.split(' ').next().unwrap().to_owned();
        settled.push((id, Instant::now()));
        if settled.len() == lines {
            // SIGKILL on Unix.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(settled.len() >= lines, "the child ended by itself");
    settled
}

async fn check(place: &Place) {
    let store = Store::open(&place.url, StoreOptions::default())
        .await
        .unwrap();
    let team_budget = settings(|s| s.max_budget = Some(dollars("1000")));
    let key = store
        .keys()
        .add(&ApiKey::new(SECRET), team_budget)
        .await
        .unwrap();
    let mut all = BTreeSet::new();
    for lines in [1, 400, 1500, 3000] {
        let url = place.url.clone();
        let settled = tokio::task::spawn_blocking(move || run_and_kill(&url, lines));
        let settled = settled.await.unwrap();
        let killed = settled.last().unwrap().1;
        let written = written(&store).await;
        for (id, at) in &settled {
            let age = killed.duration_since(*at);
            assert!(
                written.contains(id) || age <= PATIENCE,
                "{id} was settled {age:?} before the end, and is missing"
            );
        }
        // The queue is written in order: what is missing is the end.
        let missing = settled.iter().position(|(id, _)| !written.contains(id));
        let missing = missing.unwrap_or(settled.len());
        assert!(
            settled[missing..]
                .iter()
                .all(|(id, _)| !written.contains(id))
        );
        all.extend(written);
    }
    let info = store.keys().get(&key.hash).await.unwrap().unwrap();
    let count = u64::try_from(all.len()).unwrap();
    assert_eq!(info.spend, dollars("0.0005").times(count));
}

/// One second on a machine that is not too busy to run the child's writer.
const PATIENCE: Duration = Duration::from_secs(10);

async fn written(store: &Store) -> BTreeSet<String> {
    let (mut cursor, mut ids) = (None, BTreeSet::new());
    loop {
        let filter = UsageFilter::default();
        let page = store
            .reports()
            .records(&filter, cursor.as_ref(), 1000)
            .await
            .unwrap();
        let Some(last) = page.last() else { return ids };
        cursor = Some(UsageCursor::after(last));
        for record in page {
            assert!(ids.insert(record.request_id), "a request is listed twice");
        }
    }
}

#[tokio::test]
async fn a_killed_gateway_loses_only_its_last_moment_on_sqlite() {
    check(&Place::sqlite()).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
#[ignore = "needs a PostgreSQL server: cargo xtask ci --only services"]
async fn a_killed_gateway_loses_only_its_last_moment_on_postgresql() {
    let place = Place::postgres().await;
    check(&place).await;
    place.remove().await;
}
