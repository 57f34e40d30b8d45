//! Responses that the gateway keeps.

use std::time::Duration;

use crate::support::*;
use axum::body::Body as Upload;
use http::{Method, Request, StatusCode};
use llm_gateway::{Config, Gateway, GatewayOptions, StoredResponses};
use serde_json::{Value, json};

const REPLY: &str = r#"{"id":"c1","created":5,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;
const HELLO: &str = r#"{"id":"c1","created":5,"model":"m","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}"#;
const LAST: &str = r#"{"id":"c1","created":5,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

fn keeping(steps: impl Into<Vec<Step>>) -> (Gateway, std::sync::Arc<Scripted>) {
    let provider = Scripted::new(steps);
    let config = Config::new(vec![deployment(provider.clone())]);
    let stored = StoredResponses::in_memory(Duration::from_secs(3600));
    let options = GatewayOptions::new().with_stored_responses(stored);
    (Gateway::new(config, options), provider)
}

async fn ask(gateway: &Gateway, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut request: Request<Upload> = post(path, body);
    *request.method_mut() = method;
    let response = send(gateway.clone(), request).await;
    let status = response.status();
    let body = text(response).await;
    (
        status,
        serde_json::from_str(&body).unwrap_or_else(|_| body.into()),
    )
}

async fn create(gateway: &Gateway, body: Value) -> (StatusCode, Value) {
    ask(gateway, Method::POST, "/v1/responses", body).await
}

#[tokio::test]
async fn a_response_is_continued_with_its_input_and_output() {
    let (gateway, provider) = keeping([Step::Json(REPLY)]);
    let body = json!({"model": "llama", "input": "One", "instructions": "Be brief."});
    let (_, first) = create(&gateway, body).await;
    assert_eq!(first["store"], true);
    let body = json!({"model": "llama", "previous_response_id": first["id"],
        "input": [{"role": "user", "content": "Two"}]});
    let (_, second) = create(&gateway, body).await;
    assert_eq!(second["previous_response_id"], first["id"]);
    let body = json!({"model": "llama", "previous_response_id": second["id"], "input": "Three"});
    let (status, _) = create(&gateway, body).await;
    assert_eq!(status, 200);
    let sent: Value = serde_json::from_str(&provider.calls.lock().unwrap()[2]).unwrap();
    let sent: Vec<_> = sent["messages"].as_array().unwrap().iter().collect();
    let sent: Vec<_> = sent
        .iter()
        .map(|message| message["content"].as_str().unwrap())
        .collect();
    // Instructions are not carried over.
    assert_eq!(sent, ["One", "Hello", "Two", "Hello", "Three"]);

    let body = json!({"model": "llama", "previous_response_id": "resp_0", "input": "x"});
    let (status, error) = create(&gateway, body).await;
    assert_eq!(status, 400);
    assert_eq!(error["error"]["code"], "previous_response_not_found");
}

#[tokio::test]
async fn items_can_be_referred_to() {
    let (gateway, provider) = keeping([Step::Json(REPLY)]);
    let (_, first) = create(&gateway, json!({"model": "llama", "input": "One"})).await;
    let body = json!({"model": "llama", "input": [{"role": "user", "content": "One"},
        {"type": "item_reference", "id": first["output"][0]["id"]},
        {"role": "user", "content": "Two"}]});
    assert_eq!(create(&gateway, body).await.0, 200);
    let sent: Value = serde_json::from_str(&provider.calls.lock().unwrap()[1]).unwrap();
    assert_eq!(sent["messages"][1]["content"], "Hello");
}

#[tokio::test]
async fn a_streamed_response_is_retrieved_listed_and_deleted() {
    let (gateway, _) = keeping([Step::Json(HELLO), Step::Json(LAST)]);
    let input = json!([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]);
    let body = json!({"model": "llama", "input": input, "stream": true});
    let (_, frames) = create(&gateway, body).await;
    let last = frames.as_str().unwrap().lines();
    let mut last =
        last.filter_map(|line| line.strip_prefix("data: {").map(|rest| format!("{{{rest}")));
    let last: Value = serde_json::from_str(&last.next_back().unwrap()).unwrap();
    let path = format!("/v1/responses/{}", last["response"]["id"].as_str().unwrap());
    let (status, found) = ask(&gateway, Method::GET, &path, Value::Null).await;
    assert_eq!((status, &found), (StatusCode::OK, &last["response"]));

    let items = format!("{path}/input_items?limit=1&order=asc");
    let (_, list) = ask(&gateway, Method::GET, &items, Value::Null).await;
    assert_eq!(
        (&list["data"][0]["content"], &list["has_more"]),
        (&json!("a"), &json!(true))
    );
    let after = list["last_id"].as_str().unwrap();
    let (_, list) = ask(
        &gateway,
        Method::GET,
        &format!("{items}&after={after}"),
        Value::Null,
    )
    .await;
    assert_eq!(
        (&list["data"][0]["content"], &list["has_more"]),
        (&json!("b"), &json!(false))
    );
    let (status, _) = ask(
        &gateway,
        Method::GET,
        &format!("{path}/input_items?limit=0"),
        Value::Null,
    )
    .await;
    assert_eq!(status, 400);

    let (_, deleted) = ask(&gateway, Method::DELETE, &path, Value::Null).await;
    assert_eq!(deleted["deleted"], true);
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/cancel")),
        (Method::GET, format!("{path}/input_items")),
    ] {
        let (status, error) = ask(&gateway, method, &path, Value::Null).await;
        assert_eq!(
            (status.as_u16(), &error["error"]["code"]),
            (404, &json!("response_not_found"))
        );
    }
}

