//! Names: aliases, wildcards, the default, and what a builder rejects.

use std::sync::Arc;

use llm_provider::{ErrorKind, Provider};
use llm_router::{
    AffinityOptions, Deployment, Fallbacks, Prices, QueueOptions, RateLimits, RetryPolicy, Router,
    RouterBuilder,
};

use crate::support::{Account, Action, Upstream, call, deployment, millis, seconds};

#[tokio::test(start_paused = true)]
async fn a_call_reaches_its_group_by_every_name() {
    let upstream = Upstream::healthy(millis(1));
    let named = |group: &str, model: &str| {
        Deployment::new(group, Arc::new(Account(Arc::clone(&upstream))), model)
    };
    let router = Router::builder()
        .with_deployments([
            named("large", "acme/large"),
            named("acme/*", "*"),
            named("acme/special-*", "very/*/special"),
            named("*-eu", "europe/*"),
        ])
        .with_alias("gpt-4", "large")
        .with_hidden_alias("secret", "acme/small")
        .build()
        .unwrap();
    for (name, model) in [
        ("large", "acme/large"),
        ("gpt-4", "acme/large"),
        ("acme/x/y", "x/y"),
        ("secret", "small"),
        ("acme/special-7", "very/7/special"),
        ("acme/special-", "special-"),
        ("llama-eu", "europe/llama"),
    ] {
        router.send(call(name)).await.unwrap();
        assert_eq!(upstream.models().last().unwrap(), model, "{name}");
    }
    for name in ["acme/", "-eu", "Large", ""] {
        let error = router.send(call(name)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}");
    }
    let listed: Vec<&str> = router.groups().collect();
    assert_eq!(
        listed,
        ["*-eu", "acme/*", "acme/special-*", "gpt-4", "large"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_model_goes_to_the_default() {
    let upstream = Upstream::healthy(millis(1));
    let router = Router::builder()
        .with_deployments([deployment("large", &upstream, "one")])
        .with_default_model("large".to_owned())
        .build()
        .unwrap();
    router.send(call("anything")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_model_that_does_not_exist_starts_no_cooldown_of_a_wildcard() {
    let upstream = Upstream::failing(ErrorKind::NotFound);
    let provider = Arc::new(Account(Arc::clone(&upstream)));
    let router = Router::new([Deployment::new("acme/*", provider, "*")]);
    for _ in 0..10 {
        router.send(call("acme/invented")).await.unwrap_err();
    }
    assert_eq!(upstream.calls(), 10);
}

/// One model of an upstream may be overloaded or broken while the others work.
#[tokio::test(start_paused = true)]
async fn a_model_that_fails_starts_no_cooldown_of_the_other_models_of_a_wildcard() {
    for (kind, is_cooled) in [
        (ErrorKind::RateLimited, false),
        (ErrorKind::Overloaded, false),
        (ErrorKind::Timeout, false),
        (ErrorKind::UpstreamFailed, false),
        (ErrorKind::Auth, true),
        (ErrorKind::Transport, true),
    ] {
        let upstream = Upstream::new(move |number| match number {
            0..10 if kind == ErrorKind::RateLimited => (millis(1), Action::FailFor(kind, 60)),
            0..10 => (millis(1), Action::Fail(kind)),
            _ => (millis(1), Action::Reply(1, 1)),
        });
        let provider = Arc::new(Account(Arc::clone(&upstream)));
        let router = Router::new([Deployment::new("acme/*", provider, "*")]);
        for _ in 0..10 {
            router.send(call("acme/busy")).await.unwrap_err();
        }
        let other = router.send(call("acme/other")).await;
        assert_eq!(other.is_err(), is_cooled, "{kind:?}");
    }
}

#[test]
fn a_builder_names_the_setting_that_is_wrong() {
    let upstream = Upstream::healthy(millis(1));
    let builder = || {
        Router::builder().with_deployments([
            deployment("a", &upstream, "one"),
            deployment("b", &upstream, "two"),
        ])
    };
    let limited = |limits: RateLimits| {
        builder().with_deployments([deployment("b", &upstream, "three").with_limits(limits)])
    };
    let none = RateLimits::default;
    let cases: [(RouterBuilder, &str); 17] = [
        (
            builder().with_alias("x", "y"),
            "model_group_alias, `x`: there is no model group `y`",
        ),
        (
            builder().with_alias("a", "b"),
            "model_group_alias, `a`: a model group has the same name",
        ),
        (
            builder().with_alias("x", "y").with_alias("y", "a"),
            "model_group_alias, `x`: is the alias of an alias",
        ),
        (
            builder().with_default_model("x".to_owned()),
            "default_model: there is no model group",
        ),
        (
            builder().with_fallbacks(Fallbacks::default().with("a", ["x"])),
            "fallbacks, `a`: there is no model group `x`",
        ),
        (
            builder().with_fallbacks(Fallbacks::default().with("x", ["a"])),
            "fallbacks, `x`: there is no model group `x`",
        ),
        (
            builder().with_fallbacks(Fallbacks::default().with("a", ["b", "b"])),
            "fallbacks, `a`: names `b` twice",
        ),
        (
            builder().with_fallbacks(Fallbacks::default().with("a", ["b"]).with("b", ["a"])),
            "fallbacks, `a`: the group falls back to itself",
        ),
        (
            builder().with_fallbacks(Fallbacks::default().with_context_window("a", ["a"])),
            "context_window_fallbacks, `a`: the group falls back to itself",
        ),
        (
            limited(none().with_rpm(0)),
            "the deployment `three`, rpm: has to be from 1 to",
        ),
        (
            limited(none().with_tpm(u64::MAX)),
            "the deployment `three`, tpm: has to be from 1",
        ),
        (
            limited(none().with_max_parallel_requests(0)),
            "the deployment `three`, max_parallel_requests: has to be at least 1",
        ),
        (
            builder().with_deployments([
                deployment("b", &upstream, "one").with_limits(none().with_rpm(5))
            ]),
            "the deployment `one`: another deployment has the same id and other limits",
        ),
        (
            builder().with_deployments([
                deployment("b", &upstream, "x").with_prices(Prices::new(-1.0, 0.0))
            ]),
            "the deployment `x`, input_cost_per_token: has to be 0 or more",
        ),
        (
            builder().with_retries(RetryPolicy::new(usize::MAX)),
            "num_retries: has to be at most 100",
        ),
        (
            builder().with_queue(QueueOptions::default().with_timeout(seconds(u64::MAX))),
            "the timeout of the queue: has to be at most a day",
        ),
        (
            builder().with_affinity(AffinityOptions::default().with_capacity(usize::MAX)),
            "the capacity of the affinity: has to be at most",
        ),
    ];
    for (builder, expected) in cases {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error} instead of {expected}");
    }
    builder().build().unwrap();
}
