//! Reservations, budgets and usage records.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use gateway_store::{
    ErrorKind, Ledger, LedgerOptions, Money, OwnerKind, SpendBy, UsageCursor, UsageFilter,
    UsageOutcome, UsageRecord, write_csv,
};

use self::common::{
    Place, TestClock, access, dollars, eventually, key_with_budget, ledger, record, settings,
    spend, team,
};

on_every_database!(
    a_record_is_kept_as_it_was_settled,
    a_request_is_charged_once,
    settled_calls_are_written_without_a_flush,
    many_records_are_written_in_order,
    a_budget_refuses_the_call_that_could_exceed_it,
    a_dropped_reservation_is_returned,
    a_soft_budget_allows_calls_and_is_reported,
    the_budget_of_a_team_binds_all_its_keys,
    two_gateways_share_a_budget,
    the_leases_of_a_crashed_gateway_come_back,
    a_gateway_that_was_away_for_long_keeps_its_reservations,
    a_budget_begins_again_after_its_period,
    a_changed_maximum_counts_for_the_next_call,
    spend_is_summed_by_groups,
    records_are_listed_in_pages,
    old_records_are_deleted,
    texts_of_clients_are_bounded,
);

async fn a_record_is_kept_as_it_was_settled(place: &Place) {
    let store = place.open().await;
    let found = access(
        &store,
        settings(|s| {
            s.key_alias = Some("prod".into());
            s.tags = vec!["a".into(), "b".into()];
        }),
    )
    .await;
    let mut record = record(&found, "request-1", "0.000000123");
    record.duration_ms = 1234;
    record.first_token_ms = Some(56);
    record.endpoint = "chat".into();
    record.model_group = "llama".into();
    record.model = "meta/llama-3".into();
    record.provider = "together_ai".into();
    record.deployment = "d1".into();
    record.end_user = Some("somebody".into());
    record.session_id = Some("s1".into());
    (record.input_tokens, record.cached_tokens) = (100, 64);
    (record.output_tokens, record.reasoning_tokens) = (50, 20);
    record.predict_ms = Some(900);
    record.outcome = UsageOutcome::Cancelled;
    (record.is_streamed, record.is_estimated) = (true, true);
    record.attempts = 3;
    let ledger = ledger(&store).await;
    let reservation = ledger.reserve(found.charge(), Money::ZERO).await.unwrap();
    reservation.settle(record.clone());
    ledger.flush().await.unwrap();
    let filter = UsageFilter::default();
    let records = store.reports().records(&filter, None, 10).await.unwrap();
    assert_eq!(records, [record]);
    assert_eq!(spend(&store, &found).await, dollars("0.000000123"));
    let mut csv = Vec::new();
    write_csv(&records, &mut csv).unwrap();
    assert!(String::from_utf8(csv).unwrap().contains("request-1"));
}

async fn a_request_is_charged_once(place: &Place) {
    let store = place.open().await;
    let key = key_with_budget(&store, "10").await;
    let (one, other) = (ledger(&store).await, ledger(&store).await);
    for ledger in [&one, &one, &other] {
        for id in ["a", "b"] {
            let reservation = ledger.reserve(key.charge(), dollars("1")).await.unwrap();
            reservation.settle(record(&key, id, "1"));
        }
        ledger.flush().await.unwrap();
    }
    assert_eq!(spend(&store, &key).await, dollars("2"));
    // What was reserved for the repetitions is free again.
    one.close().await.unwrap();
    other.close().await.unwrap();
    let rest = one.reserve(key.charge(), dollars("8")).await;
    assert!(rest.is_ok(), "{rest:?}");
}

async fn settled_calls_are_written_without_a_flush(place: &Place) {
    let store = place.open().await;
    let key = key_with_budget(&store, "10").await;
    let ledger = ledger(&store).await;
    let reservation = ledger.reserve(key.charge(), dollars("1")).await.unwrap();
    reservation.settle(record(&key, "a", "0.5"));
    eventually("the record is written", async || {
        spend(&store, &key).await == dollars("0.5") && ledger.queued() == 0
    })
    .await;
    // A ledger that is dropped writes what is left.
    let reservation = ledger.reserve(key.charge(), dollars("1")).await.unwrap();
    drop(ledger);
    reservation.settle(record(&key, "b", "0.25"));
    eventually("the last record is written", async || {
        spend(&store, &key).await == dollars("0.75")
    })
    .await;
}

