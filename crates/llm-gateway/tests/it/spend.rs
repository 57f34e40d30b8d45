//! What calls cost: usage records, limits and budgets, and their reports.

mod limits;
mod prices;
mod reports;

use std::sync::Arc;

use gateway_store::{Store, StoreOptions};
use http::{Method, Request, Response};
use llm_gateway::{Config, Gateway, GatewayOptions, ResponseBody, VirtualKeys};
use llm_provider::{ApiKey, Error, ErrorKind};
use llm_router::{Deployment, Prices, Router, RouterBuilder};
use serde_json::{Value, json};

use crate::support::{Scripted, Step, frame, send, text};

const MASTER: &str = "sk-master";

/// A reply with 10 tokens of the prompt, 4 of them cached, and 5 of the reply, 2 of them reasoning.
const REPLY: &str = r#"{"id":"1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,
    "total_tokens":15,"prompt_tokens_details":{"cached_tokens":4},
    "completion_tokens_details":{"reasoning_tokens":2}}}"#;
const PIECE: &str = r#"{"model":"m","choices":[{"index":0,"delta":{"content":"Hi"}}]}"#;
const CHAT: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[
    {"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}"#;
const USAGE: &str =
    r#"{"model":"m","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}"#;

/// A gateway over deployments, with keys and spend in memory.
async fn gateway(deployments: Vec<Deployment>) -> Gateway {
    let store = Store::open("sqlite::memory:", StoreOptions::default());
    gateway_of(deployments, Router::builder(), store.await.unwrap()).await
}

/// The same with a router and a store.
async fn gateway_of(deployments: Vec<Deployment>, router: RouterBuilder, store: Store) -> Gateway {
    let config = Config::new(deployments).with_master_key(ApiKey::new(MASTER));
    let keys = VirtualKeys::new(store).await.unwrap();
    let options = GatewayOptions::new().with_virtual_keys(keys);
    Gateway::new(config.with_router(router), options)
}

/// `llama`, at a cent for each token.
fn priced(provider: Arc<Scripted>) -> Deployment {
    Deployment::new("llama", provider, "upstream/model").with_prices(Prices::new(0.01, 0.01))
}

async fn priced_gateway(steps: impl Into<Vec<Step>>) -> Gateway {
    gateway(vec![priced(Scripted::new(steps))]).await
}

/// Sends a request with a key and further headers.
async fn ask(
    gateway: &Gateway,
    key: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Value,
) -> Response<ResponseBody> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    send(gateway.clone(), request.body(body.into()).unwrap()).await
}

async fn operate(gateway: &Gateway, path: &str, body: Value) -> Value {
    let response = ask(gateway, MASTER, Method::POST, path, &[], body).await;
    let status = response.status();
    let text = text(response).await;
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

async fn report(gateway: &Gateway, key: &str, path: &str) -> Value {
    let response = ask(gateway, key, Method::GET, path, &[], Value::Null).await;
    let status = response.status();
    let text = text(response).await;
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

async fn generate(gateway: &Gateway, body: Value) -> String {
    let answer = operate(gateway, "/key/generate", body).await;
    answer["key"].as_str().unwrap().to_owned()
}

/// A chat of about 10 tokens and a limit of 5.
async fn chat(gateway: &Gateway, key: &str, more: Value) -> Response<ResponseBody> {
    let mut body = json!({
        "model": "llama", "max_tokens": 5,
        "messages": [{ "role": "user", "content": "Hello" }],
    });
    let members = body.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    ask(
        gateway,
        key,
        Method::POST,
        "/v1/chat/completions",
        &[],
        body,
    )
    .await
}

/// The status of a response, and the code of its error.
async fn status(response: Response<ResponseBody>) -> (u16, String) {
    let status = response.status().as_u16();
    let answer: Value = serde_json::from_str(&text(response).await).unwrap_or_default();
    let code = answer["error"]["code"].as_str().unwrap_or_default();
    (status, code.to_owned())
}

#[tokio::test]
async fn a_call_is_recorded_with_its_key_its_tokens_and_its_cost() {
    let gateway = priced_gateway([Step::Json(REPLY)]).await;
    let body = json!({ "key_alias": "prod", "tags": ["a"] });
    let key = generate(&gateway, body).await;
    let headers = [
        ("x-litellm-tags", "b, c"),
        ("x-litellm-session-id", "s1"),
        ("x-request-id", "same"),
    ];
    let messages = json!([{ "role": "user", "content": "Hello" }]);
    let body = json!({ "model": "llama", "messages": messages, "user": "anna" });
    for _ in 0..2 {
        let path = "/v1/chat/completions";
        let response = ask(&gateway, &key, Method::POST, path, &headers, body.clone()).await;
        assert_eq!(response.headers()["x-litellm-response-cost"], "0.15");
        assert_eq!(
            response.headers()["x-litellm-model-id"],
            "scripted/upstream/model"
        );
        let logs = report(&gateway, MASTER, "/spend/logs?size=1").await;
        let call_id = response.headers()["x-litellm-call-id"].to_str().unwrap();
        assert_eq!(logs[0]["request_id"], call_id);
    }
    // An id of the client's does not make two requests one.
    let logs = report(&gateway, MASTER, "/spend/logs").await;
    assert_eq!(logs.as_array().unwrap().len(), 2, "{logs}");
    for (field, value) in [
        ("key_alias", json!("prod")),
        ("prompt_tokens", json!(10)),
        ("cached_tokens", json!(4)),
        ("completion_tokens", json!(5)),
        ("reasoning_tokens", json!(2)),
        ("spend", json!(0.15)),
        ("request_tags", json!(["a", "b", "c"])),
        ("session_id", json!("s1")),
        ("end_user", json!("anna")),
        ("model_group", json!("llama")),
        ("model", json!("upstream/model")),
        ("custom_llm_provider", json!("scripted")),
        ("model_id", json!("scripted/upstream/model")),
        ("call_type", json!("chat")),
        ("status", json!("success")),
        ("outcome", json!("complete")),
        ("is_streamed", json!(false)),
        ("is_estimated", json!(false)),
        ("has_price", json!(true)),
    ] {
        assert_eq!(logs[0][field], value, "{field}");
    }
    let info = report(&gateway, &key, "/key/info").await;
    assert_eq!(info["info"]["spend"], json!(0.3));
}

#[tokio::test]
async fn messages_and_responses_are_recorded_as_chats_are() {
    let gateway = priced_gateway([Step::Json(CHAT)]).await;
    for (path, body) in bodies(false) {
        let answer = ask(&gateway, MASTER, Method::POST, path, &[], body).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(
            answer.headers()["x-litellm-response-cost"],
            "0.15",
            "{path}"
        );
    }
    let logs = report(&gateway, MASTER, "/spend/logs").await;
    let spends: Vec<_> = logs
        .as_array()
        .unwrap()
        .iter()
        .map(|log| &log["spend"])
        .collect();
    assert_eq!(spends, [&json!(0.15), &json!(0.15)]);
}

#[tokio::test]
async fn a_stream_is_recorded_with_its_usage_although_the_client_does_not_get_it() {
    let gateway = priced_gateway([Step::Json(PIECE), Step::Json(PIECE), Step::Json(USAGE)]).await;
    let response = chat(&gateway, MASTER, json!({ "stream": true })).await;
    let answer = text(response).await;
    assert!(!answer.contains("usage"), "{answer}");
    let logs = report(&gateway, MASTER, "/spend/logs").await;
    let log = &logs[0];
    assert_eq!(log["spend"], json!(0.15), "{log}");
    assert_eq!(
        (&log["is_streamed"], &log["is_estimated"]),
        (&json!(true), &json!(false))
    );
    assert!(log["first_token_ms"].is_u64() && log["completionStartTime"].is_string());
}

/// litellm#37923: streams were recorded with no spend.
#[tokio::test]
async fn streamed_messages_and_responses_are_recorded_with_their_usage() {
    const LAST: &str = r#"{"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    for (path, body) in bodies(true) {
        let gateway = priced_gateway([PIECE, LAST, USAGE].map(Step::Json)).await;
        let answer = ask(&gateway, MASTER, Method::POST, path, &[], body).await;
        assert_eq!(answer.status(), 200, "{path}");
        text(answer).await;
        let logs = report(&gateway, MASTER, "/spend/logs").await;
        let log = &logs[0];
        assert_eq!(
            (&log["spend"], &log["outcome"]),
            (&json!(0.15), &json!("complete"))
        );
        assert_eq!(
            (&log["is_streamed"], &log["is_estimated"]),
            (&json!(true), &json!(false))
        );
    }
}

/// litellm#38176: budgets did not count these APIs.
#[tokio::test]
async fn budgets_count_messages_and_responses() {
    for (path, body) in bodies(false) {
        let gateway = priced_gateway([Step::Json(CHAT)]).await;
        let key = generate(&gateway, json!({ "max_budget": 0.3 })).await;
        let mut statuses = Vec::new();
        for _ in 0..3 {
            let answer = ask(&gateway, &key, Method::POST, path, &[], body.clone()).await;
            statuses.push(answer.status().as_u16());
        }
        assert_eq!(
            (statuses[0], statuses[2]),
            (200, 429),
            "{path}: {statuses:?}"
        );
        let keys = report(&gateway, MASTER, "/spend/keys").await;
        let spend = keys[0]["spend"].as_f64().unwrap();
        assert!((0.15..=0.3).contains(&spend), "{keys}");
    }
}

/// A request to each of the two APIs, for at most 5 tokens.
fn bodies(stream: bool) -> [(&'static str, Value); 2] {
    let messages = json!([{ "role": "user", "content": "Hello" }]);
    let response = json!({
        "model": "llama", "max_output_tokens": 5, "input": "Hello", "stream": stream,
    });
    let message = json!({
        "model": "llama", "max_tokens": 5, "messages": messages, "stream": stream,
    });
    [("/v1/messages", message), ("/v1/responses", response)]
}

#[tokio::test]
async fn a_client_that_leaves_pays_for_the_prompt_and_what_was_streamed() {
    let provider = Scripted::new([Step::Json(PIECE), Step::Json(PIECE), Step::Silence]);
    let gateway = gateway(vec![priced(provider.clone())]).await;
    let key = generate(&gateway, json!({})).await;
    let mut body = chat(&gateway, &key, json!({ "stream": true }))
        .await
        .into_body();
    frame(&mut body).await.unwrap();
    frame(&mut body).await.unwrap();
    drop(body);
    provider.until_running(0).await;
    let logs = report(&gateway, MASTER, "/spend/logs").await;
    let log = &logs[0];
    assert_eq!(
        (&log["outcome"], &log["is_estimated"]),
        (&json!("cancelled"), &json!(true))
    );
    assert_eq!(log["completion_tokens"], 2, "{log}");
    let prompt = log["prompt_tokens"].as_u64().unwrap();
    assert!(prompt > 5, "{log}");
    assert_eq!(log["spend"].as_f64(), Some((prompt as f64 + 2.0) / 100.0));
}

/// Each deployment is paid for its part, at its own prices.
#[tokio::test]
async fn a_continued_stream_costs_what_each_deployment_costs() {
    let cut = || Error::new(ErrorKind::Transport, "cut");
    let pieces = [Step::Json(PIECE), Step::Json(PIECE), Step::Fail(cut)];
    const LAST: &str = r#"{"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let deployment = |steps: &[Step], order, price, id: &str| {
        Deployment::new("llama", Scripted::new(steps), "upstream/model")
            .with_prices(Prices::new(price, price))
            .with_order(order)
            .with_id(id)
            .with_prefill(serde_json::Map::new())
    };
    let deployments = vec![
        deployment(&pieces, 0, 0.01, "first"),
        deployment(&[PIECE, LAST, USAGE].map(Step::Json), 1, 1.0, "second"),
    ];
    let store = Store::open("sqlite::memory:", StoreOptions::default());
    let router = Router::builder().with_continuation(true);
    let gateway = gateway_of(deployments, router, store.await.unwrap()).await;
    let key = generate(&gateway, json!({})).await;
    let reply = text(chat(&gateway, &key, json!({ "stream": true })).await).await;
    assert!(
        reply.contains("[DONE]") && reply.matches("Hi").count() == 3,
        "{reply}"
    );
    let logs = report(&gateway, MASTER, "/spend/logs").await;
    let log = &logs[0];
    assert_eq!(
        (
            &log["model_id"],
            &log["is_estimated"],
            &log["completion_tokens"]
        ),
        (&json!("second"), &json!(true), &json!(7)),
        "{log}"
    );
    // The second deployment reports 10 and 5 tokens.
    let first = log["prompt_tokens"].as_f64().unwrap() - 10.0 + 2.0;
    let spend = log["spend"].as_f64().unwrap();
    assert!((spend - (first / 100.0 + 15.0)).abs() < 1e-6, "{log}");
}

#[tokio::test]
async fn a_call_without_a_reply_is_recorded_with_its_deployment() {
    let silent = Scripted::new([Step::Silence]);
    let failing = Scripted::new([Step::Fail(|| Error::new(ErrorKind::Overloaded, "busy"))]);
    let gateway = gateway(vec![
        priced(silent.clone()).with_id("silent"),
        Deployment::new("other", failing, "upstream/other").with_id("failing"),
    ])
    .await;
    let key = generate(&gateway, json!({})).await;
    let waiting = tokio::spawn({
        let (gateway, key) = (gateway.clone(), key.clone());
        async move { chat(&gateway, &key, json!({})).await }
    });
    silent.until_running(1).await;
    waiting.abort();
    silent.until_running(0).await;
    chat(&gateway, &key, json!({ "model": "other" })).await;
    // These are not sent.
    let unknown = chat(&gateway, &key, json!({ "model": "nobody" })).await;
    assert_eq!(unknown.status(), 404);

    let logs = report(&gateway, MASTER, "/spend/logs").await;
    let logs = logs.as_array().unwrap();
    assert_eq!(logs.len(), 2, "{logs:?}");
    for (outcome, deployment, model) in [
        ("failed", "failing", "upstream/other"),
        ("cancelled", "silent", "upstream/model"),
    ] {
        // Both may have begun in the same millisecond.
        let log = logs.iter().find(|log| log["model_id"] == deployment);
        let log = log.unwrap_or_else(|| panic!("{deployment}: {logs:?}"));
        assert_eq!(log["outcome"], outcome, "{log}");
        assert_eq!(log["model"], model, "{log}");
        assert_eq!(log["custom_llm_provider"], "scripted", "{log}");
    }
}

#[tokio::test]
async fn tags_of_the_body_are_recorded() {
    let gateway = priced_gateway([Step::Json(REPLY)]).await;
    let key = generate(&gateway, json!({ "tags": ["key"] })).await;
    let body = json!({ "tags": ["body"], "metadata": { "tags": ["meta", "key"] } });
    assert_eq!(chat(&gateway, &key, body).await.status(), 200);
    let logs = report(&gateway, MASTER, "/spend/logs").await;
    assert_eq!(logs[0]["request_tags"], json!(["key", "body", "meta"]));
}

#[tokio::test]
async fn a_failed_call_costs_nothing_and_a_failover_is_recorded_once() {
    let failing = || Scripted::new([Step::Fail(|| Error::new(ErrorKind::Overloaded, "busy"))]);
    let broken = gateway(vec![priced(failing())]).await;
    for stream in [false, true] {
        let response = chat(&broken, MASTER, json!({ "stream": stream })).await;
        assert_eq!(response.status(), 503);
    }
    let logs = report(&broken, MASTER, "/spend/logs").await;
    assert_eq!(logs.as_array().unwrap().len(), 2);
    for log in logs.as_array().unwrap() {
        assert_eq!(
            (&log["status"], &log["spend"]),
            (&json!("failure"), &json!(0)),
            "{log}"
        );
    }

    let good = Scripted::new([Step::Json(REPLY)]);
    let deployments = vec![
        priced(failing()).with_id("bad"),
        priced(good).with_id("good").with_order(1),
    ];
    let gateway = gateway(deployments).await;
    assert_eq!(chat(&gateway, MASTER, json!({})).await.status(), 200);
    let logs = report(&gateway, MASTER, "/spend/logs").await;
    assert_eq!(logs.as_array().unwrap().len(), 1);
    assert_eq!(
        (&logs[0]["attempts"], &logs[0]["model_id"]),
        (&json!(2), &json!("good"))
    );
    assert_eq!(logs[0]["spend"], json!(0.15));
}

#[tokio::test]
async fn an_interrupted_stream_costs_what_was_streamed() {
    let fail = || Error::new(ErrorKind::Transport, "cut");
    let gateway = priced_gateway([Step::Json(PIECE), Step::Fail(fail)]).await;
    text(chat(&gateway, MASTER, json!({ "stream": true })).await).await;
    let logs = report(&gateway, MASTER, "/spend/logs").await;
    let log = &logs[0];
    assert_eq!(
        (&log["outcome"], &log["is_estimated"]),
        (&json!("failed"), &json!(true))
    );
    assert_eq!(log["completion_tokens"], 1, "{log}");
}

#[tokio::test]
async fn a_model_without_a_price_is_recorded_as_such() {
    let provider = Scripted::new([Step::Json(REPLY)]);
    let gateway = gateway(vec![Deployment::new("llama", provider, "m")]).await;
    let response = chat(&gateway, MASTER, json!({})).await;
    assert!(!response.headers().contains_key("x-litellm-response-cost"));
    let logs = report(&gateway, MASTER, "/spend/logs").await;
    assert_eq!(
        (&logs[0]["spend"], &logs[0]["has_price"]),
        (&json!(0), &json!(false))
    );
    let rows = report(&gateway, MASTER, "/global/spend/report?group_by=model").await;
    assert_eq!(rows[0]["unpriced_requests"], 1, "{rows}");
}

#[tokio::test]
async fn a_strict_request_is_refused_instead_of_losing_parameters() {
    let gateway = priced_gateway([Step::Json(REPLY)]).await;
    let message = |stops| {
        json!({
            "model": "llama", "max_tokens": 9, "service_tier": "auto", "stop_sequences": stops,
            "messages": [{ "role": "user", "content": "Hi" }],
        })
    };
    let response = json!({ "model": "llama", "input": "Hi", "service_tier": "flex" });
    for (place, body) in [
        ("/v1/messages", message(json!([]))),
        // The gateway ends the message itself.
        ("/v1/messages", message(json!(["\n"]))),
        ("/v1/responses", response),
    ] {
        let strict = [("x-polyllm-strict", "true")];
        let response = ask(&gateway, MASTER, Method::POST, place, &strict, body).await;
        let (status, answer) = (response.status(), text(response).await);
        assert_eq!(status, 400, "{answer}");
        assert!(answer.contains("service_tier"), "{answer}");
    }
}
