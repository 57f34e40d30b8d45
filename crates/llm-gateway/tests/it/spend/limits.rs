//! Budgets and rate limits refuse calls before they are sent.

use std::sync::Arc;

use gateway_store::{Store, StoreOptions};
use http::Method;
use llm_router::{Deployment, Prices, Router, SharedState};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{
    CHAT, MASTER, PIECE, REPLY, USAGE, ask, chat, gateway, gateway_of, generate, operate, priced,
    priced_gateway, report, status,
};
use crate::support::{Scripted, Step, text};

#[tokio::test]
async fn a_budget_refuses_the_call_that_could_exceed_it() {
    let gateway = priced_gateway([Step::Json(REPLY)]).await;
    operate(
        &gateway,
        "/team/new",
        json!({ "team_id": "t", "max_budget": 0.5 }),
    )
    .await;
    let user = json!({ "user_id": "u", "max_budget": 0.5, "auto_create_key": false });
    operate(&gateway, "/user/new", user).await;
    for owner in [
        json!({ "max_budget": 0.5 }),
        json!({ "team_id": "t" }),
        json!({ "user_id": "u" }),
    ] {
        let key = generate(&gateway, owner.clone()).await;
        let mut spent = 0;
        let refused = loop {
            let response = chat(&gateway, &key, json!({})).await;
            if response.status() != 200 {
                break response;
            }
            spent += 15;
            assert!(spent <= 50, "{owner}: {spent} cents of 50");
        };
        assert_eq!(refused.headers()["x-should-retry"], "false");
        let expected = (429, "budget_exceeded".to_owned());
        assert_eq!(status(refused).await, expected, "{owner}");
        assert!(spent >= 15, "{owner}");
    }
    // Without the budget, the key works again.
    let key = generate(&gateway, json!({ "max_budget": 0.0 })).await;
    assert_eq!(chat(&gateway, &key, json!({})).await.status(), 429);
    operate(
        &gateway,
        "/key/update",
        json!({ "key": key, "max_budget": null }),
    )
    .await;
    assert_eq!(chat(&gateway, &key, json!({})).await.status(), 200);
}

#[tokio::test]
async fn parallel_calls_reserve_their_budget_before_they_are_sent() {
    let gate = Arc::new(Semaphore::new(0));
    let provider = Scripted::new([Step::Until(gate.clone()), Step::Json(REPLY)]);
    let gateway = gateway(vec![priced(provider.clone())]).await;
    // Calls are estimated at 14 cents and cost 15, so that two fit.
    let key = generate(&gateway, json!({ "max_budget": 0.4 })).await;
    let calls = (0..5).map(|_| chat(&gateway, &key, json!({})));
    let all = futures_util::future::join_all(calls);
    let open = async {
        provider.until_running(2).await;
        gate.close();
    };
    let (responses, ()) = tokio::join!(all, open);
    let sent = responses.iter().filter(|response| response.status() == 200);
    assert_eq!(sent.count(), 2);
    let keys = report(&gateway, MASTER, "/spend/keys").await;
    assert_eq!(keys[0]["spend"], json!(0.3), "{keys}");
}

#[tokio::test]
async fn rate_limits_refuse_with_the_time_to_wait() {
    let gateway = priced_gateway([Step::Json(REPLY)]).await;
    operate(
        &gateway,
        "/team/new",
        json!({ "team_id": "t", "rpm_limit": 2 }),
    )
    .await;
    for limits in [
        json!({ "rpm_limit": 2, "tpm_limit": 1_000_000 }),
        json!({ "team_id": "t" }),
        json!({ "tpm_limit": 40 }),
    ] {
        let key = generate(&gateway, limits.clone()).await;
        for remaining in ["1", "0"] {
            let response = chat(&gateway, &key, json!({})).await;
            assert_eq!(response.status(), 200, "{limits}");
            if limits["tpm_limit"] != json!(40) {
                let headers = response.headers();
                assert_eq!(headers["x-ratelimit-limit-requests"], "2");
                assert_eq!(headers["x-ratelimit-remaining-requests"], remaining);
            }
        }
        let refused = chat(&gateway, &key, json!({})).await;
        let wait: u64 = refused.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=120).contains(&wait), "{wait}");
        assert_eq!(
            status(refused).await,
            (429, "rate_limit_exceeded".to_owned()),
            "{limits}"
        );
    }
}

