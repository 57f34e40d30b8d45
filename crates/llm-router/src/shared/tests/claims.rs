//! Calls with a claim: the limits of a caller and of a deployment in one exchange.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use llm_provider::ErrorKind;

use super::fickle;
use super::routers::{Upstream, call, deployment};
use crate::{
    AffinityOptions, CacheOptions, RateClaim, RateHolder, RateLeft, RateLimiter, RateLimits,
    RouteOptions, Router, SharedState,
};

fn router(upstream: &Arc<Upstream>, shared: Option<SharedState>) -> Router {
    let limits = RateLimits::default().with_rpm(600).with_tpm(100_000);
    let mut router = Router::builder()
        .with_deployments(["a", "b"].map(|id| deployment(id, upstream, limits.clone())))
        .with_affinity(AffinityOptions::default())
        .with_cache(CacheOptions::default().with_shared(true));
    if let Some(shared) = shared {
        router = router.with_shared_state(shared);
    }
    router.build().unwrap()
}

fn holders() -> [RateHolder; 2] {
    [
        RateHolder::new("key").with_rpm(5).with_tpm(1000),
        RateHolder::new("team").with_rpm(50),
    ]
}

fn claim(limiter: &RateLimiter) -> RateClaim {
    limiter.claim(&holders(), 10).unwrap()
}

/// Sends a call; whether it was admitted.
async fn send(router: &Router, claim: &RateClaim, tokens: u64, streams: bool) -> bool {
    let route = RouteOptions::default().with_claim(claim.clone());
    let sent = match streams {
        true => router.stream_with(call(tokens), route).await.map(drop),
        false => router.send_with(call(tokens), route).await.map(drop),
    };
    match sent {
        Ok(()) => {
            assert_eq!(claim.refusal(), None);
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
            let refusal = claim.refusal().expect("the holders refuse the call");
            assert_eq!(
                (refusal.holder, refusal.is_tokens, refusal.limit),
                (0, false, 5)
            );
            assert!(refusal.retry_after.is_some());
            false
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_and_its_claim_ask_once_and_a_refused_one_is_charged_to_nobody() {
    let upstream = Arc::new(Upstream::default());
    let (store, shared) = fickle();
    let router = router(&upstream, Some(shared.clone()));
    let limiter = RateLimiter::default();
    let left_of_deployments = || -> Vec<_> {
        let snapshot = router.snapshot().into_iter();
        snapshot.map(|health| health.requests_left).collect()
    };
    let mut before = Vec::new();
    for sent in 0..9 {
        if sent == 5 {
            before = left_of_deployments();
        }
        let claim = claim(&limiter);
        // Each prompt is another one, so that no reply is cached.
        let is_admitted = send(&router, &claim, 20 + sent, sent % 2 == 0).await;
        assert_eq!(is_admitted, sent < 5);
        assert_eq!(store.begun.load(SeqCst), usize::try_from(sent).unwrap() + 1);
        let left = 4_u64.saturating_sub(sent);
        assert_eq!(claim.left().requests, Some(RateLeft { limit: 5, left }));
        claim.settle(1);
    }
    assert_eq!(upstream.calls.lock().unwrap().len(), 5);
    // Neither a deployment nor the other holder was charged for refused calls.
    assert_eq!(left_of_deployments(), before);
    let team = limiter.take(Some(&shared), &holders()[1..], 1).await;
    let left = RateLeft {
        limit: 50,
        left: 44,
    };
    assert_eq!(team.unwrap().left().requests, Some(left));
}

#[tokio::test(start_paused = true)]
async fn a_claim_holds_without_a_shared_state_and_without_its_answer() {
    for shared in [None, Some(fickle())] {
        if let Some((store, _)) = &shared {
            store.is_down.store(true, SeqCst);
        }
        let upstream = Arc::new(Upstream::default());
        let router = router(&upstream, shared.map(|(_, shared)| shared));
        let limiter = RateLimiter::default();
        for sent in 0..9 {
            let is_admitted = send(&router, &claim(&limiter), 20 + sent, false).await;
            assert_eq!(is_admitted, sent < 5);
        }
        assert_eq!(upstream.calls.lock().unwrap().len(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cached_reply_is_charged_to_the_holders_too() {
    for shared in [None, Some(SharedState::memory())] {
        let upstream = Arc::new(Upstream::default());
        // One router finds the reply in its memory, the other one in the shared state.
        let routers = [(); 2].map(|()| router(&upstream, shared.clone()));
        let limiter = RateLimiter::default();
        for sent in 0..9 {
            let router = &routers[if shared.is_some() { sent % 2 } else { 0 }];
            let is_admitted = send(router, &claim(&limiter), 20, false).await;
            assert_eq!(is_admitted, sent < 5, "{sent}");
        }
        assert_eq!(upstream.calls.lock().unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_cancelled_returns_everything() {
    let upstream = Arc::new(Upstream::default());
    let (_, shared) = fickle();
    let router = router(&upstream, Some(shared));
    let limiter = RateLimiter::default();
    for sent in 0..20 {
        let claim = claim(&limiter);
        assert!(send(&router, &claim, 20 + sent, false).await);
        claim.cancel();
    }
    let never = limiter.claim(&holders(), 1001).unwrap_err();
    assert_eq!((never.is_tokens, never.retry_after), (true, None));
}
