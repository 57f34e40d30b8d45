//! Virtual keys: the routes below `/key`, and what a client with such a key may do.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use gateway_store::{Clock, Store, StoreOptions, Timestamp};
use http::{Method, Request};
use llm_gateway::{Config, Gateway, GatewayOptions, VirtualKeys};
use llm_provider::ApiKey;
use llm_router::Deployment;
use serde_json::{Value, json};

use crate::support::{Scripted, Step, deployment, send, text};

pub(crate) const MASTER: &str = "sk-master";

/// A gateway with the model groups `llama` and `qwen`, and keys in memory.
async fn gateway() -> Gateway {
    gateway_with(StoreOptions::default()).await
}

async fn gateway_with(options: StoreOptions) -> Gateway {
    let provider = Scripted::new([Step::Json(r#"{"id":"1","choices":[]}"#)]);
    let deployments = vec![
        deployment(provider.clone()),
        Deployment::new("qwen", provider, "upstream/other"),
    ];
    let config = Config::new(deployments).with_master_key(ApiKey::new(MASTER));
    let store = Store::open("sqlite::memory:", options);
    let keys = VirtualKeys::new(store.await.unwrap()).await.unwrap();
    Gateway::new(config, GatewayOptions::new().with_virtual_keys(keys))
}

/// Sends a request with a key, and returns the status and the JSON of the response.
pub(crate) async fn call(
    gateway: &Gateway,
    key: &str,
    method: Method,
    path: &str,
    body: Value,
) -> (u16, Value) {
    let body = match body {
        Value::Null => String::new(),
        Value::String(text) => text,
        body => body.to_string(),
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap();
    let response = send(gateway.clone(), request).await;
    let status = response.status().as_u16();
    let text = text(response).await;
    (status, serde_json::from_str(&text).unwrap_or_default())
}

pub(crate) async fn operate(gateway: &Gateway, path: &str, body: Value) -> Value {
    let (status, answer) = call(gateway, MASTER, Method::POST, path, body).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

async fn generate(gateway: &Gateway, body: Value) -> String {
    let answer = operate(gateway, "/key/generate", body).await;
    answer["key"].as_str().unwrap().to_owned()
}

/// The status of a chat with a model, and the error's code.
async fn chat(gateway: &Gateway, key: &str, model: &str) -> (u16, String) {
    let body = json!({ "model": model, "messages": [{ "role": "user", "content": "Hello" }] });
    let (status, answer) = call(gateway, key, Method::POST, "/v1/chat/completions", body).await;
    let code = answer["error"]["code"].as_str().unwrap_or_default();
    (status, code.to_owned())
}

#[tokio::test]
async fn a_key_works_until_it_is_blocked_replaced_or_deleted() {
    let gateway = gateway().await;
    let key = generate(&gateway, json!({})).await;
    let denied = (401, "invalid_api_key".to_owned());
    assert_eq!(chat(&gateway, &key, "llama").await.0, 200);
    operate(&gateway, "/key/block", json!({ "key": key })).await;
    assert_eq!(chat(&gateway, &key, "llama").await, denied);
    operate(&gateway, "/key/unblock", json!({ "key": key })).await;
    assert_eq!(chat(&gateway, &key, "llama").await.0, 200);
    let answer = operate(&gateway, "/key/regenerate", json!({ "key": key })).await;
    assert_eq!(chat(&gateway, &key, "llama").await, denied);
    let new = answer["key"].as_str().unwrap();
    assert_eq!(chat(&gateway, new, "llama").await.0, 200);
    // A key may also be named by its hash.
    operate(
        &gateway,
        "/key/delete",
        json!({ "keys": [answer["token"]] }),
    )
    .await;
    assert_eq!(chat(&gateway, new, "llama").await, denied);
    // Or by its alias, as LiteLLM's client does.
    let named = generate(&gateway, json!({ "key_alias": "named" })).await;
    let delete = json!({ "keys": null, "key_aliases": ["named"] });
    operate(&gateway, "/key/delete", delete).await;
    assert_eq!(chat(&gateway, &named, "llama").await, denied);
    assert_eq!(
        chat(&gateway, "sk-unknown-0123456789", "llama").await,
        denied
    );
}

#[tokio::test]
async fn a_key_expires() {
    let millis = Arc::new(AtomicI64::new(1_700_000_000_000));
    let now = Arc::clone(&millis);
    let clock = Clock::new(move || Timestamp::from_millis(now.load(SeqCst)));
    let gateway = gateway_with(StoreOptions::default().with_clock(clock)).await;
    let key = generate(&gateway, json!({ "duration": "1h" })).await;
    assert_eq!(chat(&gateway, &key, "llama").await.0, 200);
    millis.fetch_add(60 * 60 * 1000, SeqCst);
    let expired = (401, "invalid_api_key".to_owned());
    assert_eq!(chat(&gateway, &key, "llama").await, expired);
}

#[tokio::test]
async fn a_key_calls_and_sees_its_models_only() {
    let gateway = gateway().await;
    let body = json!({ "models": ["qwen"], "aliases": { "gpt-4": "qwen", "gpt-5": "llama" } });
    let key = generate(&gateway, body).await;
    let denied = (403, "key_model_access_denied".to_owned());
    assert_eq!(chat(&gateway, &key, "qwen").await.0, 200);
    assert_eq!(chat(&gateway, &key, "gpt-4").await.0, 200);
    assert_eq!(chat(&gateway, &key, "gpt-5").await, denied);
    for (fallback, status) in [("gpt-4", 200), ("llama", 403)] {
        let body = json!({ "model": "qwen", "messages": [{ "role": "user", "content": "Hi" }], "fallbacks": [fallback] });
        let path = "/v1/chat/completions";
        let (answered, _) = call(&gateway, &key, Method::POST, path, body).await;
        assert_eq!(answered, status, "{fallback}");
    }
    assert_eq!(chat(&gateway, &key, "llama").await, denied);
    let (_, list) = call(&gateway, &key, Method::GET, "/v1/models", Value::Null).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    let (status, _) = call(&gateway, &key, Method::GET, "/v1/models/llama", Value::Null).await;
    assert_eq!(status, 403);
    operate(
        &gateway,
        "/key/update",
        json!({ "key": key, "models": null }),
    )
    .await;
    assert_eq!(chat(&gateway, &key, "gpt-5").await.0, 200);
}

#[tokio::test]
async fn only_the_master_key_manages_keys() {
    let gateway = gateway().await;
    let key = generate(&gateway, json!({ "key_alias": "mine" })).await;
    for (method, path) in [
        (Method::POST, "/key/generate"),
        (Method::POST, "/key/update"),
        (Method::POST, "/key/delete"),
        (Method::POST, "/key/regenerate"),
        (Method::POST, "/key/block"),
        (Method::POST, "/key/unblock"),
        (Method::GET, "/key/list"),
        (Method::GET, "/key/info?key=sk-another-0123456789"),
    ] {
        let (status, answer) = call(&gateway, &key, method, path, json!({ "key": key })).await;
        assert_eq!(status, 403, "{path}: {answer}");
    }
    // A client may look at its own key.
    let (status, answer) = call(&gateway, &key, Method::GET, "/key/info", Value::Null).await;
    assert_eq!(
        (status, &answer["info"]["key_alias"]),
        (200, &json!("mine"))
    );
}

#[tokio::test]
async fn keys_have_the_fields_of_litellm_and_show_their_secret_once() {
    let gateway = gateway().await;
    let body = json!({
        "key_alias": "prod", "models": ["llama"], "duration": "30d", "tags": ["a"],
        "metadata": { "cost-center": 42 }, "max_budget": null,
    });
    let made = operate(&gateway, "/key/generate", body).await;
    for (field, value) in [
        ("key_alias", json!("prod")),
        ("models", json!(["llama"])),
        ("tags", json!(["a"])),
        ("metadata", json!({ "cost-center": 42 })),
        ("max_budget", Value::Null),
        ("blocked", json!(false)),
    ] {
        assert_eq!(made[field], value, "{field}");
    }
    assert!(made["expires"].as_str().unwrap().ends_with('Z'));
    let secret = made["key"].as_str().unwrap();
    let path = format!("/key/info?key={secret}");
    let (_, info) = call(&gateway, MASTER, Method::GET, &path, Value::Null).await;
    assert_eq!(
        (&info["key"], &info["info"]["spend"]),
        (&made["token"], &json!(0))
    );
    let path = "/key/list?return_full_object=true&key_alias=prod";
    let (_, list) = call(&gateway, MASTER, Method::GET, path, Value::Null).await;
    assert_eq!(list["keys"][0]["token"], made["token"]);
    for answer in [info, list] {
        assert!(!answer.to_string().contains(&secret[3..]), "{answer}");
    }
}

#[tokio::test]
async fn invalid_requests_for_keys_name_what_is_wrong() {
    let gateway = gateway().await;
    generate(&gateway, json!({ "key_alias": "taken" })).await;
    for (path, body, expected, part) in [
        ("/key/generate", json!("{"), 400, "the body is invalid"),
        (
            "/key/generate",
            json!({ "guardrails": ["pii"] }),
            400,
            "`guardrails` is not supported",
        ),
        (
            "/key/generate",
            json!({ "rpm_limit": -1 }),
            400,
            "the body is invalid",
        ),
        (
            "/key/generate",
            json!({ "rpm_limit": 0 }),
            400,
            "`rpm_limit`: give 1 to",
        ),
        (
            "/key/generate",
            json!({ "max_budget": -1 }),
            400,
            "`max_budget`: give 0 to",
        ),
        (
            "/key/generate",
            json!({ "duration": "soon" }),
            400,
            "not a duration",
        ),
        (
            "/key/generate",
            json!({ "models": "llama" }),
            400,
            "expected an array, found a string",
        ),
        (
            "/key/generate",
            json!({ "key": "short" }),
            400,
            "must begin with `sk-`",
        ),
        (
            "/key/generate",
            json!({ "key_alias": "a\u{1b}[2J" }),
            400,
            "`key_alias`",
        ),
        (
            "/key/generate",
            json!({ "key_alias": "taken" }),
            409,
            "already in use",
        ),
        (
            "/key/generate",
            json!({ "team_id": "nobody" }),
            400,
            "`team_id`: no such team",
        ),
        ("/key/update", json!({ "models": [] }), 400, "give `key`"),
        (
            "/key/block",
            json!({ "key": "sk-unknown" }),
            404,
            "no such key",
        ),
        ("/key/block", json!({ "token": "x" }), 400, "unknown field"),
        (
            "/key/delete",
            json!({ "keys": null, "key_aliases": ["nobody"] }),
            404,
            "no such key",
        ),
        (
            "/key/generate",
            json!({ "tpm_limit": 1e30 }),
            400,
            "the body is invalid",
        ),
        (
            "/key/generate",
            json!({ "max_budget": 1e300 }),
            400,
            "the body is invalid",
        ),
        (
            "/key/generate",
            json!({ "duration": "99999999999999999999d" }),
            400,
            "not a duration",
        ),
        (
            "/key/delete",
            json!({ "keys": [] }),
            400,
            "`keys` or `key_aliases`: give 1 to",
        ),
    ] {
        let (status, answer) = call(&gateway, MASTER, Method::POST, path, body).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(status, expected, "{path}: {answer}");
        assert!(message.contains(part), "{path}: {message}");
    }
    let (status, _) = call(&gateway, MASTER, Method::GET, "/key/generate", Value::Null).await;
    assert_eq!(status, 405);
    let (status, _) = call(
        &gateway,
        MASTER,
        Method::GET,
        "/key/list?size=0",
        Value::Null,
    )
    .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn without_a_database_there_are_no_keys() {
    let provider = Scripted::new([Step::Json("{}")]);
    let config = Config::new(vec![deployment(provider)]);
    let open = Gateway::new(config, GatewayOptions::new());
    let (status, _) = call(&open, MASTER, Method::POST, "/key/generate", json!({})).await;
    assert_eq!(status, 403);
    let provider = Scripted::new([Step::Json("{}")]);
    let config = Config::new(vec![deployment(provider)]).with_master_key(ApiKey::new(MASTER));
    let closed = Gateway::new(config, GatewayOptions::new());
    let (status, answer) = call(&closed, MASTER, Method::POST, "/key/generate", json!({})).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (404, &json!("no_key_database"))
    );
}