/// The limits of a key that several gateways share are charged by the router.
#[tokio::test]
async fn limits_that_gateways_share_refuse_in_every_api() {
    let shared = SharedState::memory();
    let store = Store::open("sqlite::memory:", StoreOptions::default());
    let store = store.await.unwrap();
    let provider = Scripted::new([Step::Json(CHAT)]);
    let start = async || {
        let router = Router::builder().with_shared_state(shared.clone());
        gateway_of(vec![priced(provider.clone())], router, store.clone()).await
    };
    let gateways = [start().await, start().await];
    let bodies = [
        ("/v1/chat/completions", json!({})),
        ("/v1/chat/completions", json!({ "stream": true })),
        ("/v1/messages", json!({})),
        ("/v1/messages", json!({ "stream": true })),
        ("/v1/messages", json!({ "stop_sequences": ["x"] })),
    ];
    let key = generate(&gateways[0], json!({ "rpm_limit": 3 })).await;
    let send = async |at: usize| {
        let (path, more) = &bodies[at % bodies.len()];
        let mut body = json!({
            "model": "llama", "max_tokens": 5,
            "messages": [{ "role": "user", "content": format!("Hello {at}") }],
        });
        let members = body.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        ask(&gateways[at % 2], &key, Method::POST, path, &[], body).await
    };
    for (at, remaining) in ["2", "1", "0"].into_iter().enumerate() {
        let response = send(at).await;
        assert_eq!(response.status(), 200);
        let name = match at {
            2 => "anthropic-ratelimit-requests-remaining",
            _ => "x-ratelimit-remaining-requests",
        };
        assert_eq!(response.headers()[name], remaining, "{at}");
        text(response).await;
    }
    for at in 3..3 + 2 * bodies.len() {
        let refused = send(at).await;
        assert_eq!(refused.status(), 429, "{at}");
        assert!(refused.headers().contains_key("retry-after"), "{at}");
        let remaining = refused.headers().iter().find(|(name, _)| {
            let name = name.as_str();
            name.contains("ratelimit") && name.contains("remaining")
        });
        assert_eq!(remaining.unwrap().1, "0", "{at}");
        let text = text(refused).await;
        let message = "rate limit exceeded: the API key is limited to 3 requests per minute";
        assert!(text.contains(message), "{text}");
    }
    assert_eq!(provider.calls.lock().unwrap().len(), 3);
    // Refused calls have no record, and hold no budget.
    report(&gateways[0], MASTER, "/spend/logs").await;
    let logs = report(&gateways[1], MASTER, "/spend/logs").await;
    assert_eq!(logs.as_array().unwrap().len(), 3, "{logs}");
}

#[tokio::test]
async fn a_model_with_a_price_per_second_costs_the_time_that_it_ran() {
    let reply = r#"{"model":"m","choices":[],"usage":
        {"prompt_tokens":10,"completion_tokens":5,"predict_time":2.5,"estimated":true}}"#;
    let provider = Scripted::new([Step::Json(reply)]);
    let prices = Prices::default().with_second(0.1);
    let deployment = Deployment::new("llama", provider, "m").with_prices(prices);
    let gateway = gateway(vec![deployment]).await;
    let key = generate(&gateway, json!({})).await;
    let response = chat(&gateway, &key, json!({})).await;
    assert_eq!(response.headers()["x-litellm-response-cost"], "0.25");
    let logs = report(&gateway, MASTER, "/spend/logs?size=1").await;
    assert_eq!(logs[0]["predict_ms"], 2500, "{logs}");
}

#[tokio::test]
async fn calls_at_the_same_time_are_limited_and_return_their_place() {
    let gate = Arc::new(Semaphore::new(0));
    let provider = Scripted::new([
        Step::Json(PIECE),
        Step::Until(gate.clone()),
        Step::Json(USAGE),
    ]);
    let gateway = gateway(vec![priced(provider.clone())]).await;
    let key = generate(&gateway, json!({ "max_parallel_requests": 1 })).await;
    let stream = json!({ "stream": true });
    let first = chat(&gateway, &key, stream.clone()).await;
    let refused = chat(&gateway, &key, stream.clone()).await;
    assert_eq!(
        status(refused).await,
        (429, "rate_limit_exceeded".to_owned())
    );
    // Leaving returns the place as completing does.
    drop(first);
    provider.until_running(0).await;
    let second = chat(&gateway, &key, stream.clone()).await;
    assert_eq!(second.status(), 200);
    gate.close();
    text(second).await;
    assert_eq!(chat(&gateway, &key, stream).await.status(), 200);
}
