//! Three routers of one state.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use futures_util::{StreamExt, stream};
use llm_provider::endpoint::Chat;
use llm_provider::{
    Call, Capabilities, Chunk, Document, Error, ErrorKind, Metadata, Provider, Reply, ReplyEvent,
    ReplyStream, Result,
};
use llm_types::Usage;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::time::{Instant, advance, sleep};

use super::fickle;
use crate::{
    AffinityOptions, CacheOptions, Deployment, RateLimits, RouteOptions, Router, RouterBuilder,
    SharedState,
};

/// An upstream that reports a part of the tokens that a call may use.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    /// When calls began, and what they used.
    pub(super) calls: Mutex<Vec<(Instant, u64)>>,
    failure: Mutex<Option<ErrorKind>>,
    /// The percentage of `max_tokens` that a reply has.
    part: u64,
    latency: Duration,
}

impl Upstream {
    fn count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    fn fail(&self, failure: Option<ErrorKind>) {
        *self.failure.lock().unwrap() = failure;
    }

    fn begin(&self, call: &Call) -> Result<u64> {
        let used = call.body.u64("max_tokens").unwrap_or(0) * self.part / 100;
        self.calls.lock().unwrap().push((Instant::now(), used));
        match *self.failure.lock().unwrap() {
            Some(kind) => Err(Error::new(kind, "failed")),
            None => Ok(used),
        }
    }
}

#[derive(Debug)]
struct Account(Arc<Upstream>);

impl Provider for Account {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        let used = self.0.begin(&call);
        Box::pin(async move {
            sleep(self.0.latency).await;
            let usage = Usage::new(0, used?);
            let body = serde_json::json!({ "id": "id", "choices": [], "usage": usage });
            Ok(Reply::new(
                Document::new(&body),
                Metadata::new("memory", "m"),
            ))
        })
    }

    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        let used = self.0.begin(&call);
        Box::pin(async move {
            let body = Document::from_bytes(r#"{"id":"c","choices":[{"delta":{"content":"x"}}]}"#);
            let chunk = Chunk::new(body).with_output(true).with_finish(true);
            let last = Document::from_bytes(r#"{"id":"c","choices":[]}"#);
            let last = Chunk::new(last).with_usage(Usage::new(0, used?));
            let events = [chunk, last].map(ReplyEvent::Chunk).map(Ok);
            Ok(ReplyStream::new(
                Metadata::new("memory", "m"),
                stream::iter(events),
            ))
        })
    }
}

pub(super) fn deployment(id: &str, upstream: &Arc<Upstream>, limits: RateLimits) -> Deployment {
    Deployment::new("group", Arc::new(Account(Arc::clone(upstream))), "m")
        .with_id(id)
        .with_limits(limits)
}

pub(super) fn call(tokens: u64) -> Call {
    let body = format!(r#"{{"model":"group","messages":[],"max_tokens":{tokens}}}"#);
    Call::new(&Chat, Document::from_bytes(body))
}

/// Three routers of the same deployments, of one state.
fn routers(shared: &SharedState, build: impl Fn() -> RouterBuilder) -> [Router; 3] {
    std::array::from_fn(|_| build().with_shared_state(shared.clone()).build().unwrap())
}

/// The most that any half-open window of a minute holds.
pub(super) fn fullest_window(calls: &[(Instant, u64)]) -> u64 {
    let minute = Duration::from_secs(60);
    let from = |begin: Instant| {
        let inside = calls
            .iter()
            .filter(|(at, _)| (begin..begin + minute).contains(at));
        inside.map(|(_, used)| used).sum()
    };
    calls.iter().map(|(at, _)| from(*at)).max().unwrap_or(0)
}

/// A step of a load: the pause before it in ms, the router that gets the calls, their number, and the
/// percentage of the limit that each may use.
type Step = (u64, usize, usize, u64);

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec((0..20_000_u64, 0..3_usize, 1..8_usize, 1..40_u64), 1..60)
}

