//! The models that a key may call: patterns, special names and aliases.

use gateway_store::{Store, StoreOptions};
use http::{Method, Request};
use llm_gateway::{Config, Gateway, GatewayOptions, ModelInfo, VirtualKeys};
use llm_provider::ApiKey;
use llm_router::{Deployment, Router};
use serde_json::{Value, json};

use crate::keys::{MASTER, call, operate};
use crate::support::{Scripted, Step, post, send, text};

const REPLY: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[
    {"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;

/// A gateway with the model groups `gpt` and `up/*`, and the alias `cheap` of `gpt`.
async fn gateway() -> Gateway {
    let provider = Scripted::new([Step::Json(REPLY)]);
    let deployments = vec![
        Deployment::new("gpt", provider.clone(), "gpt"),
        Deployment::new("up/*", provider, "*"),
    ];
    let router = Router::builder()
        .with_alias("cheap", "gpt")
        .with_alias("one", "up/one");
    let mut config = Config::new(deployments)
        .with_router(router)
        .with_master_key(ApiKey::new(MASTER));
    let mut info = ModelInfo::default();
    info.access_groups = vec!["beta".to_owned()];
    config
        .model_info
        .insert(config.deployments[0].id.clone(), info);
    let store = Store::open("sqlite::memory:", StoreOptions::default());
    let keys = VirtualKeys::new(store.await.unwrap()).await.unwrap();
    let gateway = Gateway::new(config, GatewayOptions::new().with_virtual_keys(keys));
    let team = json!({ "team_id": "t", "models": ["up/*"] });
    operate(&gateway, "/team/new", team).await;
    gateway
}

async fn generate(gateway: &Gateway, body: Value) -> String {
    let answer = operate(gateway, "/key/generate", body).await;
    answer["key"].as_str().unwrap().to_owned()
}

async fn chat(gateway: &Gateway, key: &str, model: &str) -> (u16, Value) {
    let body = json!({ "model": model, "messages": [{ "role": "user", "content": "Hello" }] });
    call(gateway, key, Method::POST, "/v1/chat/completions", body).await
}

/// The names that `/v1/models` lists.
async fn listed(gateway: &Gateway, key: &str) -> Vec<String> {
    let (_, list) = call(gateway, key, Method::GET, "/v1/models", Value::Null).await;
    let models = list["data"].as_array().unwrap().iter();
    models
        .map(|model| model["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_models_of_a_key_can_be_patterns_special_names_and_aliases() {
    let gateway = gateway().await;
    let all = ["cheap", "gpt", "one", "up/*"].as_slice();
    let of_up = ["one", "up/*"].as_slice();
    for (settings, callable, visible) in [
        (
            json!({ "models": ["up/*"] }),
            ["up/a", "one"].as_slice(),
            of_up,
        ),
        (
            json!({ "models": ["up/one"] }),
            &["up/one", "one"],
            &["one"],
        ),
        (json!({ "models": ["*"] }), &["up/a", "gpt", "cheap"], all),
        (
            json!({ "models": ["all-proxy-models"] }),
            &["up/a", "gpt", "cheap"],
            all,
        ),
        (
            json!({ "models": ["gpt"] }),
            &["gpt", "cheap"],
            &["cheap", "gpt"],
        ),
        (json!({ "models": ["cheap"] }), &["cheap"], &["cheap"]),
        (
            json!({ "models": ["all-team-models"], "team_id": "t" }),
            &["up/a"],
            of_up,
        ),
        (json!({ "models": ["*"], "team_id": "t" }), &["up/a"], of_up),
        (json!({ "models": ["all-team-models"] }), &[], &[]),
        (json!({ "models": ["no-default-models"] }), &[], &[]),
    ] {
        let key = generate(&gateway, settings.clone()).await;
        for model in ["up/a", "up/one", "one", "gpt", "cheap"] {
            let (status, answer) = chat(&gateway, &key, model).await;
            let is_pattern = callable.contains(&"up/a") && (model == "one" || model == "up/one");
            let expected = if callable.contains(&model) || is_pattern {
                200
            } else {
                403
            };
            assert_eq!(status, expected, "{settings}, {model}: {answer}");
        }
        assert_eq!(listed(&gateway, &key).await, visible, "{settings}");
    }
}

#[tokio::test]
async fn a_reply_has_the_name_that_the_client_uses_for_an_alias_of_its_key() {
    let gateway = gateway().await;
    let settings = json!({ "models": ["gpt"], "aliases": { "claude-x": "gpt", "bad": "up/a" } });
    let key = generate(&gateway, settings).await;
    let messages = json!([{ "role": "user", "content": "Hello" }]);
    for (path, body) in [
        ("/v1/chat/completions", json!({ "messages": messages })),
        (
            "/v1/messages",
            json!({ "messages": messages, "max_tokens": 9 }),
        ),
        ("/v1/responses", json!({ "input": "Hello" })),
    ] {
        let mut body = body;
        body["model"] = json!("claude-x");
        let (status, answer) = call(&gateway, &key, Method::POST, path, body.clone()).await;
        assert_eq!(
            (status, &answer["model"]),
            (200, &json!("claude-x")),
            "{path}: {answer}"
        );
        body["stream"] = json!(true);
        let request = post(path, body.to_string());
        let (mut head, body) = request.into_parts();
        let bearer = format!("Bearer {key}").parse().unwrap();
        head.headers.insert("authorization", bearer);
        let response = send(gateway.clone(), Request::from_parts(head, body)).await;
        let events = text(response).await;
        assert!(events.contains(r#""model":"claude-x""#), "{path}: {events}");
        assert!(!events.contains(r#""model":"gpt""#), "{path}: {events}");
    }
    for (name, expected) in [("claude-x", 200), ("gpt", 200), ("bad", 403)] {
        let path = format!("/v1/models/{name}");
        let (status, answer) = call(&gateway, &key, Method::GET, &path, Value::Null).await;
        assert_eq!(status, expected, "{answer}");
        if status == 200 {
            assert_eq!(answer["id"], name);
        }
    }
}

#[tokio::test]
async fn an_access_group_stands_for_its_model_groups() {
    let gateway = gateway().await;
    let key = generate(&gateway, json!({ "models": ["beta"] })).await;
    assert_eq!(listed(&gateway, &key).await, ["cheap", "gpt"]);
    for (model, expected) in [("gpt", 200), ("cheap", 200), ("up/one", 403)] {
        let (status, answer) = chat(&gateway, &key, model).await;
        assert_eq!(status, expected, "{model}: {answer}");
    }
    // The team has to allow it, too.
    let of_team = json!({ "models": ["beta"], "team_id": "t" });
    let key = generate(&gateway, of_team).await;
    assert_eq!(chat(&gateway, &key, "gpt").await.0, 403);
}
