//! Streams whose connections break: they are resumed, or completed from the prediction's output.

use std::sync::Mutex;

use tokio::time::Instant;

use super::*;

/// The events after the one in `last-event-id`, as Replicate sends them.
fn resumed(seen: &Received) -> String {
    match seen.header("last-event-id") {
        Some(id) => events(1 + id.strip_prefix("17:").unwrap().parse::<usize>().unwrap()),
        None => events(0),
    }
}

/// Checks every position at which a stream can be cut, several at a time.
async fn at_every_cut<F: Future<Output = ()>>(check: impl Fn(usize, Response) -> F) {
    let whole = events(0);
    let checks = (0..=whole.len()).map(|cut| {
        let end = if cut % 2 == 0 { End::Close } else { End::Cut };
        check(cut, Response::sse(&whole.as_bytes()[..cut]).ending(end))
    });
    streams::iter(checks)
        .buffer_unordered(24)
        .collect::<()>()
        .await;
}

#[tokio::test]
async fn a_stream_cut_at_any_byte_is_resumed() {
    at_every_cut(async |cut, beginning| {
        let server = model(1, move |seen, before| match before {
            0 => beginning.clone(),
            _ => Response::sse(resumed(seen)),
        })
        .await;
        let outcome = outcome(&server).await;
        outcome.assert_whole();
        assert_eq!(outcome.text, text(), "cut at {cut}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_cut_at_any_byte_is_completed_from_the_output() {
    advance_in_small_steps();
    at_every_cut(async |cut, beginning| {
        // The prediction has ended at the first poll, or the stream cannot be opened again.
        let server = model(cut % 3, move |_, before| match before {
            0 => beginning.clone(),
            _ => Response::not_found(),
        })
        .await;
        let outcome = outcome(&server).await;
        outcome.assert_whole();
        assert_eq!(outcome.text, text(), "cut at {cut}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn output_that_lags_behind_the_events_is_waited_for() {
    let events = events(0);
    // All tokens, while the output of the running prediction has half of them.
    let sent = events.find("event: done").unwrap();
    let server = model(10, move |_, before| match before {
        0 => Response::sse(&events.as_bytes()[..sent]),
        _ => Response::not_found(),
    })
    .await;
    let outcome = outcome(&server).await;
    outcome.assert_whole();
    assert_eq!(outcome.text, text());
    assert!(server.count(GET) > 10);
}

#[tokio::test]
async fn a_stream_that_restarts_repeats_nothing() {
    let server = model(1, |_, before| match before {
        0 => Response::sse(&events(0).as_bytes()[..200]),
        _ => Response::sse(events(0)),
    })
    .await;
    let outcome = outcome(&server).await;
    outcome.assert_whole();
    assert_eq!((outcome.text, server.count(EVENTS)), (text(), 2));
}

#[tokio::test(start_paused = true)]
async fn events_without_ids_are_not_resumed() {
    advance_in_small_steps();
    let without_ids = |events: String| {
        let lines = events.lines().filter(|line| !line.starts_with("id:"));
        lines.fold(String::new(), |all, line| all + line + "\n")
    };
    let server = model(2, move |_, _| {
        Response::sse(&without_ids(events(0)).as_bytes()[..160])
    })
    .await;
    let outcome = outcome(&server).await;
    outcome.assert_whole();
    assert_eq!((outcome.text, server.count(EVENTS)), (text(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_after_each_output_is_resumed_at_once() {
    let server = model(TOKENS.len(), |seen, _| {
        let resumed = resumed(seen);
        // A comment and an event.
        let (end, _) = resumed.match_indices("\n\n").nth(1).unwrap();
        Response::sse(&resumed.as_bytes()[..end + 2])
    })
    .await;
    let started = Instant::now();
    let outcome = outcome(&server).await;
    assert!(started.elapsed() < Duration::from_millis(50));
    outcome.assert_whole();
    assert_eq!(
        (outcome.text, server.count(EVENTS)),
        (text(), TOKENS.len() + 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_always_breaks_is_opened_four_times_with_pauses() {
    let times = Arc::<Mutex<Vec<Instant>>>::default();
    let opened = Arc::clone(&times);
    let server = model(10, move |_, _| {
        opened.lock().unwrap().push(Instant::now());
        Response::sse(": hi\n\n")
    })
    .await;
    let outcome = outcome(&server).await;
    outcome.assert_whole();
    assert_eq!(outcome.text, text());
    let times = times.lock().unwrap();
    let has_pause = times.windows(2).map(|pair| pair[1] - pair[0] >= PAUSE);
    assert!(has_pause.eq([false, true, true]), "{times:?}");
}

/// The shortest pause.
const PAUSE: Duration = Duration::from_millis(50);
