//! Databases that cannot be used: one clear error each.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use gateway_store::{Error, ErrorKind, Health, Money, Result, Store, StoreOptions};
use rusqlite::Connection;

use self::common::{
    Place, TestClock, access, dollars, key_with_budget, ledger, options, record, settings, spend,
};

async fn open(url: &str) -> Result<Store> {
    let options = StoreOptions::default().with_timeout(Duration::from_secs(1));
    Store::open(url, options).await
}

/// The text of an error and of all its sources.
fn full(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text += &format!(" {error} {error:?}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn wrong_urls_are_rejected_without_their_password() {
    for url in [
        "",
        "sqlite:",
        "sqlite://",
        "store.db",
        "mysql://root:s3cret@localhost/db",
        "postgres//root:s3cret@localhost",
        "redis://:s3cret@localhost",
        "\u{1b}[2J",
    ] {
        let error = open(url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUrl, "{url}");
        assert!(error.to_string().starts_with("`database_url`"), "{error}");
        assert!(!full(&error).contains("s3cret"), "{url}");
    }
}

#[cfg(not(feature = "postgres"))]
#[tokio::test]
async fn postgresql_without_its_feature_is_unsupported() {
    let error = open("postgres://root:s3cret@localhost/db")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(!full(&error).contains("s3cret"));
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_wrong_postgresql_url_is_rejected_without_its_password() {
    for url in [
        "postgres://root:s3cret@localhost:port/db",
        "postgres://root:s3cret@localhost/db?unknown=1",
        "postgres://root:s3cret@localhost/db?schema=public&unknown=1",
        "postgres://",
    ] {
        let error = open(url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUrl, "{url}: {error}");
        assert!(!full(&error).contains("s3cret"), "{url}");
    }
    // Nothing listens on port 1. Prisma's parameters, as in LiteLLM's files, are ignored.
    let error = open("postgres://root:s3cret@127.0.0.1:1/db?schema=public&connection_limit=5")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!full(&error).contains("s3cret"));
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let missing = format!("sqlite:{}/missing/store.db", folder.path().display());
    let error = open(&missing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let error = open(&format!("sqlite:{}", folder.path().display()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(
        &path,
        "not a database, but long enough to be looked at\n".repeat(100),
    )
    .unwrap();
    let error = open(&url(&path)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("notes.txt"), "{error}");
}

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

fn path(place: &Place) -> &Path {
    Path::new(place.url.trim_start_matches("sqlite:"))
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_rejected() {
    let place = Place::sqlite();
    drop(place.open().await);
    let raw = Connection::open(path(&place)).unwrap();
    raw.execute("INSERT INTO gateway_migrations VALUES (99, 0)", [])
        .unwrap();
    let error = open(&place.url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooNew);
    assert!(error.to_string().contains("version 99"), "{error}");
}

#[tokio::test]
async fn a_half_migrated_database_is_rejected() {
    for damage in [
        "DROP TABLE gateway_leases",
        "DROP TABLE gateway_usage",
        "DELETE FROM gateway_migrations",
        "UPDATE gateway_migrations SET version = 0 WHERE version = 1",
        "DELETE FROM gateway_migrations; DROP TABLE gateway_keys",
    ] {
        let place = Place::sqlite();
        drop(place.open().await);
        let raw = Connection::open(path(&place)).unwrap();
        raw.execute_batch(damage).unwrap();
        let error = open(&place.url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete, "{damage}: {error}");
    }
}

#[tokio::test]
async fn gateways_that_start_at_once_migrate_once() {
    let place = Place::sqlite();
    let clock = TestClock::default();
    let open = || Store::open(&place.url, options(&clock));
    let (a, b, c) = tokio::join!(open(), open(), open());
    for store in [a, b, c] {
        store
            .unwrap()
            .keys()
            .generate(settings(|_| {}))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_locked_file_is_an_outage_that_ends_with_the_lock() {
    let place = Place::sqlite();
    let store = open(&place.url).await.unwrap();
    let key = key_with_budget(&store, "100").await;
    let ledger = ledger(&store).await;
    let reservation = ledger.reserve(key.charge(), dollars("1")).await.unwrap();
    let raw = Connection::open(path(&place)).unwrap();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.keys().generate(settings(|_| {})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    assert!(error.is_outage() && error.to_string().contains("another process"));
    assert_eq!(*store.health().borrow(), Health::Unavailable);
    // The lease still covers calls; what they cost is queued.
    reservation.settle(record(&key, "a", "1"));
    for id in ["b", "c", "d"] {
        let reservation = ledger.reserve(key.charge(), dollars("0.5")).await.unwrap();
        reservation.settle(record(&key, id, "0.5"));
    }
    assert!(ledger.flush().await.is_err());
    assert_eq!(ledger.queued(), 4);
    raw.execute_batch("ROLLBACK").unwrap();
    ledger.flush().await.unwrap();
    assert_eq!(ledger.queued(), 0);
    assert_eq!(spend(&store, &key).await, dollars("2.5"));
    assert_eq!(*store.health().borrow(), Health::Available);
}

#[tokio::test]
async fn calls_without_a_lease_are_bounded_while_the_file_is_locked() {
    let place = Place::sqlite();
    let store = open(&place.url).await.unwrap();
    let key = key_with_budget(&store, "1000").await;
    let ledger = ledger(&store).await;
    let raw = Connection::open(path(&place)).unwrap();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(ledger.reserve(key.charge(), dollars("0.1")).await.unwrap());
    }
    let error = ledger
        .reserve(key.charge(), dollars("0.1"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
    raw.execute_batch("ROLLBACK").unwrap();
    drop(held);
    ledger.flush().await.unwrap();
    let again = ledger.reserve(key.charge(), dollars("5")).await;
    assert!(again.is_ok(), "{again:?}");
}

#[tokio::test]
async fn a_ledger_holds_at_most_its_capacity() {
    let place = Place::sqlite();
    let store = open(&place.url).await.unwrap();
    let key = access(&store, settings(|_| {})).await;
    let options = gateway_store::LedgerOptions::default().with_capacity(10);
    let ledger = gateway_store::Ledger::new(&store, options).await.unwrap();
    let raw = Connection::open(path(&place)).unwrap();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    for index in 0..10 {
        let reservation = ledger.reserve(key.charge(), Money::ZERO).await.unwrap();
        reservation.settle(record(&key, format!("r{index}"), "1"));
    }
    let error = ledger.reserve(key.charge(), Money::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QueueFull);
    raw.execute_batch("ROLLBACK").unwrap();
    ledger.flush().await.unwrap();
    assert_eq!(spend(&store, &key).await, dollars("10"));
    assert!(ledger.reserve(key.charge(), Money::ZERO).await.is_ok());
}

#[tokio::test]
async fn a_row_that_was_edited_by_hand_is_corrupt_and_harms_no_other() {
    let place = Place::sqlite();
    let store = open(&place.url).await.unwrap();
    let (good, bad) = (
        store.keys().generate(settings(|_| {})).await.unwrap(),
        store.keys().generate(settings(|_| {})).await.unwrap(),
    );
    let raw = Connection::open(path(&place)).unwrap();
    let sql = "UPDATE gateway_keys SET data = '{' WHERE id = ?1";
    raw.execute(sql, [&bad.key.id]).unwrap();
    let error = store.keys().get(&bad.key.hash).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(store.keys().get(&good.key.hash).await.unwrap().is_some());
}

#[tokio::test]
async fn estimates_outside_of_the_range_are_rejected() {
    let place = Place::sqlite();
    let store = open(&place.url).await.unwrap();
    let key = key_with_budget(&store, "1").await;
    let ledger = ledger(&store).await;
    for estimate in [Money::from_nanos(-1), Money::from_nanos(i64::MAX)] {
        let error = ledger.reserve(key.charge(), estimate).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
