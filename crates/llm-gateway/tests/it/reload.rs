//! Replacing the configuration of a running gateway.

use crate::support::*;
use llm_gateway::{Config, Gateway, GatewayOptions};
use llm_provider::ApiKey;
use llm_router::Deployment;
use std::time::Duration;

const OLD: &str = r#"{"model":"llama","choices":[{"index":0,"delta":{"content":"old"}}]}"#;
const NEW: &str = r#"{"model":"llama","choices":[{"index":0,"delta":{"content":"new"}}]}"#;

#[tokio::test(start_paused = true)]
async fn new_requests_use_the_new_configuration_and_running_ones_end_with_the_old_one() {
    let old = Scripted::new([
        Step::Json(OLD),
        Step::Wait(Duration::from_secs(1)),
        Step::Json(OLD),
    ]);
    let gateway = gateway(old.clone());
    let mut running = send(gateway.clone(), chat_request(r#","stream":true"#))
        .await
        .into_body();
    let first = frame(&mut running).await.unwrap();

    let new = Scripted::new([Step::Json(NEW)]);
    gateway.reload(Config::new(vec![deployment(new.clone())]));
    let answer = text(send(gateway.clone(), chat_request(r#","stream":true"#)).await).await;
    assert!(
        answer.contains("new") && !answer.contains("old"),
        "{answer}"
    );

    assert_eq!(frame(&mut running).await.unwrap(), first);
    assert_eq!(frame(&mut running).await.unwrap(), "data: [DONE]\n\n");
    assert_eq!(old.calls.lock().unwrap().len(), 1);
    assert_eq!(new.calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn models_and_the_master_key_are_those_of_the_new_configuration() {
    let provider = Scripted::new([Step::Json("{}")]);
    let gateway = gateway(provider.clone());
    assert_eq!(gateway.models(), ["llama"]);
    assert_eq!(send(gateway.clone(), chat_request("")).await.status(), 200);
    let config = Config::new(vec![Deployment::new("other", provider, "m")]);
    gateway.reload(config.with_master_key(ApiKey::new("sk-1234")));
    assert_eq!(gateway.models(), ["other"]);
    assert_eq!(send(gateway.clone(), chat_request("")).await.status(), 401);
    let mut request = chat_request("");
    let key = "Bearer sk-1234".parse().unwrap();
    request.headers_mut().insert("authorization", key);
    assert_eq!(send(gateway, request).await.status(), 404);
}

#[tokio::test]
async fn the_options_stay() {
    let provider = Scripted::new([Step::Json("{}")]);
    let config = || Config::new(vec![deployment(provider.clone())]);
    let gateway = Gateway::new(config(), GatewayOptions::new().with_simulated(true));
    gateway.reload(config());
    let response = send(gateway, chat_request("")).await;
    assert_eq!(response.headers()["x-polyllm-simulated"], "true");
}
