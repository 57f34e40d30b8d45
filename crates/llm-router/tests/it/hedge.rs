//! Hedged calls.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Action, Log, Upstream, call, deployment, millis, read, seconds};
use llm_provider::{ErrorKind, Provider};
use llm_router::{HedgeOptions, Router};
use tokio::time::Instant;

/// A router that uses `second` when `first` cannot serve a call, or is slow.
fn router(
    first: &Arc<Upstream>,
    second: &Arc<Upstream>,
    after: Option<Duration>,
    log: &Arc<Log>,
) -> Router {
    Router::builder()
        .with_deployments([
            deployment("group", first, "first"),
            deployment("group", second, "second").with_order(1),
        ])
        .with_hedging(HedgeOptions::default().with_after(after))
        .with_observer(Arc::clone(log) as Arc<_>)
        .build()
        .unwrap()
}

/// Sends a call in one piece or streamed: the deployment that served it.
async fn serve(router: &Router, is_streamed: bool) -> Result<String, ErrorKind> {
    let metadata = if is_streamed {
        let stream = router.stream(call("group")).await;
        let stream = stream.map_err(|error| error.kind())?;
        let metadata = stream.metadata.clone();
        assert!(read(stream).await.1.is_none());
        metadata
    } else {
        let reply = router.send(call("group")).await;
        reply.map_err(|error| error.kind())?.metadata
    };
    Ok(metadata.deployment.unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_second_deployment_answers_for_a_slow_one() {
    for is_streamed in [false, true] {
        let (slow, fast) = (
            Upstream::healthy(seconds(10)),
            Upstream::healthy(millis(50)),
        );
        let log = Arc::new(Log::default());
        let router = router(&slow, &fast, Some(millis(200)), &log);
        let begin = Instant::now();
        assert_eq!(serve(&router, is_streamed).await.unwrap(), "second");
        assert_eq!(begin.elapsed(), millis(250));
        assert_eq!((slow.calls(), slow.running()), (1, 0), "it is cancelled");
        let health = router.snapshot();
        let counts: Vec<u64> = health.iter().map(|health| health.counts.total()).collect();
        assert_eq!(counts, [0, 15], "only one reply counts");
        assert_eq!(health[0].in_flight + health[1].in_flight, 0);
        let mut events = log.events();
        events.retain(|event| !event.starts_with("first output"));
        assert_eq!(
            events,
            [
                "picked first 1",
                "picked second 2",
                "LostRace { deployment: \"first\", latency: 250ms }",
                "finished second Some(15) None 50ms",
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_fast_deployment_is_alone() {
    for is_streamed in [false, true] {
        let (fast, other) = (Upstream::healthy(millis(50)), Upstream::healthy(millis(1)));
        let router = router(&fast, &other, Some(millis(200)), &Arc::default());
        for _ in 0..10 {
            assert_eq!(serve(&router, is_streamed).await.unwrap(), "first");
        }
        assert_eq!((fast.calls(), other.calls()), (10, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_one_attempt_leaves_the_other_one() {
    let (fails, replies) = (Action::Fail(ErrorKind::Transport), Action::Reply(10, 5));
    // The first attempt takes 300 ms; the second one begins after 100 ms.
    for (first, (latency, second), expected) in [
        (fails, (300, replies), Ok("second")),
        (replies, (50, fails), Ok("first")),
        (fails, (50, fails), Err(ErrorKind::Transport)),
        (fails, (300, fails), Err(ErrorKind::Transport)),
    ] {
        for is_streamed in [false, true] {
            let first = Upstream::new(move |_| (millis(300), first));
            let second = Upstream::new(move |_| (millis(latency), second));
            let router = router(&first, &second, Some(millis(100)), &Arc::default());
            let served = serve(&router, is_streamed).await;
            assert_eq!(served.as_deref().map_err(|kind| *kind), expected);
            assert_eq!((first.calls(), second.calls()), (1, 1));
            let health = router.snapshot();
            let failures: u64 = health.iter().map(|health| health.failures).sum();
            assert_eq!(failures, if expected.is_ok() { 1 } else { 2 });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_learned_from_the_calls_of_the_group() {
    let first = Upstream::new(|number| match number {
        0..40 => (millis(100), Action::Reply(10, 5)),
        _ => (seconds(60), Action::Reply(10, 5)),
    });
    let second = Upstream::healthy(millis(10));
    let router = router(&first, &second, None, &Arc::default());
    for _ in 0..40 {
        assert_eq!(serve(&router, false).await.unwrap(), "first");
    }
    let begin = Instant::now();
    assert_eq!(serve(&router, false).await.unwrap(), "second");
    assert!((millis(110)..millis(140)).contains(&begin.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_slow_upstream_gets_few_additional_calls() {
    let (first, second) = (Upstream::healthy(seconds(1)), Upstream::healthy(seconds(1)));
    let router = router(&first, &second, Some(millis(1)), &Arc::default());
    for _ in 0..1000 {
        serve(&router, false).await.unwrap();
    }
    assert!(second.calls() <= 601, "{} additional calls", second.calls());
}
