//! Failures: cooldowns, fallbacks, deadlines and stalled streams.

use std::sync::Arc;

use crate::support::{Action, Log, Upstream, call, deployment, millis, read, seconds};
use futures_core::future::BoxFuture;
use futures_util::future::join_all;
use llm_provider::{
    Call, Capabilities, Document, ErrorKind, Metadata, Provider, Reply, endpoint::Chat,
};
use llm_router::{
    AttemptTimeouts, Cooldown, Deployment, Fallbacks, LeastBusy, RetryPolicy, RouteOptions, Router,
    RouterBuilder,
};
use serde_json::json;
use tokio::time::{Instant, advance};

#[tokio::test(start_paused = true)]
async fn a_dead_deployment_of_three_costs_no_visible_error_and_few_attempts() {
    for kind in [
        ErrorKind::Auth,
        ErrorKind::Transport,
        ErrorKind::UpstreamFailed,
    ] {
        let dead = Upstream::failing(kind);
        let healthy = [0, 1].map(|_| Upstream::healthy(millis(100)));
        let router = Router::new([
            deployment("group", &dead, "dead"),
            deployment("group", &healthy[0], "one"),
            deployment("group", &healthy[1], "two"),
        ]);
        for _ in 0..500 {
            let reply = router.send(call("group")).await.unwrap();
            assert!(reply.metadata.attempts <= 2, "one additional attempt");
        }
        // 500 calls take 50 s: a few failures until the first cooldown, and then the probes.
        assert!(dead.calls() <= 8, "{kind:?}: {} calls", dead.calls());
    }
}