async fn many_records_are_written_in_order(place: &Place) {
    let store = place.open().await;
    let key = access(&store, settings(|_| {})).await;
    let ledger = ledger(&store).await;
    for index in 0..1234 {
        let reservation = ledger.reserve(key.charge(), Money::ZERO).await.unwrap();
        reservation.settle(record(&key, format!("r{index}"), "0.001"));
    }
    ledger.flush().await.unwrap();
    assert_eq!(spend(&store, &key).await, dollars("1.234"));
    let rows = store
        .reports()
        .spend(&[], &UsageFilter::default())
        .await
        .unwrap();
    assert_eq!((rows[0].requests, rows[0].cost), (1234, dollars("1.234")));
}

async fn a_budget_refuses_the_call_that_could_exceed_it(place: &Place) {
    let clock = TestClock::default();
    let store = place.open_at(&clock).await;
    let key = key_with_budget(&store, "1").await;
    let ledger = ledger(&store).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(ledger.reserve(key.charge(), dollars("0.1")).await.unwrap());
    }
    let refused = ledger.reserve(key.charge(), dollars("0.000000001")).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
    assert!(error.to_string().contains("budget of the key"), "{error}");
    // Cheaper than estimated: the difference is free for the next call, at once.
    let first = held.pop().unwrap();
    first.settle(record(&key, "a", "0.04"));
    let next = ledger.reserve(key.charge(), dollars("0.06")).await.unwrap();
    // Dearer than estimated: that is paid, and the next call is refused.
    next.settle(record(&key, "b", "0.09"));
    drop(held);
    ledger.flush().await.unwrap();
    assert_eq!(spend(&store, &key).await, dollars("0.13"));
    clock.advance(Duration::from_secs(2));
    assert!(ledger.reserve(key.charge(), dollars("0.88")).await.is_err());
    clock.advance(Duration::from_secs(2));
    assert!(ledger.reserve(key.charge(), dollars("0.87")).await.is_ok());
}

async fn a_dropped_reservation_is_returned(place: &Place) {
    let store = place.open().await;
    let key = key_with_budget(&store, "1").await;
    let ledger = ledger(&store).await;
    for _ in 0..5 {
        let all = ledger.reserve(key.charge(), dollars("1")).await.unwrap();
        assert!(ledger.reserve(key.charge(), dollars("1")).await.is_err());
        drop(all);
    }
    ledger.flush().await.unwrap();
    assert_eq!(spend(&store, &key).await, Money::ZERO);
}

async fn a_soft_budget_allows_calls_and_is_reported(place: &Place) {
    let store = place.open().await;
    let found = access(
        &store,
        settings(|s| s.limits.soft_budget = Some(dollars("1"))),
    )
    .await;
    let ledger = ledger(&store).await;
    for (id, exceeded) in [("a", 0), ("b", 0), ("c", 1)] {
        let reservation = ledger.reserve(found.charge(), dollars("0.5")).await;
        reservation.unwrap().settle(record(&found, id, "0.5"));
        ledger.flush().await.unwrap();
        let soft = store.reports().soft_exceeded().await.unwrap();
        assert_eq!(soft.len(), exceeded, "{id}");
        if let [(budget, spend)] = soft.as_slice() {
            assert_eq!((budget.kind(), *spend), ("key", dollars("1.5")));
        }
    }
}

