//! A gateway that is killed: the records that left its queue are in the database, each once.
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
use std::time::Duration;

use gateway_store::{
    Access, KeyCache, Ledger, LedgerOptions, Store, StoreOptions, Timestamp, UsageCursor,
    UsageFilter, UsageRecord,
};
use llm_provider::ApiKey;

use self::common::{Place, access, dollars, settings};

/// In the environment of the child: the URL of its database.
const URL: &str = "GATEWAY_STORE_KILLED_URL";
const SECRET: &str = "sk-0123456789abcdef";

/// Settles calls until it is killed, and prints each with the length of the queue. Without a
/// database of a parent, it settles a few.
#[tokio::test]
#[ignore = "started by the tests of this file"]
async fn child() {
    let url = std::env::var(URL);
    let calls = url.as_ref().map_or(100, |_| usize::MAX);
    let options = StoreOptions::default();
    let store = Store::open(url.as_deref().unwrap_or("sqlite::memory:"), options);
    let store = store.await.unwrap();
    let cache = KeyCache::new(&store, Default::default()).await.unwrap();
    let access = match cache.find(SECRET.as_bytes()).await.unwrap() {
        Some(known) => Access::clone(&known),
        None => access(&store, settings(|_| {})).await,
    };
    let ledger = Ledger::new(&store, LedgerOptions::default()).await.unwrap();
    for index in 0..calls {
        let id = format!("{}-{index}", std::process::id());
        let reservation = ledger
            .reserve(access.charge(), dollars("0.001"))
            .await
            .unwrap();
        let record = UsageRecord::new(&*id, Timestamp::default()).with_access(&access);
        reservation.settle(record.with_cost(dollars("0.0005")));
        let mut output = std::io::stdout().lock();
        writeln!(output, "settled {id} {}", ledger.queued()).unwrap();
        output.flush().unwrap();
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    ledger.close().await.unwrap();
    assert_eq!(ledger.queued(), 0);
}

/// Runs the child for a while and kills it. Returns the ids of the calls that were settled, and
/// how many of them had left the queue.
fn run_and_kill(url: &str, lines: usize) -> (Vec<String>, usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "child",
            "--exact",
            "--ignored",
            "--nocapture",
            "--test-threads",
            "1",
        ])
        .env(URL, url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (mut settled, mut left) = (Vec::new(), 0);
    for line in output.lines().map_while(Result::ok) {
        // The first line of the child follows text of the test harness.
        let Some((_, rest)) = line.split_once("settled ") else {
            continue;
        };
        // The last line may be cut.
        let Some((id, queued)) = rest.split_once(' ') else {
            break;
        };
        settled.push(id.to_owned());
        left = left.max(settled.len() - queued.parse::<usize>().unwrap_or(settled.len()));
        if settled.len() == lines {
            // SIGKILL on Unix.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(settled.len() >= lines, "the child ended by itself");
    (settled, left)
}

async fn check(place: &Place) {
    let store = Store::open(&place.url, StoreOptions::default())
        .await
        .unwrap();
    let budget = settings(|s| s.limits.max_budget = Some(dollars("1000")));
    let key = store
        .keys()
        .add(&ApiKey::new(SECRET), budget)
        .await
        .unwrap();
    let mut all = BTreeSet::new();
    for lines in [1, 400, 1500, 3000] {
        let url = place.url.clone();
        let killed = tokio::task::spawn_blocking(move || run_and_kill(&url, lines));
        let (settled, left) = killed.await.unwrap();
        all = written(&store).await;
        let count = settled.iter().take_while(|id| all.contains(*id)).count();
        assert!(
            count >= left,
            "{left} had left the queue, {count} are written"
        );
        // What is missing is the end, so that nothing old is.
        assert!(settled[count..].iter().all(|id| !all.contains(id)));
    }
    // The children wrote by themselves, between the kills.
    assert!(all.len() > 500, "{}", all.len());
    let info = store.keys().get(&key.hash).await.unwrap().unwrap();
    let count = u64::try_from(all.len()).unwrap();
    assert_eq!(info.spend, dollars("0.0005").times(count));
}

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
