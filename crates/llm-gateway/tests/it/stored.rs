//! Responses that the gateway keeps, in SQLite and in PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::support::*;
use axum::body::Body as Upload;
use gateway_store::{Clock, KeySettings, Store, StoreOptions, Timestamp};
use http::{Method, Request, StatusCode};
use llm_gateway::{Config, Gateway, GatewayOptions, ResponseOptions, StoredResponses, VirtualKeys};
use llm_provider::ApiKey;
use serde_json::{Value, json};

const REPLY: &str = r#"{"id":"c1","created":5,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;
const HELLO: &str = r#"{"id":"c1","created":5,"model":"m","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}"#;
const LAST: &str = r#"{"id":"c1","created":5,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

/// Runs async functions that take the URL of a database as tests, on SQLite and on PostgreSQL.
macro_rules! on_every_database {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name("sqlite::memory:").await;
            })*
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test]
            #[ignore = "needs a PostgreSQL server: cargo xtask ci --only services"]
            async fn $name() {
                let server = std::env::var("GATEWAY_STORE_POSTGRES").unwrap();
                let url = format!("{}/postgres", server.trim_end_matches('/'));
                super::$name(&url).await;
            })*
        }
    };
}

on_every_database!(
    a_response_is_continued_with_its_input_and_output,
    items_can_be_referred_to,
    a_streamed_response_is_retrieved_listed_and_deleted,
    a_response_is_kept_only_if_the_client_wants_it,
    a_strict_response_in_the_background_loses_no_parameter,
    a_response_in_the_background_is_polled,
    a_response_in_the_background_is_continued_when_it_has_ended,
    an_unknown_model_does_not_run_in_the_background,
    a_response_in_the_background_is_cancelled_upstream,
    responses_expire,
    another_gateway_has_the_responses_and_another_key_has_not,
    the_background_needs_a_kept_response,
);

async fn open(url: &str) -> Store {
    let options = StoreOptions::default().with_timeout(Duration::from_secs(20));
    Store::open(url, options).await.unwrap()
}

async fn keeping(url: &str, steps: impl Into<Vec<Step>>) -> (Gateway, Arc<Scripted>) {
    let provider = Scripted::new(steps);
    let stored = StoredResponses::new(&open(url).await, ResponseOptions::default());
    (gateway_with(provider.clone(), stored), provider)
}

