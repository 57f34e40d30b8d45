//! Resources of an account, and public models.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use llm_provider::{ErrorKind, Result};
use llm_sim::{Sim, SimOptions, Timing};
use replicate_api::{
    DeploymentChange, Machines, NewPrediction, Prediction, ReplicateClient, Target, Version,
};
use serde_json::{Value, json};

use crate::scripted::*;

const MODEL: &str = "meta/meta-llama-3-8b-instruct";

async fn sim(options: SimOptions) -> (Sim, ReplicateClient) {
    let sim = Sim::start(options).await.unwrap();
    let client = ReplicateClient::new(settings(sim.replicate_url())).unwrap();
    (sim, client)
}

fn client(server: &Server) -> ReplicateClient {
    ReplicateClient::new(settings(&server.url)).unwrap()
}

pub(crate) fn small_machines() -> Machines {
    Machines::default()
        .with_hardware("gpu-t4")
        .with_min_instances(0)
        .with_max_instances(1)
}

async fn run(client: &ReplicateClient, name: &str) -> Result<Prediction> {
    let input = json!({"prompt": "Hello!"});
    let new = NewPrediction::new(
        Target::parse(name)?,
        input.as_object().cloned().unwrap_or_default(),
    );
    client.create_prediction(&new).await
}

#[tokio::test]
async fn lists_cover_all_pages_and_fetch_only_what_is_needed() {
    let (sim, client) = sim(SimOptions::default()).await;
    for _ in 0..205 {
        run(&client, MODEL).await.unwrap();
    }
    let mut expected: Vec<_> = sim
        .replicate()
        .predictions()
        .into_iter()
        .map(|seen| seen.id)
        .collect();
    expected.reverse();
    sim.replicate().forget_requests();
    let listed: Vec<Prediction> = client.predictions().try_collect().await.unwrap();
    let ids: Vec<_> = listed.iter().map(|one| one.id.clone()).collect();
    assert_eq!(ids, expected);
    assert_eq!(sim.replicate().requests().len(), 3);

    sim.replicate().forget_requests();
    let first: Vec<_> = client.predictions().take(100).collect().await;
    assert_eq!((first.len(), sim.replicate().requests().len()), (100, 1));
}

#[tokio::test]
async fn a_list_neither_leaves_its_host_nor_loops() {
    let foreign = Server::start(|_, _, _| Response::not_found()).await;
    let next = format!("{}/v1/predictions?cursor=2", foreign.url);
    let server = Server::start(move |_, seen, _| {
        let next = match seen.line().as_str() {
            "GET /v1/predictions" | "GET /v1/predictions?cursor=3" => next.clone(),
            "GET /v1/predictions?cursor=2" => next.replace("cursor=2", "cursor=3"),
            _ => return Response::not_found(),
        };
        let entry = json!({"id": "p1", "status": "brand-new", "shape": "round", "logs": null});
        Response::json(200, json!({"next": next, "results": [entry]}))
    })
    .await;
    let listed: Vec<_> = client(&server).predictions().try_collect().await.unwrap();
    assert_eq!((listed.len(), foreign.seen().len()), (3, 0));
    let written = serde_json::to_value(&listed[0]).unwrap();
    assert_eq!(
        written,
        json!({"id": "p1", "status": "brand-new", "shape": "round"})
    );
    assert!(!listed[0].status.is_terminal());
    assert!(!format!("{listed:?}").contains("round"));
}

#[tokio::test(start_paused = true)]
async fn a_prediction_is_watched_to_its_end_and_can_be_cancelled() {
    advance_in_small_steps();
    let timing = Timing::default()
        .with_boot(Duration::from_secs(30))
        .with_token(Duration::from_secs(2));
    let (sim, client) = sim(SimOptions::default().with_timing(timing)).await;
    let id = run(&client, MODEL).await.unwrap().id;
    let seen: Vec<_> = client
        .watch_prediction(&id)
        .map_ok(|prediction| prediction.status.0)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(seen[0], "starting");
    assert!(seen.contains(&"processing".to_owned()));
    assert_eq!(seen.last().unwrap(), "succeeded");

    let id = run(&client, MODEL).await.unwrap().id;
    assert_eq!(client.cancel_prediction(&id).await.unwrap().id, id);
    let cancelled = client.prediction(&id).await.unwrap();
    assert_eq!(cancelled.status.0, "canceled");
    assert_eq!(sim.replicate().running(), 0);
}

#[tokio::test]
async fn deployments_are_created_changed_and_deleted() {
    let (_sim, client) = sim(SimOptions::default()).await;
    let model = client.model("meta/meta-llama-3-8b-instruct").await.unwrap();
    let version = model.latest_version.unwrap();
    let new = DeploymentChange::default()
        .with_name("chat")
        .with_model("meta/meta-llama-3-8b-instruct")
        .with_version(version.id)
        .with_machines(small_machines());
    let made = client.create_deployment(&new).await.unwrap();
    assert_eq!(
        (made.owner.as_str(), made.current_release.number),
        ("acme", 1)
    );
    let made = run(&client, "deployments/acme/chat").await;
    assert!(made.is_ok());

    let machines = Machines::default().with_max_instances(3);
    let mut change = DeploymentChange::default().with_machines(machines);
    let changed = client
        .update_deployment("acme/chat", &change)
        .await
        .unwrap();
    let release = &changed.current_release;
    assert_eq!(
        (release.number, release.configuration.max_instances),
        (2, Some(3))
    );
    let all: Vec<_> = client.deployments().try_collect().await.unwrap();
    assert!(all.iter().any(|one| one.name == "chat"));
    let error = client.delete_deployment("acme/chat").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "it was just used");

    change.machines.max_instances = Some(300);
    let error = client
        .update_deployment("acme/chat", &change)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let error = client.deployment("acme/none").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.provider()),
        (ErrorKind::NotFound, Some("replicate"))
    );
}

