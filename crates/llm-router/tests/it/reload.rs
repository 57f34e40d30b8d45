//! A router that takes over the state of another one.

use std::sync::Arc;

use crate::support::{Account, Upstream, call, deployment, millis, seconds};
use llm_provider::{ErrorKind, Provider};
use llm_router::{
    AffinityOptions, Deployment, LeastBusy, QueueOptions, RateLimits, RouteOptions, Router,
    RouterBuilder,
};

fn builder(deployments: impl IntoIterator<Item = Deployment>) -> RouterBuilder {
    Router::builder()
        .with_deployments(deployments)
        .with_affinity(AffinityOptions::default())
        .with_strategy(Arc::new(LeastBusy))
}

#[tokio::test(start_paused = true)]
async fn health_limits_and_counts_of_unchanged_deployments_stay() {
    let (dead, healthy) = (
        Upstream::failing(ErrorKind::Auth),
        Upstream::healthy(millis(100)),
    );
    let limits = RateLimits::default().with_rpm(100);
    // A file that is read again builds new providers for the same settings.
    let deployments = |fingerprint| {
        [("dead", &dead), ("healthy", &healthy)].map(|(group, upstream)| {
            let provider = Arc::new(Account(Arc::clone(upstream)));
            Deployment::new(group, provider, "m")
                .with_id(group)
                .with_limits(limits.clone())
                .with_fingerprint(fingerprint)
        })
    };
    let old = builder(deployments(1)).build().unwrap();
    old.send(call("dead")).await.unwrap_err();
    old.send(call("healthy")).await.unwrap();
    let before = old.snapshot();
    assert!(before[0].cooldown.is_some() && before[1].latency.is_some());

    // In another order, with another one in between, and with another weight.
    let [dead_again, healthy_again] = deployments(1);
    let new = builder([
        healthy_again.with_weight(7),
        deployment("other", &healthy, "other"),
        dead_again,
    ]);
    let new = new.with_state_of(old.clone()).build().unwrap();
    let after = new.snapshot();
    assert_eq!(format!("{:?}", after[0]), format!("{:?}", before[1]));
    assert_eq!(format!("{:?}", after[2]), format!("{:?}", before[0]));
    assert_eq!((after[1].calls, after[1].cooldown), (0, None));
    new.send(call("dead")).await.unwrap_err();
    assert_eq!(dead.calls(), 1, "it is still cooling down");

    let changed = builder(deployments(2)).with_state_of(new).build().unwrap();
    assert_eq!(changed.snapshot()[0].cooldown, None, "it has a new key");
    assert_eq!(changed.snapshot()[1].calls, 0);
}

#[tokio::test(start_paused = true)]
async fn sessions_stay_at_their_deployments() {
    let upstream = Upstream::healthy(millis(1));
    let some = |ids: &[&str]| -> Vec<Deployment> {
        ids.iter()
            .map(|id| deployment("group", &upstream, id))
            .collect()
    };
    // Providers are the same, since a deployment is cloned.
    let all = some(&["a", "b", "c", "d"]);
    let old = builder(all.clone()).build().unwrap();
    let served_by = |router: Router, session: usize| async move {
        let route = RouteOptions::default().with_session(session.to_string());
        let reply = router.send_with(call("group"), route).await.unwrap();
        reply.metadata.deployment.unwrap()
    };
    let mut before = Vec::new();
    for session in 0..20 {
        before.push(served_by(old.clone(), session).await);
    }
    // Without the first one, all others have other places.
    let new = builder(all[1..].to_vec()).with_state_of(old).build();
    let new = new.unwrap();
    for (session, before) in before.iter().enumerate() {
        let after = served_by(new.clone(), session).await;
        assert!(after == *before || before == "a", "{before} became {after}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_of_both_routers_share_the_limits_and_the_queue() {
    let upstream = Upstream::healthy(seconds(1));
    let limits = RateLimits::default().with_max_parallel_requests(1);
    let deployment = deployment("group", &upstream, "one").with_limits(limits);
    let build = || builder([deployment.clone()]).with_queue(QueueOptions::default());
    let old = build().build().unwrap();
    let running = tokio::spawn({
        let old = old.clone();
        async move { old.send(call("group")).await }
    });
    tokio::task::yield_now().await;
    let new = build().with_state_of(old).build().unwrap();
    assert_eq!(new.snapshot()[0].in_flight, 1);
    // It waits for the call of the old router.
    new.send(call("group")).await.unwrap();
    running.await.unwrap().unwrap();
    assert_eq!((upstream.calls(), upstream.peak()), (2, 1));
}
