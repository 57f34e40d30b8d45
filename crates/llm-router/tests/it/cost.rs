//! Prices, costs, and the events of one call.

use std::sync::Arc;

use crate::support::{Action, Log, Upstream, call, deployment, millis};
use futures_util::StreamExt;
use llm_provider::{ErrorKind, Provider};
use llm_router::{Deployment, PriceTable, Prices, RouteOptions, Router};

/// The events of a call that end an attempt.
fn ends(log: &Log) -> Vec<String> {
    let events = log.events().into_iter();
    let is_end = |event: &String| !event.starts_with("picked") && !event.starts_with("first");
    events.filter(is_end).collect()
}

#[tokio::test(start_paused = true)]
async fn the_prices_of_a_deployment_win_over_those_of_the_table() {
    let table = PriceTable::empty()
        .with("memory/listed", Prices::new(1.0, 10.0))
        .with("memory/family/large", Prices::new(2.0, 20.0));
    let upstream = Upstream::healthy(millis(1));
    let deployment = |group: &str, model: &str| {
        let mut deployment = deployment(group, &upstream, group);
        model.clone_into(&mut deployment.model);
        deployment
    };
    let mut own = Prices::default();
    own.output_token = Some(100.0);
    let deployments: [Deployment; 4] = [
        deployment("listed", "listed"),
        deployment("changed", "listed").with_prices(own),
        deployment("unknown", "other"),
        deployment("any/*", "family/*"),
    ];
    let log = Arc::new(Log::default());
    let router = Router::builder()
        .with_deployments(deployments)
        .with_prices(table)
        .with_observer(Arc::clone(&log) as Arc<_>)
        .build()
        .unwrap();
    for group in ["listed", "changed", "unknown", "any/large", "any/small"] {
        router.send(call(group)).await.unwrap();
    }
    assert_eq!(
        ends(&log),
        [
            "finished listed Some(15) Some(60.0) 1ms",
            "finished changed Some(15) Some(510.0) 1ms",
            "finished unknown Some(15) None 1ms",
            "finished any/* Some(15) Some(120.0) 1ms",
            "finished any/* Some(15) None 1ms",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_observer_of_a_call_receives_only_its_events() {
    let upstream = Upstream::new(|number| match number {
        1 => (millis(1), Action::Fail(ErrorKind::InvalidRequest)),
        2 => (millis(1), Action::Break(ErrorKind::Transport)),
        3 => (millis(1), Action::Stall),
        _ => (millis(1), Action::Reply(10, 5)),
    });
    let deployment = deployment("group", &upstream, "one").with_prices(Prices::new(1.0, 2.0));
    let router = Router::new([deployment]);
    let observed = || {
        let log = Arc::new(Log::default());
        let route = RouteOptions::default().with_observer(Arc::clone(&log) as Arc<_>);
        (log, route)
    };

    let (log, route) = observed();
    router.send_with(call("group"), route).await.unwrap();
    assert_eq!(ends(&log), ["finished one Some(15) Some(20.0) 1ms"]);

    let (log, route) = observed();
    router.send_with(call("group"), route).await.unwrap_err();
    assert_eq!(ends(&log), ["failed one InvalidRequest"]);

    let (log, route) = observed();
    let stream = router.stream_with(call("group"), route).await.unwrap();
    let events: Vec<_> = stream.collect().await;
    assert_eq!(events.len(), 2);
    assert_eq!(ends(&log), ["failed one Transport after 9 Some(10.0)"]);

    // The caller leaves after the first chunk.
    let (log, route) = observed();
    let mut stream = router.stream_with(call("group"), route).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    assert_eq!(ends(&log), ["abandoned one 9 Some(10.0)"]);
    assert_eq!(upstream.calls(), 4);
}