#[tokio::test]
async fn a_response_is_kept_only_if_the_client_wants_it() {
    let (gateway, _) = keeping([Step::Json(REPLY)]);
    let body = json!({"model": "llama", "input": "x", "store": false});
    let (_, response) = create(&gateway, body).await;
    assert_eq!(response["store"], false);
    let path = format!("/v1/responses/{}", response["id"].as_str().unwrap());
    assert_eq!(ask(&gateway, Method::GET, &path, Value::Null).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_response_in_the_background_is_polled() {
    let (gateway, _) = keeping([Step::Wait(Duration::from_secs(60)), Step::Json(REPLY)]);
    let body = json!({"model": "llama", "input": "x", "background": true});
    let (_, started) = create(&gateway, body).await;
    assert_eq!(
        (&started["status"], &started["background"]),
        (&json!("in_progress"), &json!(true))
    );
    let path = format!("/v1/responses/{}", started["id"].as_str().unwrap());
    loop {
        let (_, response) = ask(&gateway, Method::GET, &path, Value::Null).await;
        if response["status"] == "completed" {
            assert_eq!(response["output"][0]["content"][0]["text"], "Hello");
            break;
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    let (_, cancelled) = ask(
        &gateway,
        Method::POST,
        &format!("{path}/cancel"),
        Value::Null,
    )
    .await;
    assert_eq!(cancelled["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn a_response_in_the_background_is_cancelled_upstream() {
    let (gateway, provider) = keeping([Step::Silence]);
    let body = json!({"model": "llama", "input": "x", "background": true});
    let (_, started) = create(&gateway, body.clone()).await;
    provider.until_running(1).await;
    let path = format!("/v1/responses/{}", started["id"].as_str().unwrap());
    let (_, response) = ask(
        &gateway,
        Method::POST,
        &format!("{path}/cancel"),
        Value::Null,
    )
    .await;
    assert_eq!(response["status"], "cancelled");
    provider.until_running(0).await;

    // Deletion cancels, too.
    let (_, started) = create(&gateway, body).await;
    provider.until_running(1).await;
    let path = format!("/v1/responses/{}", started["id"].as_str().unwrap());
    assert_eq!(
        ask(&gateway, Method::DELETE, &path, Value::Null).await.0,
        200
    );
    provider.until_running(0).await;
}

#[tokio::test(start_paused = true)]
async fn responses_expire() {
    let (gateway, _) = keeping([Step::Json(REPLY)]);
    let (_, response) = create(&gateway, json!({"model": "llama", "input": "x"})).await;
    let path = format!("/v1/responses/{}", response["id"].as_str().unwrap());
    assert_eq!(ask(&gateway, Method::GET, &path, Value::Null).await.0, 200);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(ask(&gateway, Method::GET, &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn the_oldest_responses_make_room() {
    let provider = Scripted::new([Step::Json(REPLY)]);
    let stored = StoredResponses::in_memory(Duration::from_secs(3600)).with_max_bytes(10_000);
    let options = GatewayOptions::new().with_stored_responses(stored);
    let gateway = Gateway::new(Config::new(vec![deployment(provider)]), options);
    let mut paths = Vec::new();
    for _ in 0..5 {
        let (_, response) = create(&gateway, json!({"model": "llama", "input": "x"})).await;
        paths.push(format!(
            "/v1/responses/{}",
            response["id"].as_str().unwrap()
        ));
    }
    assert_eq!(
        ask(&gateway, Method::GET, &paths[0], Value::Null).await.0,
        404
    );
    assert_eq!(
        ask(&gateway, Method::GET, &paths[4], Value::Null).await.0,
        200
    );
}

#[tokio::test]
async fn the_background_needs_a_kept_response() {
    let (gateway, _) = keeping([Step::Json(REPLY)]);
    let body = json!({"model": "llama", "input": "x", "background": true, "store": false});
    let (status, error) = create(&gateway, body).await;
    assert_eq!(status, 400);
    assert_eq!(error["error"]["param"], "background");
}
