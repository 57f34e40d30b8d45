//! Every request on the wire: method, path, headers and body.

use futures_util::TryStreamExt;
use llm_provider::cleanup;
use provider_replicate::manage::{DeploymentChange, Machines};
use serde_json::{Value, json};
use std::time::Duration;

use crate::support::*;

/// The requests that a server saw, without its address, which is another in each run.
fn requests(server: &Server) -> Vec<Value> {
    let seen = server.seen().into_iter().map(|seen| {
        let headers: Vec<String> = seen
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "host" | "user-agent" | "content-length"))
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        json!({"line": seen.line(), "headers": headers, "body": seen.body})
    });
    seen.collect()
}

#[tokio::test]
async fn a_plain_call() {
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        LOOK_UP => Answer::json(200, official(llama_3())),
        CREATE => Answer::json(201, prediction(url, "processing", json!(["Hi"]))),
        GET => Answer::json(200, succeeded(url, json!(["Hi"]))),
        _ => Answer::not_found(),
    })
    .await;
    chat(&server.provider(), ask(MODEL)).await.unwrap();
    insta::assert_json_snapshot!("plain_call", requests(&server));
}

#[tokio::test]
async fn a_stream_that_is_resumed_and_then_dropped() {
    let server = Server::start(|url, seen, before| match (seen.line().as_str(), before) {
        (LOOK_UP, _) => Answer::json(200, official(llama_3())),
        (CREATE, _) => {
            let mut prediction = prediction(url, "starting", Value::Null);
            prediction["urls"]["stream"] = json!(format!("{url}/v1/streams/s1"));
            Answer::json(201, prediction)
        }
        ("GET /v1/streams/s1", 0) => Answer::sse("event: output\nid: 17:0\ndata: Hi\n\n"),
        ("GET /v1/streams/s1", _) => {
            Answer::sse("event: output\nid: 17:1\ndata:  there\n\n").ending(End::Hang)
        }
        (GET, _) => Answer::json(200, prediction(url, "processing", Value::Null)),
        (CANCEL, _) => Answer::json(200, prediction(url, "canceled", Value::Null)),
        _ => Answer::not_found(),
    })
    .await;
    let mut stream = stream(&server.provider(), ask(MODEL)).await.unwrap();
    let mut text = String::new();
    while text != "Hi there" {
        text += &stream.next_text().await.unwrap().unwrap();
    }
    drop(stream);
    server.wait_for(CANCEL).await;
    assert!(cleanup::finish(Duration::from_secs(1)).await);
    insta::assert_json_snapshot!("resumed_and_dropped", requests(&server));
}

#[tokio::test]
async fn looking_after_an_account() {
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        "DELETE /v1/deployments/acme/chat" => Answer::new(204, "text/plain", ""),
        "GET /v1/predictions" => {
            let next = "https://api.replicate.com/v1/predictions?cursor=cD0y";
            Answer::json(200, json!({"next": next, "results": []}))
        }
        GET | CANCEL => Answer::json(200, prediction(url, "canceled", Value::Null)),
        _ => Answer::json(200, json!({"results": [], "key": "whsec_AAAA"})),
    })
    .await;
    let replicate = server.provider();
    let machines = Machines {
        hardware: Some("gpu-t4".to_owned()),
        min_instances: Some(0),
        max_instances: Some(1),
    };
    let new = DeploymentChange {
        name: Some("chat".to_owned()),
        model: Some("acme/llama".to_owned()),
        version: Some("v1".to_owned()),
        machines,
    };
    let mut change = DeploymentChange::default();
    change.machines.max_instances = Some(3);

    replicate.prediction("p1").await.unwrap();
    replicate.cancel_prediction("p1").await.unwrap();
    let listed: Vec<_> = replicate.predictions().try_collect().await.unwrap();
    assert!(listed.is_empty());
    replicate.create_deployment(&new).await.unwrap();
    replicate
        .update_deployment("acme/chat", &change)
        .await
        .unwrap();
    replicate.delete_deployment("acme/chat").await.unwrap();
    replicate.deployment("acme/chat").await.unwrap();
    let _: Vec<_> = replicate.deployments().try_collect().await.unwrap();
    replicate.model("acme/llama").await.unwrap();
    let _: Vec<_> = replicate.public_models().try_collect().await.unwrap();
    let _: Vec<_> = replicate
        .versions("acme/llama")
        .try_collect()
        .await
        .unwrap();
    replicate.webhook_secret().await.unwrap();
    insta::assert_json_snapshot!("account", requests(&server));
}