/// The calls that reach an upstream through three routers.
pub(super) async fn load(
    shares: [SharedState; 3],
    rpm: u64,
    tpm: u64,
    part: u64,
    steps: &[Step],
) -> Vec<(Instant, u64)> {
    let upstream = Arc::new(Upstream {
        part,
        latency: Duration::from_millis(700),
        ..Upstream::default()
    });
    let limits = RateLimits::default().with_rpm(rpm).with_tpm(tpm);
    let routers = shares.map(|shared| {
        let router = Router::builder()
            .with_deployments([deployment("one", &upstream, limits.clone())])
            .with_shared_state(shared);
        router.build().unwrap()
    });
    for (pause, router, count, percent) in steps {
        sleep(Duration::from_millis(*pause)).await;
        let calls = (0..*count).map(|_| routers[*router].send(call((tpm * percent / 100).max(1))));
        for reply in join_all(calls).await {
            if let Err(error) = reply {
                assert_eq!(error.kind(), ErrorKind::RateLimited);
                assert!(error.retry_after().is_some());
            }
        }
    }
    let calls = upstream.calls.lock().unwrap();
    calls.clone()
}

/// Runs a future on a simulated clock.
pub(super) fn simulate<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn three_routers_exceed_no_limit_in_any_minute(
        rpm in 1..40_u64,
        tpm in 100..10_000_u64,
        part in 0..=100_u64,
        steps in steps(),
    ) {
        simulate(async {
            let shared = SharedState::memory();
            let calls = load(std::array::from_fn(|_| shared.clone()), rpm, tpm, part, &steps).await;
            let requests: Vec<_> = calls.iter().map(|(at, _)| (*at, 1)).collect();
            assert!(fullest_window(&requests) <= rpm);
            assert!(fullest_window(&calls) <= tpm);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn three_routers_reach_four_fifths_of_a_limit_together() {
    let upstream = Arc::new(Upstream::default());
    let limits = RateLimits::default().with_rpm(60);
    let routers = routers(&SharedState::memory(), || {
        Router::builder().with_deployments([deployment("one", &upstream, limits.clone())])
    });
    for step in 0..6000 {
        sleep(Duration::from_millis(100)).await;
        let _ = routers[step % 3].send(call(1)).await;
    }
    let count = upstream.count();
    assert!((480..=600).contains(&count), "{count} in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_call_asks_once_before_it_is_sent_and_reports_once_after() {
    let upstream = Arc::new(Upstream {
        part: 50,
        ..Upstream::default()
    });
    let limits = RateLimits::default().with_rpm(600).with_tpm(100_000);
    let (store, shared) = fickle();
    let router = Router::builder()
        .with_deployments(["a", "b", "c"].map(|id| deployment(id, &upstream, limits.clone())))
        .with_affinity(AffinityOptions::default())
        .with_cache(CacheOptions::default().with_shared(true))
        .with_shared_state(shared)
        .build()
        .unwrap();
    for tokens in 1..=10 {
        router.send(call(tokens)).await.unwrap();
    }
    let asked = (store.begun.load(SeqCst), store.ended.load(SeqCst));
    assert_eq!(asked, (10, 10));
}

#[tokio::test(start_paused = true)]
async fn a_cooldown_and_its_probe_hold_for_all() {
    let upstream = Arc::new(Upstream::default());
    upstream.fail(Some(ErrorKind::Auth));
    let routers = routers(&SharedState::memory(), || {
        Router::builder().with_deployments([deployment("one", &upstream, RateLimits::default())])
    });
    routers[0].send(call(1)).await.unwrap_err();
    for router in &routers {
        let error = router.send(call(1)).await.unwrap_err();
        assert_eq!(error.code(), Some("deployments_cooling_down"));
        let [health] = &router.snapshot()[..] else {
            panic!()
        };
        let (cause, _) = health.cooldown.unwrap();
        assert_eq!(cause, ErrorKind::Auth);
    }
    assert_eq!(upstream.count(), 1);
    // One probe of all routers, and the next cooldown is twice as long.
    advance(Duration::from_secs(5)).await;
    join_all(routers.iter().map(|router| router.send(call(1)))).await;
    assert_eq!(upstream.count(), 2);
    advance(Duration::from_secs(9)).await;
    join_all(routers.iter().map(|router| router.send(call(1)))).await;
    assert_eq!(upstream.count(), 2);
    // Another router's probe ends it for all.
    upstream.fail(None);
    advance(Duration::from_secs(1)).await;
    routers[1].send(call(1)).await.unwrap();
    for router in &routers {
        router.send(call(1)).await.unwrap();
        assert_eq!(router.snapshot()[0].cooldown, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_stays_at_its_deployment_in_all_routers() {
    let upstreams: [_; 8] = std::array::from_fn(|_| Arc::new(Upstream::default()));
    let routers = routers(&SharedState::memory(), || {
        let deployments = upstreams
            .iter()
            .enumerate()
            .map(|(id, upstream)| deployment(&id.to_string(), upstream, RateLimits::default()));
        Router::builder()
            .with_deployments(deployments)
            .with_affinity(AffinityOptions::default())
    });
    let send = async |turn: usize| {
        let route = RouteOptions::default().with_session("s".to_owned());
        let reply = routers[turn % 3].send_with(call(1), route).await.unwrap();
        reply.metadata.deployment.unwrap().parse::<usize>().unwrap()
    };
    let first = send(0).await;
    for turn in 0..12 {
        assert_eq!(send(turn).await, first);
    }
    // It moves when its deployment fails, for all.
    upstreams[first].fail(Some(ErrorKind::Auth));
    let second = send(1).await;
    assert_ne!(second, first);
    upstreams[first].fail(None);
    for turn in 0..12 {
        assert_eq!(send(turn).await, second);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_and_a_stream_of_one_router_are_cached_for_all() {
    let upstream = Arc::new(Upstream {
        part: 100,
        ..Upstream::default()
    });
    let routers = routers(&SharedState::memory(), || {
        Router::builder()
            .with_deployments([deployment("one", &upstream, RateLimits::default())])
            .with_cache(CacheOptions::default().with_shared(true))
    });
    let first = routers[0].send(call(7)).await.unwrap();
    for router in &routers[1..] {
        for _ in 0..2 {
            let reply = router.send(call(7)).await.unwrap();
            assert_eq!(reply.body.bytes(), first.body.bytes());
            assert_eq!(reply.metadata.extra["cache"], "hit");
            assert_eq!(reply.metadata.deployment.as_deref(), Some("one"));
        }
    }
    assert_eq!(upstream.count(), 1);
    let read = async |router: &Router| -> Vec<_> {
        let stream = router.stream(call(7)).await.unwrap();
        let chunks = stream.map(|event| match event.unwrap() {
            ReplyEvent::Chunk(chunk) => {
                let usage = chunk.usage().map(Usage::total);
                (
                    chunk.bytes().clone(),
                    chunk.has_output(),
                    chunk.is_finish(),
                    usage,
                )
            }
            other => panic!("{other:?}"),
        });
        chunks.collect().await
    };
    let chunks = read(&routers[0]).await;
    assert_eq!(read(&routers[2]).await, chunks);
    assert_eq!((chunks.len(), upstream.count()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn without_the_state_each_router_keeps_the_limits_by_itself() {
    let upstream = Arc::new(Upstream::default());
    let limits = RateLimits::default().with_rpm(50);
    let (store, shared) = fickle();
    let routers = routers(&shared, || {
        Router::builder().with_deployments([deployment("one", &upstream, limits.clone())])
    });
    let admitted = async || {
        let calls = routers
            .iter()
            .flat_map(|router| (0..100).map(|_| router.send(call(1))));
        let replies = join_all(calls).await;
        replies.into_iter().filter(Result::is_ok).count()
    };
    assert_eq!(admitted().await, 10);
    // The routers that were refused know that the burst is used up.
    store.is_down.store(true, SeqCst);
    assert_eq!(admitted().await, 0);
    advance(Duration::from_secs(60)).await;
    assert_eq!(admitted().await, 30);
    store.is_down.store(false, SeqCst);
    advance(Duration::from_secs(60)).await;
    assert_eq!(admitted().await, 10);
}

#[tokio::test(start_paused = true)]
async fn what_other_routers_use_counts_for_the_strategy() {
    let upstream = Arc::new(Upstream {
        part: 100,
        ..Upstream::default()
    });
    let routers = routers(&SharedState::memory(), || {
        let limits = RateLimits::default().with_tpm(100_000);
        Router::builder()
            .with_deployments(["a", "b"].map(|id| deployment(id, &upstream, limits.clone())))
            .with_strategy(Arc::new(crate::UsageBased))
    });
    let mut served = std::collections::BTreeMap::<String, usize>::new();
    for turn in 0..60 {
        let reply = routers[turn % 3].send(call(10)).await.unwrap();
        *served
            .entry(reply.metadata.deployment.unwrap())
            .or_default() += 1;
    }
    assert!(
        served.values().all(|count| (25..=35).contains(count)),
        "{served:?}"
    );
}

#[test]
fn an_address_that_cannot_be_used_is_an_error_without_its_password() {
    for url in [
        "",
        "redis:",
        "http://h",
        "rediss://:hunter2@h:port",
        "redis://:hunter2@h:port",
    ] {
        let error = SharedState::redis(url).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        if cfg!(not(feature = "redis")) {
            assert!(error.contains("--features full"), "{error}");
        }
    }
}
