//! What a budget reserves for aliases, wildcards and fallbacks.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use gateway_store::{Store, StoreOptions};
use llm_provider::{Call, Capabilities, Error, ErrorKind, Provider, Reply, ReplyStream, Result};
use llm_router::{Deployment, Fallbacks, Prices, Router};
use serde_json::json;

use super::{MASTER, REPLY, chat, gateway, gateway_of, generate, priced, report, status};
use crate::support::{Scripted, Step};

/// A provider whose models are in the table of prices.
#[derive(Debug)]
struct Together(Arc<Scripted>);

impl Provider for Together {
    fn name(&self) -> &'static str {
        "together_ai"
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        self.0.send(call)
    }

    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        self.0.stream(call)
    }
}

#[tokio::test]
async fn a_budget_reserves_the_price_of_what_an_alias_or_a_wildcard_stands_for() {
    let provider = Scripted::new([Step::Json(REPLY)]);
    let dear = Deployment::new("dear", provider.clone(), "dear");
    let cheap = Deployment::new("gpt", provider.clone(), "gpt");
    let own = Deployment::new("own/*", provider.clone(), "own-*");
    let deployments = vec![
        dear.with_prices(Prices::new(1.0, 1.0)),
        cheap.with_prices(Prices::new(1e-6, 1e-6)),
        own.with_prices(Prices::new(1.0, 1.0)),
        Deployment::new("free/*", provider.clone(), "free-*"),
        Deployment::new("up/*", Arc::new(Together(provider)), "*"),
    ];
    let router = Router::builder()
        .with_alias("cheap", "gpt")
        .with_alias("listed", "up/MiniMaxAI/MiniMax-M2.7");
    let store = Store::open("sqlite::memory:", StoreOptions::default());
    let gateway = gateway_of(deployments, router, store.await.unwrap()).await;
    // A call of `gpt` costs 15 millionths of a dollar, and one of the listed model 9 millionths.
    for (model, budget, is_sent) in [
        ("gpt", 1e-4, true),
        ("cheap", 1e-4, true),
        ("cheap", 1e-6, false),
        ("free/x", 1e-6, true),
        ("dear", 1e-4, false),
        ("own/x", 1e-4, false),
        ("up/MiniMaxAI/MiniMax-M2.7", 1e-4, true),
        ("up/MiniMaxAI/MiniMax-M2.7", 1e-6, false),
        ("listed", 1e-6, false),
    ] {
        let key = generate(&gateway, json!({ "max_budget": budget })).await;
        let (status, code) = status(chat(&gateway, &key, json!({ "model": model })).await).await;
        let expected = if is_sent { 200 } else { 429 };
        assert_eq!(status, expected, "{model} with {budget}: {code}");
    }
}

#[tokio::test]
async fn a_budget_reserves_seconds_for_a_model_that_costs_by_the_second() {
    let reply = r#"{"model":"m","choices":[],"usage":
        {"prompt_tokens":10,"completion_tokens":5,"predict_time":4.0,"estimated":true}}"#;
    let prices = Prices::default().with_second(0.01);
    let deployment = Deployment::new("llama", Scripted::new([Step::Json(reply)]), "m");
    let gateway = gateway(vec![deployment.with_prices(prices)]).await;
    // A call costs 0.04 and reserves 0.1.
    let key = generate(&gateway, json!({ "max_budget": 0.15 })).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let response = chat(&gateway, &key, json!({})).await;
        statuses.push(response.status().as_u16());
        report(&gateway, MASTER, "/spend/logs").await;
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
}

#[tokio::test]
async fn a_fallback_that_the_budget_does_not_allow_is_not_used() {
    let busy = Scripted::new([Step::Fail(|| Error::new(ErrorKind::Overloaded, "busy"))]);
    let paid = Scripted::new([Step::Json(REPLY)]);
    let deployments = vec![Deployment::new("free", busy, "upstream/free"), priced(paid)];
    let fallbacks = Fallbacks::default().with_default(["llama"]);
    let router = Router::builder().with_fallbacks(fallbacks);
    let store = Store::open("sqlite::memory:", StoreOptions::default());
    let gateway = gateway_of(deployments, router, store.await.unwrap()).await;
    let key = generate(&gateway, json!({ "max_budget": 0.3 })).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let response = chat(&gateway, &key, json!({ "model": "free" })).await;
        statuses.push(response.status().as_u16());
    }
    // The model itself has no price, so its own failure is the reply.
    assert_eq!((statuses[0], statuses[3]), (200, 503), "{statuses:?}");
    let keys = report(&gateway, MASTER, "/spend/keys").await;
    let spend = keys[0]["spend"].as_f64().unwrap();
    assert!((0.15..=0.3).contains(&spend), "{keys}");
}