async fn the_budget_of_a_team_binds_all_its_keys(place: &Place) {
    let store = place.open().await;
    team(&store, "t", |s| s.limits.max_budget = Some(dollars("1"))).await;
    let key = |budget: &'static str| {
        settings(|s| {
            s.team_id = Some("t".into());
            s.limits.max_budget = Some(dollars(budget));
        })
    };
    let (small, large) = (
        access(&store, key("0.3")).await,
        access(&store, key("5")).await,
    );
    let ledger = ledger(&store).await;
    let reserve = async |access: &gateway_store::Access, amount| {
        ledger.reserve(access.charge(), dollars(amount)).await
    };
    let one = reserve(&small, "0.3").await.unwrap();
    let error = reserve(&small, "0.1").await.unwrap_err().to_string();
    assert!(error.contains("budget of the key"), "{error}");
    let other = reserve(&large, "0.7").await.unwrap();
    let error = reserve(&large, "0.1").await.unwrap_err().to_string();
    assert!(error.contains("budget of the team"), "{error}");
    one.settle(record(&small, "a", "0.3"));
    other.settle(record(&large, "b", "0.6"));
    ledger.flush().await.unwrap();
    let info = store
        .owners()
        .get(OwnerKind::Team, "t")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(info.spend, dollars("0.9"));
}

async fn two_gateways_share_a_budget(place: &Place) {
    let (one, other) = (place.open().await, place.open().await);
    let key = key_with_budget(&one, "1").await;
    let ledgers = [ledger(&one).await, ledger(&other).await];
    let mut granted = 0;
    for index in 0..200 {
        let ledger = &ledgers[index % 2];
        let Ok(reservation) = ledger.reserve(key.charge(), dollars("0.01")).await else {
            continue;
        };
        granted += 1;
        reservation.settle(record(&key, format!("r{index}"), "0.01"));
    }
    for ledger in &ledgers {
        ledger.close().await.unwrap();
    }
    assert_eq!(spend(&one, &key).await, dollars("0.01").times(granted));
    assert!((85..=100).contains(&granted), "{granted}");
}

async fn the_leases_of_a_crashed_gateway_come_back(place: &Place) {
    let clock = TestClock::default();
    let store = place.open_at(&clock).await;
    let key = key_with_budget(&store, "1").await;
    let crashed = ledger(&store).await;
    let held = crashed.reserve(key.charge(), dollars("1")).await.unwrap();
    // As a killed process: it neither returns its leases nor writes any more.
    std::mem::forget(held);
    let ledger = ledger(&store).await;
    assert!(ledger.reserve(key.charge(), dollars("0.5")).await.is_err());
    clock.advance(Duration::from_secs(31));
    eventually("the lease is free", async || {
        clock.advance(Duration::from_secs(31));
        ledger.reserve(key.charge(), dollars("0.5")).await.is_ok()
    })
    .await;
}

async fn a_gateway_that_was_away_for_long_keeps_its_reservations(place: &Place) {
    let clock = TestClock::default();
    let store = place.open_at(&clock).await;
    let key = key_with_budget(&store, "1").await;
    // It does not write by itself, as a process that is stopped.
    let options = LedgerOptions::default().with_flush_interval(Duration::from_secs(3600));
    let away = Ledger::new(&store, options).await.unwrap();
    let held = away.reserve(key.charge(), dollars("0.6")).await.unwrap();
    let other = ledger(&store).await;
    eventually("its leases are removed", async || {
        clock.advance(Duration::from_secs(31));
        other.reserve(key.charge(), dollars("0.9")).await.is_ok()
    })
    .await;
    other.close().await.unwrap();
    held.settle(record(&key, "a", "0.6"));
    let held = away.reserve(key.charge(), dollars("0.3")).await.unwrap();
    away.flush().await.unwrap();
    assert_eq!(spend(&store, &key).await, dollars("0.6"));
    clock.advance(Duration::from_secs(2));
    assert!(other.reserve(key.charge(), dollars("0.2")).await.is_err());
    drop(held);
}

