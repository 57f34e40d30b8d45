//! Every request on the wire: method, path, headers and body.

use std::time::Duration;

use futures_util::TryStreamExt;
use replicate_api::{DeploymentChange, Machines, NewPrediction, ReplicateClient, Target};
use serde_json::{Map, json};

use crate::documents::small_machines;
use crate::scripted::*;

#[tokio::test]
async fn account_requests() {
    let server = Server::start(|_, seen, _| match seen.line().as_str() {
        "DELETE /v1/deployments/acme/chat" => Response::new(204, "text/plain", ""),
        "GET /v1/predictions" => {
            let next = "https://api.replicate.com/v1/predictions?cursor=cD0y";
            Response::json(200, json!({"next": next, "results": []}))
        }
        "GET /v1/predictions/p1" | "POST /v1/predictions/p1/cancel" => {
            Response::json(200, json!({"id": "p1", "status": "canceled"}))
        }
        _ => Response::json(200, json!({"results": [], "key": "whsec_AAAA"})),
    })
    .await;
    let client = ReplicateClient::new(settings(&server.url)).unwrap();
    let new = DeploymentChange::default()
        .with_name("chat")
        .with_model("acme/llama")
        .with_version("v1")
        .with_machines(small_machines());
    let machines = Machines::default().with_max_instances(3);
    let change = DeploymentChange::default().with_machines(machines);

    client.prediction("p1").await.unwrap();
    client.cancel_prediction("p1").await.unwrap();
    let listed: Vec<_> = client.predictions().try_collect().await.unwrap();
    assert!(listed.is_empty());
    client.create_deployment(&new).await.unwrap();
    client
        .update_deployment("acme/chat", &change)
        .await
        .unwrap();
    client.delete_deployment("acme/chat").await.unwrap();
    client.deployment("acme/chat").await.unwrap();
    let _: Vec<_> = client.deployments().try_collect().await.unwrap();
    client.model("acme/llama").await.unwrap();
    let _: Vec<_> = client.public_models().try_collect().await.unwrap();
    let _: Vec<_> = client.versions("acme/llama").try_collect().await.unwrap();
    client.version("acme/llama", "v1").await.unwrap();
    let _: Vec<_> = client.search_models("llama").try_collect().await.unwrap();
    client.collection("language-models").await.unwrap();
    client.account().await.unwrap();
    client.webhook_secret().await.unwrap();
    insta::assert_json_snapshot!("account", requests(&server));
}

#[tokio::test]
async fn predictions_are_created_at_the_right_path() {
    let server =
        Server::start(|_, _, _| Response::json(201, json!({"id": "p1", "status": "starting"})))
            .await;
    let client = ReplicateClient::new(settings(&server.url)).unwrap();
    for name in ["acme/llama", "acme/llama:v1", "v1", "deployments/acme/chat"] {
        let input = Map::from_iter([("prompt".to_owned(), "Hi".into())]);
        let mut new = NewPrediction::new(Target::parse(name).unwrap(), input);
        client.create_prediction(&new).await.unwrap();
        new.wait = Duration::from_secs(90);
        new.cancel_after = Some(Duration::from_secs(1));
        new.extra
            .insert("webhook".to_owned(), "https://example.com/".into());
        client.create_prediction(&new).await.unwrap();
        new.stream = true;
        assert!(!format!("{new:?}").contains("Hi"));
    }
    insta::assert_json_snapshot!("predictions", requests(&server));
}