#[tokio::test(start_paused = true)]
async fn the_only_deployment_of_a_group_is_cooled_down_and_probed() {
    let dead = Upstream::new(|number| match number {
        0..=3 => (seconds(6), Action::Fail(ErrorKind::Timeout)),
        _ => (millis(10), Action::Reply(1, 1)),
    });
    let router = Router::new([deployment("group", &dead, "dead")]);
    for _ in 0..3 {
        let error = router.send(call("group")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }
    let begin = Instant::now();
    let error = router.send(call("group")).await.unwrap_err();
    assert_eq!(begin.elapsed(), millis(0), "the caller does not wait");
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(error.code(), Some("deployments_cooling_down"));
    assert_eq!(error.retry_after(), Some(seconds(5)));

    advance(error.retry_after().unwrap()).await;
    let probe = router.send(call("group"));
    let others = join_all((0..5).map(|_| router.send(call("group"))));
    let (probe, others) = tokio::join!(probe, others);
    assert_eq!(probe.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(others.iter().all(Result::is_err));
    assert_eq!(dead.calls(), 4, "one probe");

    let error = router.send(call("group")).await.unwrap_err();
    assert_eq!(
        error.retry_after(),
        Some(seconds(10)),
        "the next cooldown is longer"
    );
    advance(seconds(10)).await;
    router.send(call("group")).await.unwrap();
    router.send(call("group")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_names_a_time_gets_no_calls_until_then() {
    let upstream = Upstream::new(|number| match number {
        0 => (millis(1), Action::FailFor(ErrorKind::RateLimited, 17)),
        _ => (millis(1), Action::Reply(1, 1)),
    });
    let router = Router::new([deployment("group", &upstream, "one")]);
    router.send(call("group")).await.unwrap_err();
    let error = router.send(call("group")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry_after(), Some(seconds(17)));
    assert_eq!(upstream.calls(), 1);
    advance(seconds(17)).await;
    router.send(call("group")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn errors_that_a_client_causes_start_no_cooldown() {
    for kind in [
        ErrorKind::InvalidRequest,
        ErrorKind::ContextWindow,
        ErrorKind::ContentFilter,
        ErrorKind::Permission,
        ErrorKind::ModelFailed,
        ErrorKind::Unsupported,
    ] {
        let upstream = Upstream::new(move |number| match number {
            0..100 => (millis(1), Action::Fail(kind)),
            _ => (millis(1), Action::Reply(1, 1)),
        });
        let router = Router::new([deployment("group", &upstream, "one")]);
        for _ in 0..100 {
            assert_eq!(router.send(call("group")).await.unwrap_err().kind(), kind);
        }
        router.send(call("group")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_the_client_is_not_a_failure_of_the_deployment() {
    let upstream = Upstream::healthy(seconds(2));
    let router = Router::new([deployment("group", &upstream, "one")]);
    for _ in 0..20 {
        let hurried = call("group").with_timeout(seconds(1));
        let error = router.send(hurried).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }
    router.send(call("group")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_exceeds_the_deadline() {
    let slow = || Upstream::new(|_| (millis(700), Action::Fail(ErrorKind::UpstreamFailed)));
    let hangs = || Upstream::new(|_| (millis(0), Action::Hang));
    for upstreams in [[slow(), slow(), hangs()], [hangs(), hangs(), slow()]] {
        let ids = ["a", "b", "c"];
        let deployments = upstreams
            .iter()
            .zip(ids)
            .map(|(u, id)| deployment("group", u, id));
        let router = Router::builder()
            .with_deployments(deployments)
            .with_retries(RetryPolicy::new(10))
            .with_deadline(seconds(2))
            .build()
            .unwrap();
        for limit in [None, Some(millis(900)), Some(seconds(60))] {
            let longest = limit.unwrap_or_else(|| seconds(2)).min(seconds(2)) + millis(1);
            let begin = Instant::now();
            let call = || call("group").with_timeout(limit);
            router.send(call()).await.unwrap_err();
            assert!(begin.elapsed() <= longest);
            let begin = Instant::now();
            assert!(router.stream(call()).await.is_err());
            assert!(begin.elapsed() <= longest);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_too_slow_gives_way_to_another() {
    let (slow, fast) = (
        Upstream::healthy(seconds(60)),
        Upstream::healthy(millis(10)),
    );
    let timeouts = AttemptTimeouts::default()
        .with_total(seconds(3))
        .with_first_output(seconds(1));
    let router = Router::new([
        deployment("group", &slow, "slow").with_timeouts(timeouts),
        deployment("group", &fast, "fast").with_weight(0),
    ]);
    let begin = Instant::now();
    let reply = router.send(call("group")).await.unwrap();
    assert_eq!(reply.metadata.deployment.as_deref(), Some("fast"));
    assert_eq!(begin.elapsed(), millis(3010));
    let begin = Instant::now();
    let stream = router.stream(call("group")).await.unwrap();
    assert_eq!(stream.metadata.deployment.as_deref(), Some("fast"));
    assert_eq!(begin.elapsed(), millis(1010));
    assert_eq!(slow.running(), 0, "the slow calls are cancelled");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_ends_with_an_error() {
    let stalls = Upstream::new(|_| (millis(1), Action::Stall));
    let timeouts = AttemptTimeouts::default().with_idle(seconds(7));
    let router = Router::new([deployment("group", &stalls, "one").with_timeouts(timeouts)]);
    let begin = Instant::now();
    let (events, error) = read(router.stream(call("group")).await.unwrap()).await;
    assert_eq!((events, error.unwrap().kind()), (1, ErrorKind::Timeout));
    assert_eq!(begin.elapsed(), millis(7001));
    assert_eq!(router.snapshot()[0].in_flight, 0);
    assert_eq!(router.snapshot()[0].failures, 1);
}

/// A group of each name; those named in `failing` fail with the kind.
fn groups(names: &[&str], failing: &[(&str, ErrorKind)], log: &Arc<Log>) -> RouterBuilder {
    let deployments = names.iter().map(|name| {
        let kind = failing.iter().find(|(failing, _)| failing == name);
        let upstream = match kind {
            Some((_, kind)) => Upstream::failing(*kind),
            None => Upstream::healthy(millis(1)),
        };
        deployment(name, &upstream, &format!("{name}-1"))
    });
    Router::builder()
        .with_deployments(deployments)
        .with_cooldown(Cooldown::disabled())
        .with_observer(Arc::clone(log) as Arc<_>)
}

#[tokio::test(start_paused = true)]
async fn other_groups_take_over_by_the_kind_of_failure() {
    use ErrorKind::*;
    let fallbacks = || {
        Fallbacks::default()
            .with("a", ["b", "c"])
            .with_context_window("a", ["long"])
            .with_content_policy("a", ["lenient"])
            .with_default(["c"])
    };
    for (failing, served_by) in [
        (&[("a", Overloaded)] as &[_], Ok("b-1")),
        (&[("a", Auth), ("b", Transport)], Ok("c-1")),
        (&[("a", ContextWindow)], Ok("long-1")),
        (&[("a", ContextWindow), ("long", ContextWindow)], Ok("c-1")),
        (&[("a", ContentFilter)], Ok("lenient-1")),
        (&[("a", InvalidRequest)], Err(InvalidRequest)),
        (
            &[("a", Overloaded), ("b", InvalidRequest)],
            Err(InvalidRequest),
        ),
        (
            &[("a", Auth), ("b", Auth), ("c", Transport)],
            Err(Transport),
        ),
    ] {
        let log = Arc::new(Log::default());
        let router = groups(&["a", "b", "c", "long", "lenient"], failing, &log)
            .with_fallbacks(fallbacks())
            .build()
            .unwrap();
        let reply = router.send(call("a")).await;
        let reply = reply.map(|reply| reply.metadata.deployment.unwrap());
        let reply = reply.as_deref().map_err(|error| error.kind());
        assert_eq!(reply, served_by, "{failing:?} {:#?}", log.events());
    }
}

#[tokio::test(start_paused = true)]
async fn fallbacks_belong_to_the_name_of_the_request_and_of_the_group() {
    for (fallbacks, served_by) in [
        (Fallbacks::default().with("nick", ["b"]), "b-1"),
        (Fallbacks::default().with("a", ["b"]), "b-1"),
        (
            Fallbacks::default().with("nick", ["c"]).with("a", ["b"]),
            "c-1",
        ),
        // By the name in a list, too.
        (
            Fallbacks::default()
                .with("nick", ["other"])
                .with("other", ["c"]),
            "c-1",
        ),
    ] {
        let log = Arc::new(Log::default());
        let failing = [("a", ErrorKind::Overloaded), ("d", ErrorKind::Overloaded)];
        let router = groups(&["a", "b", "c", "d"], &failing, &log)
            .with_alias("nick", "a")
            .with_alias("other", "d")
            .with_fallbacks(fallbacks)
            .build()
            .unwrap();
        assert!(
            !router
                .fallbacks_of("nick", &RouteOptions::default())
                .is_empty()
        );
        let reply = router.send(call("nick")).await.unwrap();
        assert_eq!(reply.metadata.deployment.as_deref(), Some(served_by));
    }
}

/// Replies that end with this finish reason.
#[derive(Debug)]
struct Ends(&'static str);

impl Provider for Ends {
    fn name(&self) -> &'static str {
        "ends"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn send(&self, _: Call) -> BoxFuture<'_, llm_provider::Result<Reply>> {
        let body = json!({
            "id": "1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": ""},
                "finish_reason": self.0}],
        });
        let reply = Reply::new(Document::new(&body), Metadata::new("ends", "m"));
        Box::pin(std::future::ready(Ok(reply)))
    }
}

#[tokio::test(start_paused = true)]
async fn another_group_takes_over_from_a_reply_that_a_filter_stopped() {
    let by_policy = || Fallbacks::default().with_content_policy("a", ["b"]);
    for (reason, fallbacks, served_by) in [
        ("content_filter", by_policy(), "b-1"),
        ("stop", by_policy(), "a-1"),
        // Without fallbacks for this, the reply is the client's.
        (
            "content_filter",
            Fallbacks::default().with("a", ["b"]),
            "a-1",
        ),
    ] {
        let router = Router::builder()
            .with_deployments([
                Deployment::new("a", Arc::new(Ends(reason)), "m").with_id("a-1"),
                Deployment::new("b", Arc::new(Ends("stop")), "m").with_id("b-1"),
            ])
            .with_fallbacks(fallbacks)
            .build()
            .unwrap();
        let reply = router.send(call("a")).await.unwrap();
        assert_eq!(
            reply.metadata.deployment.as_deref(),
            Some(served_by),
            "{reason}"
        );
        let stream = router.stream(call("a")).await.unwrap();
        assert_eq!(
            stream.metadata.deployment.as_deref(),
            Some(served_by),
            "{reason}"
        );
        let health = router.snapshot();
        assert!(health.iter().all(|health| health.cooldown.is_none()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_falls_back_to_another_group_before_its_first_output() {
    let log = Arc::new(Log::default());
    let router = groups(&["a", "b"], &[("a", ErrorKind::Overloaded)], &log)
        .with_fallbacks(Fallbacks::default().with("a", ["b"]))
        .build()
        .unwrap();
    let stream = router.stream(call("a")).await.unwrap();
    assert_eq!(stream.metadata.deployment.as_deref(), Some("b-1"));
    assert_eq!(stream.metadata.attempts, 2);
    assert!(read(stream).await.1.is_none());
    assert_eq!(
        log.events(),
        [
            "picked a-1 1",
            "failed a-1 Overloaded",
            "fell back a b",
            "picked b-1 2",
            "first output b-1 1ms",
            "finished b-1 Some(15) None 1ms",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_that_cools_down_falls_back_without_an_attempt() {
    let dead = Upstream::failing(ErrorKind::Auth);
    let other = Upstream::healthy(millis(1));
    let router = Router::builder()
        .with_deployments([
            deployment("a", &dead, "dead"),
            deployment("b", &other, "other"),
        ])
        .with_fallbacks(Fallbacks::default().with_default(["b"]))
        .build()
        .unwrap();
    for _ in 0..20 {
        let reply = router.send(call("a")).await.unwrap();
        assert_eq!(reply.metadata.deployment.as_deref(), Some("other"));
    }
    assert_eq!(dead.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_prompt_above_the_context_window_is_not_sent() {
    let (small, large) = (Upstream::healthy(millis(1)), Upstream::healthy(millis(1)));
    let builder = || {
        Router::builder()
            .with_deployments([
                deployment("a", &small, "small").with_context_window(100),
                deployment("b", &large, "large").with_context_window(100_000),
            ])
            .with_context_window_check(true)
    };
    let long = || {
        let prompt = "word ".repeat(500);
        let body =
            format!(r#"{{"model":"a","messages":[{{"role":"user","content":"{prompt}"}}]}}"#);
        Call::new(&Chat, Document::from_bytes(body))
    };
    let error = builder().build().unwrap().send(long()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextWindow);
    let fallbacks = Fallbacks::default().with_context_window("a", ["b"]);
    let router = builder().with_fallbacks(fallbacks).build().unwrap();
    let reply = router.send(long()).await.unwrap();
    assert_eq!(reply.metadata.deployment.as_deref(), Some("large"));
    router.send(call("a")).await.unwrap();
    assert_eq!((small.calls(), large.calls()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn retries_are_counted_by_kind() {
    for (kind, attempts) in [
        (ErrorKind::Timeout, 1),
        (ErrorKind::RateLimited, 4),
        (ErrorKind::Overloaded, 3),
    ] {
        let upstream = Upstream::failing(kind);
        let ids = ["a", "b", "c", "d", "e", "f"];
        let policy = RetryPolicy::new(2)
            .with(ErrorKind::Timeout, 0)
            .with(ErrorKind::RateLimited, 3);
        let router = Router::builder()
            .with_deployments(ids.map(|id| deployment("group", &upstream, id)))
            .with_retries(policy)
            .with_strategy(Arc::new(LeastBusy))
            .build()
            .unwrap();
        router.send(call("group")).await.unwrap_err();
        assert_eq!(upstream.calls(), attempts, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_amplified() {
    let upstream = Upstream::failing(ErrorKind::UpstreamFailed);
    let ids: Vec<String> = (0..20).map(|id| id.to_string()).collect();
    let router = Router::builder()
        .with_deployments(ids.iter().map(|id| deployment("group", &upstream, id)))
        .with_retries(RetryPolicy::new(10))
        .with_cooldown(Cooldown::disabled())
        .build()
        .unwrap();
    let calls = 10_000;
    for _ in 0..calls {
        router.send(call("group")).await.unwrap_err();
    }
    assert!(
        upstream.calls() <= calls * 3 / 2 + 101,
        "{}",
        upstream.calls()
    );
}