async fn a_budget_begins_again_after_its_period(place: &Place) {
    let clock = TestClock::default();
    let store = place.open_at(&clock).await;
    let key = access(
        &store,
        settings(|s| {
            s.limits.max_budget = Some(dollars("1"));
            s.limits.budget_duration = Some("1h".parse().unwrap());
        }),
    )
    .await;
    let ledger = ledger(&store).await;
    let reservation = ledger.reserve(key.charge(), dollars("1")).await.unwrap();
    reservation.settle(record(&key, "a", "1"));
    ledger.flush().await.unwrap();
    assert!(ledger.reserve(key.charge(), dollars("1")).await.is_err());
    clock.advance(Duration::from_secs(3600 * 5 / 2));
    eventually("the budget begins again", async || {
        spend(&store, &key).await == Money::ZERO
    })
    .await;
    clock.advance(Duration::from_secs(2));
    let reservation = ledger.reserve(key.charge(), dollars("1")).await.unwrap();
    reservation.settle(record(&key, "b", "0.5"));
    ledger.flush().await.unwrap();
    let info = store.keys().get_by_id(&key.key.id).await.unwrap().unwrap();
    assert_eq!(info.spend, dollars("0.5"));
    // Periods follow each other without a shift.
    let start = TestClock::default().now();
    let next = start.after(Duration::from_secs(3 * 3600));
    assert_eq!(info.budget_reset_at, Some(next));
}

async fn a_changed_maximum_counts_for_the_next_call(place: &Place) {
    let clock = TestClock::default();
    let store = place.open_at(&clock).await;
    let key = key_with_budget(&store, "1").await;
    let ledger = ledger(&store).await;
    let _held = ledger.reserve(key.charge(), dollars("1")).await.unwrap();
    assert!(ledger.reserve(key.charge(), dollars("1")).await.is_err());
    let raise = |s: &mut gateway_store::KeySettings| s.limits.max_budget = Some(dollars("2"));
    store.keys().update(&key.key.hash, raise).await.unwrap();
    clock.advance(Duration::from_secs(2));
    assert!(ledger.reserve(key.charge(), dollars("1")).await.is_ok());
}

