//! Responses that are kept for later requests.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use gateway_store::{ErrorKind, ResponseOptions, ResponseState, Responses, StoredResponse};

use self::common::{Place, TestClock};

on_every_database!(
    a_response_is_found_by_its_owner_only,
    a_history_is_complete_or_missing,
    a_history_is_bounded,
    responses_expire,
    the_oldest_responses_make_room,
    a_running_response_is_finished_once,
    a_running_response_without_a_process_is_abandoned,
);

fn response(id: &str, previous: Option<&str>) -> StoredResponse {
    StoredResponse::new(
        "key-1",
        id,
        format!("[\"in {id}\"]"),
        "{\"a\": \"\\u0000é\"}",
    )
    .with_previous(previous.map(str::to_owned))
}

async fn kept(place: &Place) -> (Responses, TestClock) {
    let clock = TestClock::default();
    let store = place.open_at(&clock).await;
    (store.responses(ResponseOptions::default()), clock)
}

async fn a_response_is_found_by_its_owner_only(place: &Place) {
    let (kept, _) = kept(place).await;
    let one = response("r1", None);
    kept.put(one.clone()).await.unwrap();
    assert_eq!(kept.get("key-1", "r1").await.unwrap(), Some(one.clone()));
    for owner in ["", "key-2", "' OR 1=1 --"] {
        assert_eq!(kept.get(owner, "r1").await.unwrap(), None);
        assert_eq!(kept.history(owner, "r1").await.unwrap(), None);
        assert!(!kept.delete(owner, "r1").await.unwrap());
        assert!(!kept.renew(owner, "r1").await.unwrap());
    }
    let error = kept.put(one).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(kept.delete("key-1", "r1").await.unwrap());
    assert!(!kept.delete("key-1", "r1").await.unwrap());
    assert_eq!(kept.get("key-1", "r1").await.unwrap(), None);
    // No text shows what was said.
    let shown = format!("{:?} {kept:?}", response("r1", None));
    assert!(
        !shown.contains("in r1") && shown.contains("\"r1\""),
        "{shown}"
    );
}

async fn a_history_is_complete_or_missing(place: &Place) {
    let (kept, _) = kept(place).await;
    for (id, previous) in [
        ("a", None),
        ("b", Some("a")),
        ("c", Some("b")),
        ("fork", Some("a")),
        ("orphan", Some("deleted")),
    ] {
        kept.put(response(id, previous)).await.unwrap();
    }
    let ids = async |id: &str| {
        let found = kept.history("key-1", id).await.unwrap();
        found.map(|found| found.into_iter().map(|one| one.id).collect::<Vec<_>>())
    };
    assert_eq!(ids("c").await.unwrap(), ["a", "b", "c"]);
    assert_eq!(ids("fork").await.unwrap(), ["a", "fork"]);
    assert_eq!(ids("orphan").await, None);
    assert_eq!(ids("nothing").await, None);
    kept.delete("key-1", "a").await.unwrap();
    assert_eq!(ids("c").await, None);
}

async fn a_history_is_bounded(place: &Place) {
    let store = place.open().await;
    let kept = store.responses(ResponseOptions::default().with_max_history(100));
    for (id, previous) in [("a", None), ("b", Some("a")), ("c", Some("b"))] {
        let half = StoredResponse::new("key-1", id, "[]", "x".repeat(48));
        let half = half.with_previous(previous.map(str::to_owned));
        kept.put(half).await.unwrap();
    }
    let found = kept.history("key-1", "b").await.unwrap().unwrap();
    assert_eq!(found.len(), 2);
    let error = kept.history("key-1", "c").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    let large = StoredResponse::new("key-1", "large", "[]", "x".repeat(100));
    kept.put(large).await.unwrap();
    let error = kept.history("key-1", "large").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

async fn responses_expire(place: &Place) {
    let clock = TestClock::default();
    let store = place.open_at(&clock).await;
    let hour = Duration::from_secs(3600);
    let kept = store.responses(ResponseOptions::default().with_time_to_live(hour));
    kept.put(response("a", None)).await.unwrap();
    clock.advance(hour - Duration::from_millis(1));
    kept.clean().await.unwrap();
    kept.put(response("b", Some("a"))).await.unwrap();
    assert!(kept.history("key-1", "b").await.unwrap().is_some());
    clock.advance(Duration::from_millis(1));
    assert_eq!(kept.get("key-1", "a").await.unwrap(), None);
    assert_eq!(kept.history("key-1", "b").await.unwrap(), None);
    assert!(kept.get("key-1", "b").await.unwrap().is_some());
    kept.clean().await.unwrap();
    // Its id is free: it was deleted.
    kept.put(response("a", None)).await.unwrap();
}

async fn the_oldest_responses_make_room(place: &Place) {
    let clock = TestClock::default();
    let store = place.open_at(&clock).await;
    let kept = store.responses(ResponseOptions::default().with_max_bytes(1000));
    for id in ["a", "b", "c", "d"] {
        clock.advance(Duration::from_millis(1));
        let long = StoredResponse::new("key-1", id, "[]", "x".repeat(398));
        kept.put(long).await.unwrap();
    }
    kept.clean().await.unwrap();
    for (id, is_kept) in [("a", false), ("b", false), ("c", true), ("d", true)] {
        assert_eq!(
            kept.get("key-1", id).await.unwrap().is_some(),
            is_kept,
            "{id}"
        );
    }
    let large = StoredResponse::new("key-1", "e", "[]", "x".repeat(1000));
    let error = kept.put(large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    // Nothing made room for it.
    assert!(kept.get("key-1", "c").await.unwrap().is_some());
}

async fn a_running_response_is_finished_once(place: &Place) {
    let (kept, _) = kept(place).await;
    let running = response("r1", None).with_state(ResponseState::Running);
    kept.put(running.clone()).await.unwrap();
    assert!(kept.renew("key-1", "r1").await.unwrap());
    let found = kept.get("key-1", "r1").await.unwrap();
    assert_eq!(found, Some(running));
    assert!(
        kept.finish("key-1", "r1", "{\"b\": 1}".into())
            .await
            .unwrap()
    );
    assert!(
        !kept
            .finish("key-1", "r1", "{\"b\": 2}".into())
            .await
            .unwrap()
    );
    assert!(!kept.renew("key-1", "r1").await.unwrap());
    let found = kept.get("key-1", "r1").await.unwrap().unwrap();
    assert_eq!(
        (found.response.as_str(), found.state),
        ("{\"b\": 1}", ResponseState::Ended)
    );
}

async fn a_running_response_without_a_process_is_abandoned(place: &Place) {
    let (kept, clock) = kept(place).await;
    let running = response("r1", None).with_state(ResponseState::Running);
    kept.put(running).await.unwrap();
    let state = async || kept.get("key-1", "r1").await.unwrap().unwrap().state;
    clock.advance(Responses::ABANDONED_AFTER - Duration::from_millis(1));
    assert_eq!(state().await, ResponseState::Running);
    clock.advance(Duration::from_millis(1));
    assert_eq!(state().await, ResponseState::Abandoned);
    // The process was only slow.
    assert!(kept.renew("key-1", "r1").await.unwrap());
    assert_eq!(state().await, ResponseState::Running);
}