#[tokio::test]
async fn an_unused_deployment_is_deleted() {
    let (_sim, client) = sim(SimOptions::default()).await;
    let mut all = std::pin::pin!(client.deployments());
    let first = all.try_next().await.unwrap().unwrap();
    let name = format!("{}/{}", first.owner, first.name);
    client.delete_deployment(&name).await.unwrap();
    let error = client.deployment(&name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_models_inputs_keep_its_order() {
    let (_sim, client) = sim(SimOptions::default()).await;
    let model = client.model("meta/meta-llama-3-8b-instruct").await.unwrap();
    let inputs = model.latest_version.unwrap().inputs();
    insta::assert_json_snapshot!("inputs_of_llama_3", inputs);
    let all: Vec<_> = client.public_models().try_collect().await.unwrap();
    assert!(all.len() > 5);
    let versions: Vec<_> = client
        .versions("meta/meta-llama-3-8b-instruct")
        .try_collect()
        .await
        .unwrap();
    assert!(!versions[0].inputs().is_empty());
}

#[tokio::test]
async fn enums_are_found_in_their_schema() {
    let openapi = json!({"components": {"schemas": {
        "decoding": {"type": "string", "enum": ["top_p", "top_k"], "description": "How to decode"},
        "Input": {"required": ["prompt"], "properties": {
            "decoding": {"allOf": [{"$ref": "#/components/schemas/decoding"}], "default": "top_p", "x-order": 1},
            "prompt": {"type": "string", "x-order": 0},
            "odd": 7,
        }},
    }}});
    let version = json!({"id": "v1", "openapi_schema": openapi});
    let version: Version = serde_json::from_value(version).unwrap();
    insta::assert_json_snapshot!("inputs_with_choices", version.inputs());
}

#[tokio::test]
async fn models_are_searched_and_listed_by_collection() {
    let (sim, client) = sim(SimOptions::default()).await;
    let found: Vec<_> = client.search_models("llama").try_collect().await.unwrap();
    assert!(found.len() > 1);
    assert!(found.iter().all(|model| {
        let described = format!("{} {} {:?}", model.owner, model.name, model.description);
        described.to_lowercase().contains("llama")
    }));
    let request = &sim.replicate().requests()[0];
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("QUERY", "/v1/models")
    );
    let nothing: Vec<_> = client
        .search_models("no such thing")
        .try_collect()
        .await
        .unwrap();
    assert!(nothing.is_empty());

    let collection = client.collection("language-models").await.unwrap();
    assert!(
        collection
            .models
            .iter()
            .any(|model| model.name == "meta-llama-3-8b-instruct")
    );
    let error = client.collection("no-such").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn the_account_is_returned() {
    let (_sim, client) = sim(SimOptions::default()).await;
    let account = client.account().await.unwrap();
    assert_eq!(
        (account.type_.as_str(), account.username.as_str()),
        ("organization", "acme")
    );
    let odd = json!({"type": "robot", "username": "r", "name": null, "shape": "round"});
    let account: replicate_api::Account = serde_json::from_value(odd).unwrap();
    assert_eq!(account.extra["shape"], "round");
}

#[tokio::test]
async fn a_search_keeps_its_query_on_every_page() {
    let server = Server::start(|_, seen, _| {
        let next = seen
            .path
            .ends_with("models")
            .then_some("https://elsewhere/?cursor=2");
        Response::json(
            200,
            json!({"next": next, "results": [{"owner": "a", "name": seen.text}]}),
        )
    })
    .await;
    let found: Vec<_> = client(&server)
        .search_models("two words")
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        server.lines(),
        ["QUERY /v1/models", "QUERY /v1/models?cursor=2"]
    );
    assert!(found.iter().all(|model| model.name == "two words"));
}

#[tokio::test]
async fn the_webhook_secret_verifies_its_signatures() {
    let (sim, client) = sim(SimOptions::default()).await;
    let secret = client.webhook_secret().await.unwrap();
    assert_eq!(secret.expose(), sim.replicate().webhook_secret());
    assert!(replicate_api::webhook::WebhookSecret::new(secret.expose()).is_ok());
    assert!(!format!("{secret:?}").contains("whsec_"));
}

#[tokio::test]
async fn names_that_would_change_the_path_are_rejected_unsent() {
    let server = Server::start(|_, _, _| Response::json(200, Value::Null)).await;
    let client = client(&server);
    for name in ["", "a", "a/b/c", "../b", "a/b?c", "a b/c"] {
        let error = client.model(name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{name}");
        let mut versions = std::pin::pin!(client.versions(name));
        assert!(versions.try_next().await.is_err());
        assert!(client.prediction(&format!("{name}/x")).await.is_err());
        let mut watched = std::pin::pin!(client.watch_prediction(&format!("{name}/x")));
        assert!(watched.try_next().await.is_err());
    }
    assert_eq!(server.seen().len(), 0);
}