async fn spend_is_summed_by_groups(place: &Place) {
    let store = place.open().await;
    team(&store, "t", |_| {}).await;
    let with_team = access(&store, settings(|s| s.team_id = Some("t".into()))).await;
    let without = access(&store, settings(|_| {})).await;
    let ledger = ledger(&store).await;
    for (index, access, cost, estimated) in [
        (0, &with_team, "0.1", false),
        (1, &with_team, "0.2", true),
        (2, &without, "0.4", false),
    ] {
        let mut record = record(access, format!("r{index}"), cost);
        (record.input_tokens, record.output_tokens) = (10, 1);
        record.is_estimated = estimated;
        let day = Duration::from_secs(24 * 3600 * index);
        record.started_at = record.started_at.after(day);
        let reservation = ledger.reserve(access.charge(), Money::ZERO).await.unwrap();
        reservation.settle(record);
    }
    ledger.flush().await.unwrap();
    let reports = store.reports();
    let all = UsageFilter::default();
    let rows = reports.spend(&[SpendBy::Team], &all).await.unwrap();
    let mut sums: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.group[0].as_deref(),
                row.cost,
                row.estimated_cost,
                row.input_tokens,
            )
        })
        .collect();
    sums.sort();
    assert_eq!(
        sums,
        [
            (None, dollars("0.4"), Money::ZERO, 10),
            (Some("t"), dollars("0.3"), dollars("0.2"), 20),
        ]
    );
    let rows = reports
        .spend(&[SpendBy::Day, SpendBy::Key], &all)
        .await
        .unwrap();
    let days: Vec<_> = rows
        .iter()
        .map(|row| row.group[0].as_deref().unwrap())
        .collect();
    assert_eq!(days, ["2025-11-13", "2025-11-14", "2025-11-15"]);
    let mut filter = UsageFilter::default();
    filter.key_id = Some(with_team.key.id.clone());
    filter.to = Some(TestClock::default().now().after(Duration::from_secs(1)));
    let rows = reports.spend(&[], &filter).await.unwrap();
    assert_eq!((rows[0].requests, rows[0].cost), (1, dollars("0.1")));
    filter.key_id = Some("nobody".into());
    assert_eq!(reports.spend(&[], &filter).await.unwrap()[0].requests, 0);
    assert!(
        reports
            .spend(&[SpendBy::User], &filter)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn records_are_listed_in_pages(place: &Place) {
    let store = place.open().await;
    let key = access(&store, settings(|_| {})).await;
    let ledger = ledger(&store).await;
    for index in 0..7_u64 {
        let mut record = record(&key, format!("r{index}"), "0");
        // Two records at each moment.
        record.started_at = record.started_at.after(Duration::from_secs(index / 2));
        let reservation = ledger.reserve(key.charge(), Money::ZERO).await.unwrap();
        reservation.settle(record);
    }
    ledger.flush().await.unwrap();
    let (mut cursor, mut found) = (None, Vec::new());
    loop {
        let filter = UsageFilter::default();
        let page = store
            .reports()
            .records(&filter, cursor.as_ref(), 3)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(UsageCursor::after(last));
        found.extend(page.into_iter().map(|record| record.request_id));
    }
    assert_eq!(found, ["r6", "r5", "r4", "r3", "r2", "r1", "r0"]);
}

async fn old_records_are_deleted(place: &Place) {
    let store = place.open().await;
    let key = access(&store, settings(|_| {})).await;
    let ledger = ledger(&store).await;
    let start = TestClock::default().now();
    for index in 0..4 {
        let at = start.after(Duration::from_secs(index));
        let record = UsageRecord::new(format!("r{index}"), at).with_access(&key);
        let reservation = ledger.reserve(key.charge(), Money::ZERO).await.unwrap();
        reservation.settle(record.with_cost(dollars("1")));
    }
    ledger.flush().await.unwrap();
    let moment = start.after(Duration::from_secs(3));
    assert_eq!(store.reports().delete_before(moment).await.unwrap(), 3);
    assert_eq!(store.reports().delete_before(moment).await.unwrap(), 0);
    assert_eq!(spend(&store, &key).await, dollars("4"));
}

async fn texts_of_clients_are_bounded(place: &Place) {
    let store = place.open().await;
    let key = access(&store, settings(|_| {})).await;
    let ledger = ledger(&store).await;
    let mut record = record(&key, "a\0b\u{1b}[2J", "-5");
    record.end_user = Some("x".repeat(1_000_000));
    record.session_id = Some("'; DROP TABLE gateway_usage; --".into());
    record.tags = vec!["t".repeat(10_000); 10_000];
    record.input_tokens = u64::MAX;
    let reservation = ledger.reserve(key.charge(), Money::ZERO).await.unwrap();
    reservation.settle(record);
    ledger.flush().await.unwrap();
    let filter = UsageFilter::default();
    let found = store.reports().records(&filter, None, 10).await.unwrap();
    let found = &found[0];
    assert_eq!(found.request_id, "a\\0b\\u{1b}[2J");
    assert_eq!(found.cost, Money::ZERO);
    assert_eq!(found.input_tokens, i64::MAX as u64);
    assert!(found.end_user.as_ref().unwrap().len() < 1000);
    assert!(found.tags.len() == 100 && found.tags[0].len() < 1000);
    assert_eq!(
        found.session_id.as_deref(),
        Some("'; DROP TABLE gateway_usage; --")
    );
}

/// The clock of tokio, on which intervals run, stands still while the database works.
#[tokio::test(start_paused = true)]
async fn a_settled_call_is_written_within_a_second() {
    let place = Place::sqlite();
    let store = place.open().await;
    let key = access(&store, settings(|_| {})).await;
    let ledger = ledger(&store).await;
    for round in 1..=10 {
        for index in 0..500 {
            let reservation = ledger.reserve(key.charge(), Money::ZERO).await.unwrap();
            reservation.settle(record(&key, format!("r{round}-{index}"), "0.001"));
        }
        assert!(ledger.queued() > 0);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(ledger.queued(), 0);
        assert_eq!(spend(&store, &key).await, dollars("0.5").times(round));
    }
}