fn gateway_with(provider: Arc<Scripted>, stored: StoredResponses) -> Gateway {
    let options = GatewayOptions::new().with_stored_responses(stored);
    Gateway::new(Config::new(vec![deployment(provider)]), options)
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

async fn a_response_is_continued_with_its_input_and_output(url: &str) {
    let (gateway, provider) = keeping(url, [Step::Json(REPLY)]).await;
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

async fn items_can_be_referred_to(url: &str) {
    let (gateway, provider) = keeping(url, [Step::Json(REPLY)]).await;
    let (_, first) = create(&gateway, json!({"model": "llama", "input": "One"})).await;
    let body = json!({"model": "llama", "input": [{"role": "user", "content": "One"},
        {"type": "item_reference", "id": first["output"][0]["id"]},
        {"role": "user", "content": "Two"}]});
    assert_eq!(create(&gateway, body).await.0, 200);
    let sent: Value = serde_json::from_str(&provider.calls.lock().unwrap()[1]).unwrap();
    assert_eq!(sent["messages"][1]["content"], "Hello");
}

async fn a_streamed_response_is_retrieved_listed_and_deleted(url: &str) {
    let (gateway, _) = keeping(url, [Step::Json(HELLO), Step::Json(LAST)]).await;
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
    let streamed = format!("{path}?include=a&stream=true");
    let (status, error) = ask(&gateway, Method::GET, &streamed, Value::Null).await;
    assert_eq!(
        (status.as_u16(), &error["error"]["param"]),
        (400, &json!("stream"))
    );

    let items = format!("{path}/input_items?limit=1&order=asc");
    let (_, list) = ask(&gateway, Method::GET, &items, Value::Null).await;
    assert_eq!(
        (&list["data"][0]["content"], &list["has_more"]),
        (&json!([{"type": "input_text", "text": "a"}]), &json!(true))
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
        (&list["data"][0]["content"][0]["text"], &list["has_more"]),
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

async fn a_response_is_kept_only_if_the_client_wants_it(url: &str) {
    let (gateway, _) = keeping(url, [Step::Json(REPLY)]).await;
    let body = json!({"model": "llama", "input": "x", "store": false});
    let (_, response) = create(&gateway, body).await;
    assert_eq!(response["store"], false);
    let path = format!("/v1/responses/{}", response["id"].as_str().unwrap());
    assert_eq!(ask(&gateway, Method::GET, &path, Value::Null).await.0, 404);
}

async fn the_background_needs_a_kept_response(url: &str) {
    let (gateway, _) = keeping(url, [Step::Json(REPLY)]).await;
    let body = json!({"model": "llama", "input": "x", "background": true, "store": false});
    let (status, error) = create(&gateway, body).await;
    assert_eq!(status, 400);
    assert_eq!(error["error"]["param"], "background");
}

async fn a_strict_response_in_the_background_loses_no_parameter(url: &str) {
    let (gateway, provider) = keeping(url, [Step::Json(REPLY)]).await;
    let body = json!({"model": "llama", "input": "x", "background": true, "service_tier": "flex"});
    let mut request: Request<Upload> = post("/v1/responses", body.to_string());
    let strict = http::HeaderValue::from_static("true");
    request.headers_mut().insert("x-polyllm-strict", strict);
    let (status, error) = error(send(gateway, request).await).await;
    assert_eq!(status, 400, "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("service_tier"), "{message}");
    assert!(provider.calls.lock().unwrap().is_empty());
}

async fn a_response_in_the_background_is_polled(url: &str) {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let steps = [Step::Until(gate.clone()), Step::Json(REPLY)];
    let (gateway, _) = keeping(url, steps).await;
    let body = json!({"model": "llama", "input": "x", "background": true});
    let (_, started) = create(&gateway, body).await;
    let state = (&started["status"], &started["background"]);
    assert_eq!(state, (&json!("in_progress"), &json!(true)));
    let path = path_of(&started);
    let (_, response) = ask(&gateway, Method::GET, &path, Value::Null).await;
    assert_eq!(response, started);
    gate.close();
    let ended = until(&gateway, &path, "completed").await;
    assert_eq!(ended["output"][0]["content"][0]["text"], "Hello");
    let cancel = format!("{path}/cancel");
    let (_, cancelled) = ask(&gateway, Method::POST, &cancel, Value::Null).await;
    assert_eq!(cancelled, ended);
}

async fn a_response_in_the_background_is_continued_when_it_has_ended(url: &str) {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let steps = [Step::Until(gate.clone()), Step::Json(REPLY)];
    let (gateway, _) = keeping(url, steps).await;
    let body = json!({"model": "llama", "input": "x", "background": true});
    let (_, started) = create(&gateway, body).await;
    let next = json!({"model": "llama", "input": "y", "previous_response_id": started["id"]});
    let (status, error) = create(&gateway, next.clone()).await;
    assert_eq!(
        (status.as_u16(), &error["error"]["param"]),
        (400, &json!("previous_response_id"))
    );
    gate.close();
    let ended = until(&gateway, &path_of(&started), "completed").await;
    assert_eq!(ended["created_at"], started["created_at"]);
    assert_eq!(create(&gateway, next).await.0, 200);
}

async fn an_unknown_model_does_not_run_in_the_background(url: &str) {
    let (gateway, _) = keeping(url, [Step::Json(REPLY)]).await;
    let body = json!({"model": "zz", "input": "x", "background": true});
    assert_eq!(create(&gateway, body).await.0, 404);
}

async fn a_response_in_the_background_is_cancelled_upstream(url: &str) {
    let (gateway, provider) = keeping(url, [Step::Silence]).await;
    let body = json!({"model": "llama", "input": "x", "background": true});
    let (_, started) = create(&gateway, body.clone()).await;
    provider.until_running(1).await;
    let path = path_of(&started);
    let cancel = format!("{path}/cancel");
    let (_, response) = ask(&gateway, Method::POST, &cancel, Value::Null).await;
    assert_eq!(response["status"], "cancelled");
    provider.until_running(0).await;
    let (_, response) = ask(&gateway, Method::GET, &path, Value::Null).await;
    assert_eq!(response["status"], "cancelled");

    // Deletion cancels, too.
    let (_, started) = create(&gateway, body).await;
    provider.until_running(1).await;
    let (status, _) = ask(&gateway, Method::DELETE, &path_of(&started), Value::Null).await;
    assert_eq!(status, 200);
    provider.until_running(0).await;
}

async fn responses_expire(url: &str) {
    let now = Arc::new(AtomicI64::new(1_763_000_000_000));
    let clock = now.clone();
    let clock = Clock::new(move || Timestamp::from_millis(clock.load(Ordering::SeqCst)));
    let store = Store::open(url, StoreOptions::default().with_clock(clock)).await;
    // Other gateways of the same database, with the system's clock, must not delete it.
    let years = Duration::from_secs(3600 * 24 * 365 * 100);
    let options = ResponseOptions::default().with_time_to_live(years);
    let stored = StoredResponses::new(&store.unwrap(), options);
    let gateway = gateway_with(Scripted::new([Step::Json(REPLY)]), stored);
    let (_, response) = create(&gateway, json!({"model": "llama", "input": "x"})).await;
    let path = path_of(&response);
    let years = i64::try_from(years.as_millis()).unwrap();
    now.fetch_add(years - 1, Ordering::SeqCst);
    assert_eq!(ask(&gateway, Method::GET, &path, Value::Null).await.0, 200);
    now.fetch_add(1, Ordering::SeqCst);
    assert_eq!(ask(&gateway, Method::GET, &path, Value::Null).await.0, 404);
    let body = json!({"model": "llama", "input": "x", "previous_response_id": response["id"]});
    let (status, error) = create(&gateway, body).await;
    assert_eq!(status, 400);
    assert_eq!(error["error"]["code"], "previous_response_not_found");
}

async fn another_gateway_has_the_responses_and_another_key_has_not(url: &str) {
    let store = open(url).await;
    let keys = VirtualKeys::new(store.clone()).await.unwrap();
    let gateways = [0, 1].map(|_| {
        let config = Config::new(vec![deployment(Scripted::new([Step::Json(REPLY)]))]);
        let stored = StoredResponses::new(&store, ResponseOptions::default());
        let options = GatewayOptions::new().with_virtual_keys(keys.clone());
        Gateway::new(
            config.with_master_key(ApiKey::new("sk-master")),
            options.with_stored_responses(stored),
        )
    });
    let secret = async || {
        let generated = store.keys().generate(KeySettings::default()).await.unwrap();
        generated.secret.expose().to_owned()
    };
    let (own, other) = (secret().await, secret().await);
    let ask = async |gateway: &Gateway, key: &str, method, path: &str, body: Value| {
        let mut request = post(path, body.to_string());
        *request.method_mut() = method;
        let key = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", key);
        let response = send(gateway.clone(), request).await;
        let status = response.status().as_u16();
        let body = serde_json::from_str::<Value>(&text(response).await);
        (status, body.unwrap())
    };
    let create = json!({"model": "llama", "input": "One"});
    let (_, made) = ask(&gateways[0], &own, Method::POST, "/v1/responses", create).await;
    let path = path_of(&made);
    let (status, found) = ask(&gateways[1], &own, Method::GET, &path, json!({})).await;
    assert_eq!((status, &found), (200, &made));
    let item = json!({"type": "item_reference", "id": made["output"][0]["id"]});
    for key in [other.as_str(), "sk-master"] {
        for (method, path) in [
            (Method::GET, path.clone()),
            (Method::GET, format!("{path}/input_items")),
            (Method::POST, format!("{path}/cancel")),
            (Method::DELETE, path.clone()),
        ] {
            let (status, _) = ask(&gateways[1], key, method, &path, json!({})).await;
            assert_eq!(status, 404, "{path}");
        }
        let continued = json!({"model": "llama", "input": "x", "previous_response_id": made["id"]});
        let referring = json!({"model": "llama", "input": [item]});
        for body in [continued, referring] {
            let (status, error) = ask(&gateways[1], key, Method::POST, "/v1/responses", body).await;
            assert_eq!(status, 400, "{error}");
            assert!(!error.to_string().contains("Hello"));
        }
    }
    let body = json!({"model": "llama", "input": "x", "previous_response_id": made["id"]});
    let (status, _) = ask(&gateways[1], &own, Method::POST, "/v1/responses", body).await;
    assert_eq!(status, 200);
}

/// The other gateway learns of it when it next says that the response still runs.
#[tokio::test(start_paused = true)]
async fn a_response_in_the_background_is_cancelled_by_another_gateway() {
    let store = open("sqlite::memory:").await;
    let provider = Scripted::new([Step::Silence]);
    let stored = || StoredResponses::new(&store, ResponseOptions::default());
    let [one, other] = [0, 1].map(|_| gateway_with(provider.clone(), stored()));
    let body = json!({"model": "llama", "input": "x", "background": true});
    let (_, started) = create(&one, body).await;
    provider.until_running(1).await;
    let path = format!("{}/cancel", path_of(&started));
    let (_, response) = ask(&other, Method::POST, &path, Value::Null).await;
    assert_eq!(response["status"], "cancelled");
    provider.until_running(0).await;
}

#[tokio::test]
async fn the_input_tokens_of_a_response_include_what_it_continues() {
    let (gateway, provider) = keeping("sqlite::memory:", [Step::Json(REPLY)]).await;
    let (_, first) = create(&gateway, json!({"model": "llama", "input": "a b c d e f"})).await;
    let count = async |more: Value| {
        let mut body = json!({"model": "llama", "input": "x"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        ask(&gateway, Method::POST, "/v1/responses/input_tokens", body).await
    };
    let (_, alone) = count(json!({})).await;
    let (status, continued) = count(json!({"previous_response_id": first["id"]})).await;
    assert_eq!(status, 200, "{continued}");
    let tokens = |count: &Value| count["input_tokens"].as_u64().unwrap();
    assert!(
        tokens(&continued) >= tokens(&alone) + 7,
        "{alone} {continued}"
    );
    let (status, error) = count(json!({"previous_response_id": "resp_unknown"})).await;
    assert_eq!(status, 400);
    assert_eq!(error["error"]["code"], "previous_response_not_found");
    assert_eq!(
        provider.calls.lock().unwrap().len(),
        1,
        "no call of the upstream"
    );
}

/// The call is answered, and says that it is not stored.
#[tokio::test]
async fn what_cannot_be_stored_is_said() {
    let small = ResponseOptions::default().with_max_bytes(100);
    let small = StoredResponses::new(&open("sqlite::memory:").await, small);
    let closed = StoredResponses::new(&closed_store(), ResponseOptions::default());
    for stored in [small, closed.clone()] {
        let gateway = gateway_with(Scripted::new([Step::Json(REPLY)]), stored.clone());
        let body = json!({"model": "llama", "input": "x"});
        let (status, response) = create(&gateway, body).await;
        assert_eq!((status.as_u16(), &response["store"]), (200, &json!(false)));
        assert_eq!(response["output"][0]["content"][0]["text"], "Hello");

        let gateway = gateway_with(Scripted::new([HELLO, LAST].map(Step::Json)), stored);
        let body = json!({"model": "llama", "input": "x", "stream": true});
        let (_, frames) = create(&gateway, body).await;
        let frames = frames.as_str().unwrap();
        let last = frames.strip_suffix("\n\ndata: [DONE]\n\n").unwrap();
        let last = last.rsplit("data: ").next().unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        assert_eq!(last["type"], "response.completed");
        assert_eq!(last["response"]["store"], false);
    }
    // What needs the database fails as an outage, not as a response that does not exist.
    let gateway = gateway_with(Scripted::new([Step::Json(REPLY)]), closed);
    let (status, error) = ask(&gateway, Method::GET, "/v1/responses/resp_1", Value::Null).await;
    let code = &error["error"]["code"];
    assert_eq!(
        (status.as_u16(), code),
        (503, &json!("database_unavailable"))
    );
    for more in [
        json!({"previous_response_id": "resp_1"}),
        json!({"background": true}),
        json!({"input": [{"type": "item_reference", "id": "msg_1_0"}]}),
    ] {
        let mut body = json!({"model": "llama", "input": "x"});
        let members = body.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        let (status, error) = create(&gateway, body).await;
        assert_eq!(status, 503, "{error}");
    }
}

/// A store that does not answer any more: its runtime has ended.
fn closed_store() -> Store {
    let open = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let store = runtime.block_on(open("sqlite::memory:"));
        drop(runtime);
        store
    };
    std::thread::spawn(open).join().unwrap()
}

fn path_of(response: &Value) -> String {
    format!("/v1/responses/{}", response["id"].as_str().unwrap())
}

/// Waits for a status.
async fn until(gateway: &Gateway, path: &str, status: &str) -> Value {
    for _ in 0..6000 {
        let (_, response) = ask(gateway, Method::GET, path, Value::Null).await;
        if response["status"] == status {
            return response;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the response never was {status}");
}
