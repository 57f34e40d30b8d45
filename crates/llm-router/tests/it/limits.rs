//! Limits, queues and sessions; and that a router returns everything that calls hold.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Action, Log, Upstream, call, deployment, millis, read, seconds};
use futures_util::FutureExt;
use futures_util::future::join_all;
use llm_provider::{ErrorKind, Provider};
use llm_router::{
    AffinityOptions, AttemptTimeouts, CacheOptions, HedgeOptions, LeastBusy, Prices, QueueOptions,
    RateLimits, RouteOptions, Router, STRATEGIES, strategy,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Map;
use tokio::time::{Instant, advance, sleep, timeout};

/// The most calls that began in any window of a minute.
fn fullest_minute(starts: &[Instant]) -> usize {
    let from = |begin: Instant| {
        let inside = |start: &&Instant| **start >= begin && **start < begin + seconds(60);
        starts.iter().filter(inside).count()
    };
    starts.iter().map(|start| from(*start)).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn requests_per_minute_are_kept_in_every_window_and_used() {
    let upstreams = [10_u64, 30].map(|limit| (limit, Upstream::healthy(millis(50))));
    let deployments = upstreams.iter().map(|(limit, upstream)| {
        let limits = RateLimits::default().with_rpm(*limit);
        deployment("group", upstream, &limit.to_string()).with_limits(limits)
    });
    let router = Router::new(deployments);
    let (mut served, mut told) = (0, None);
    for _ in 0..6000 {
        match router.send(call("group")).await {
            Ok(_) => {
                served += 1;
                // A wait that the router names is enough, and not too long.
                assert!(told.is_none_or(|at| Instant::now() >= at));
                told = None;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::RateLimited);
                assert_eq!(error.code(), Some("deployment_limits_reached"));
                let at = Instant::now() + error.retry_after().unwrap();
                told = Some(told.map_or(at, |before: Instant| before.min(at)));
            }
        }
        sleep(millis(100)).await;
    }
    for (limit, upstream) in &upstreams {
        let fullest = fullest_minute(&upstream.starts()) as u64;
        assert!(fullest <= *limit, "{fullest} of {limit}");
    }
    assert!(served >= 10 * 40 * 4 / 5, "{served} in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_admitted_after_its_retry_after() {
    let upstream = Upstream::healthy(millis(0));
    let limits = RateLimits::default().with_rpm(7).with_tpm(100_000);
    let router = Router::new([deployment("group", &upstream, "one").with_limits(limits)]);
    for _ in 0..50 {
        if let Err(error) = router.send(call("group")).await {
            let wait = error.retry_after().unwrap();
            advance(wait.saturating_sub(millis(2))).await;
            assert!(
                router.send(call("group")).await.is_err(),
                "refused until {wait:?}"
            );
            advance(millis(3)).await;
            router.send(call("group")).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_are_reserved_and_what_was_not_used_is_given_back() {
    // Each call reserves about 500 tokens for its reply and uses 15.
    let upstream = Upstream::healthy(millis(10));
    let limits = RateLimits::default().with_tpm(5000);
    let router = Router::new([deployment("group", &upstream, "one").with_limits(limits)]);
    let both = join_all((0..2).map(|_| router.send(call("group")))).await;
    assert_eq!(
        both.iter().filter(|reply| reply.is_ok()).count(),
        1,
        "the burst is 1000"
    );
    let mut served = 1;
    for _ in 0..40 {
        served += usize::from(router.send(call("group")).await.is_ok());
    }
    assert!(served >= 30, "{served} of 41 calls of 15 tokens");
    let counts = router.snapshot()[0].counts;
    assert_eq!(counts.total(), 15 * served as u64);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_needs_more_tokens_than_a_minute_has_is_refused_for_good() {
    let upstream = Upstream::healthy(millis(10));
    let limits = RateLimits::default().with_tpm(100);
    let router = Router::new([deployment("group", &upstream, "one").with_limits(limits)]);
    let error = router.send(call("group")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(error.retry_after(), None);
}

#[tokio::test(start_paused = true)]
async fn parallel_calls_are_limited_and_wait_in_order_of_priority() {
    let upstream = Upstream::healthy(seconds(1));
    let limits = RateLimits::default().with_max_parallel_requests(2);
    let router = Router::builder()
        .with_deployments([deployment("group", &upstream, "one").with_limits(limits)])
        .with_queue(QueueOptions::default().with_capacity(6))
        .build()
        .unwrap();
    let order = std::sync::Mutex::new(Vec::new());
    let (router, order) = (&router, &order);
    let calls = (0..9_u8).map(|number| async move {
        // The later a call arrives, the higher its priority.
        sleep(millis(u64::from(number))).await;
        let route = RouteOptions::default().with_priority(9 - number);
        let reply = router.send_with(call("group"), route).await;
        order.lock().unwrap().push(number);
        reply.map_err(|error| (number, error.kind()))
    });
    let replies = join_all(calls).await;
    let refused: Vec<_> = replies.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused, [(8, ErrorKind::RateLimited)], "the queue is full");
    assert_eq!(*order.lock().unwrap(), [8, 0, 1, 7, 6, 5, 4, 3, 2]);
    assert_eq!(upstream.peak(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_hopeless_is_refused_at_once() {
    let upstream = Upstream::healthy(millis(1));
    let limits = RateLimits::default().with_rpm(1);
    let router = Router::builder()
        .with_deployments([deployment("group", &upstream, "one").with_limits(limits)])
        .with_queue(QueueOptions::default().with_timeout(seconds(30)))
        .build()
        .unwrap();
    router.send(call("group")).await.unwrap();
    let begin = Instant::now();
    let error = router.send(call("group")).await.unwrap_err();
    assert_eq!(begin.elapsed(), millis(0));
    assert!(error.retry_after().unwrap() > seconds(59));
    advance(seconds(40)).await;
    let begin = Instant::now();
    router.send(call("group")).await.unwrap();
    assert!(begin.elapsed() > seconds(19), "it waits for its turn");
}

#[tokio::test(start_paused = true)]
async fn a_queue_drains_completely() {
    let upstream = Upstream::healthy(millis(100));
    let limits = RateLimits::default().with_max_parallel_requests(3);
    let router = Router::builder()
        .with_deployments([deployment("group", &upstream, "one").with_limits(limits)])
        .with_queue(QueueOptions::default().with_timeout(seconds(600)))
        .build()
        .unwrap();
    let calls = (0..103).map(|number| {
        let patience = if number % 3 == 0 {
            millis(number * 10)
        } else {
            seconds(3600)
        };
        timeout(patience, router.send(call("group")))
    });
    let replies = join_all(calls).await;
    let answered = replies
        .iter()
        .flatten()
        .filter(|reply| reply.is_ok())
        .count();
    assert!(answered >= 68, "{answered}: all that were not cancelled");
    assert_eq!(router.snapshot()[0].in_flight, 0);
    assert_eq!(upstream.peak(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_deployment_starves() {
    for name in STRATEGIES
        .iter()
        .filter(|name| **name != "cost-based-routing")
    {
        let speeds = [100, 150, 200, 400, 100];
        let upstreams = speeds.map(|speed| Upstream::healthy(millis(speed)));
        let ids = ["a", "b", "c", "d", "e"];
        let deployments = upstreams
            .iter()
            .zip(ids)
            .map(|(u, id)| deployment("group", u, id));
        let router = Router::builder()
            .with_deployments(deployments)
            .with_strategy(strategy(name).unwrap())
            .build()
            .unwrap();
        // Twenty callers for five minutes.
        let end = Instant::now() + seconds(300);
        let callers = (0..20).map(|_| async {
            while Instant::now() < end {
                router.send(call("group")).await.unwrap();
            }
        });
        join_all(callers).await;
        let calls = upstreams.each_ref().map(|upstream| upstream.calls());
        assert!(calls.iter().all(|calls| *calls >= 10), "{name}: {calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_cheapest_deployment_is_used_up_to_its_limit() {
    let upstreams = [0, 1, 2].map(|_| Upstream::healthy(millis(10)));
    let prices = [
        Some(Prices::new(2.0, 2.0)),
        Some(Prices::new(1.0, 1.0)),
        None,
    ];
    let ids = ["dear", "cheap", "unknown"];
    let log = Arc::new(Log::default());
    let deployments = upstreams
        .iter()
        .zip(prices)
        .zip(ids)
        .map(|((upstream, prices), id)| {
            deployment("group", upstream, id)
                .with_prices(prices)
                .with_limits(RateLimits::default().with_max_parallel_requests(2))
        });
    let router = Router::builder()
        .with_deployments(deployments)
        .with_strategy(strategy("cost-based-routing").unwrap())
        .with_observer(Arc::clone(&log) as Arc<_>)
        .build()
        .unwrap();
    join_all((0..5).map(|_| router.send(call("group")))).await;
    let calls = upstreams.each_ref().map(|upstream| upstream.calls());
    assert_eq!(calls, [2, 2, 1]);
    let costs = log
        .events()
        .into_iter()
        .filter(|event| event.starts_with("finished"));
    let mut costs: Vec<String> = costs.collect();
    costs.sort();
    assert_eq!(costs[0], "finished cheap Some(15) Some(15.0) 10ms");
    assert_eq!(costs[4], "finished unknown Some(15) None 10ms");
}

#[tokio::test(start_paused = true)]
async fn a_session_stays_at_one_deployment_until_that_fails() {
    let upstreams = [0, 1, 2, 3].map(|_| {
        Upstream::new(|number| match number {
            40.. => (millis(10), Action::FailFor(ErrorKind::Overloaded, 600)),
            _ => (millis(10), Action::Reply(10, 5)),
        })
    });
    let ids = ["a", "b", "c", "d"];
    let deployments = upstreams
        .iter()
        .zip(ids)
        .map(|(u, id)| deployment("group", u, id));
    let router = Router::builder()
        .with_deployments(deployments)
        .with_affinity(AffinityOptions::default())
        .build()
        .unwrap();
    let mut served: HashMap<String, Vec<String>> = HashMap::new();
    for number in 0..60 {
        let session = format!("session {}", number % 3);
        let route = RouteOptions::default().with_session(session.clone());
        let reply = router.send_with(call("group"), route).await.unwrap();
        served
            .entry(session)
            .or_default()
            .push(reply.metadata.deployment.unwrap());
    }
    for deployments in served.into_values() {
        let mut distinct = deployments.clone();
        distinct.dedup();
        // One deployment fails when its 40 calls are used up; the session moves once.
        assert!(distinct.len() <= 2, "{distinct:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_elsewhere_while_its_deployment_is_full_and_returns() {
    let upstreams = [0, 1].map(|_| Upstream::healthy(seconds(1)));
    let deployments = upstreams.iter().zip(["a", "b"]).map(|(upstream, id)| {
        let limits = RateLimits::default().with_max_parallel_requests(1);
        deployment("group", upstream, id).with_limits(limits)
    });
    let router = Router::builder()
        .with_deployments(deployments)
        .with_affinity(AffinityOptions::default())
        .build()
        .unwrap();
    let send = || async {
        let route = RouteOptions::default().with_session("one".to_owned());
        let reply = router.send_with(call("group"), route).await.unwrap();
        reply.metadata.deployment.unwrap()
    };
    let pinned = send().await;
    let (first, second) = tokio::join!(send(), send());
    assert_eq!(first, pinned);
    assert_ne!(second, pinned);
    assert_eq!(send().await, pinned);
}

#[tokio::test(start_paused = true)]
async fn a_call_with_tags_goes_to_a_deployment_with_one_of_them() {
    let upstreams = [0, 1].map(|_| Upstream::healthy(millis(1)));
    let router = Router::new([
        deployment("group", &upstreams[0], "a").with_tags(["free", "eu"]),
        deployment("group", &upstreams[1], "b").with_tags(["paid"]),
    ]);
    for (tags, expected) in [
        (["eu", "x"], Some("a")),
        (["paid", "x"], Some("b")),
        (["x", "y"], None),
    ] {
        let route = RouteOptions::default().with_tags(tags);
        let reply = router.send_with(call("group"), route).await;
        let served = reply
            .as_ref()
            .ok()
            .and_then(|reply| reply.metadata.deployment.as_deref());
        assert_eq!(served, expected);
        if let Err(error) = reply {
            assert_eq!(error.code(), Some("no_deployment_with_tag"));
        }
    }
}

/// One step of a history: how the upstream acts, and how the caller does.
#[derive(Clone, Copy, Debug)]
struct Step {
    latency: u64,
    act: Action,
    is_streamed: bool,
    /// How long the caller waits, in milliseconds.
    patience: u64,
    pause: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        4 => (0..2000_u64, 0..2000_u64).prop_map(|(prompt, reply)| Action::Reply(prompt, reply)),
        1 => Just(Action::Fail(ErrorKind::Overloaded)),
        1 => Just(Action::Fail(ErrorKind::InvalidRequest)),
        1 => Just(Action::FailFor(ErrorKind::RateLimited, 1)),
        1 => Just(Action::Hang),
        1 => Just(Action::Panic),
        1 => Just(Action::Stall),
        1 => Just(Action::Break(ErrorKind::Transport)),
    ];
    (0..500_u64, act, any::<bool>(), 1..1500_u64, 0..300_u64).prop_map(
        |(latency, act, is_streamed, patience, pause)| Step {
            latency,
            act,
            is_streamed,
            patience,
            pause,
        },
    )
}

/// Plays a history and returns the router when all callers are gone. `is_rich` adds hedging,
/// continuation and a cache.
async fn play(steps: Vec<Step>, is_rich: bool) -> Router {
    let script = steps.clone();
    let upstream = Upstream::new(move |number| {
        let step = script[number % script.len()];
        (millis(step.latency), step.act)
    });
    let limits = RateLimits::default()
        .with_rpm(100_000)
        .with_tpm(1_000_000)
        .with_max_parallel_requests(2);
    let timeouts = AttemptTimeouts::default().with_idle(seconds(1));
    let deployments = ["a", "b"].map(|id| {
        deployment("group", &upstream, id)
            .with_limits(limits.clone())
            .with_timeouts(timeouts)
            .with_prefill(Map::new())
    });
    let hedge = HedgeOptions::default().with_after(millis(50));
    let cache = CacheOptions::default().with_time_to_live(millis(100));
    let router = Router::builder()
        .with_deployments(deployments)
        .with_hedging(is_rich.then_some(hedge))
        .with_continuation(is_rich)
        .with_cache(is_rich.then_some(cache))
        .with_queue(QueueOptions::default().with_timeout(seconds(2)))
        .with_strategy(Arc::new(LeastBusy))
        .build()
        .unwrap();
    let mut begin = 0;
    let callers = steps.into_iter().map(|step| {
        begin += step.pause;
        let router = &router;
        let begin = begin;
        let caller = async move {
            sleep(millis(begin)).await;
            let work = async {
                if step.is_streamed {
                    if let Ok(stream) = router.stream(call("group")).await {
                        read(stream).await;
                    }
                } else {
                    let _ = router.send(call("group")).await;
                }
            };
            let _ = timeout(millis(step.patience), work).await;
        };
        std::panic::AssertUnwindSafe(caller).catch_unwind()
    });
    join_all(callers).await;
    router
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn everything_that_a_call_holds_is_returned(
        steps in vec(step(), 1..12),
        is_rich in any::<bool>(),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let health = runtime.block_on(async {
            let router = play(steps, is_rich).await;
            // Longer than any cooldown, and than any charge takes to be paid.
            advance(Duration::from_secs(3600)).await;
            router.snapshot()
        });
        for deployment in health {
            prop_assert_eq!(deployment.in_flight, 0);
            prop_assert_eq!(deployment.requests_left, Some(20_000));
            prop_assert_eq!(deployment.tokens_left, Some(200_000));
            let is_over = deployment.cooldown.is_none_or(|(_, left)| left.is_zero());
            prop_assert!(is_over);
        }
    }
}
