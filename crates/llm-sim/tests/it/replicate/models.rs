//! Models, their inputs and outputs, and permissions.

use std::time::Duration;

use llm_sim::{Memory, SimOptions, Timing};
use serde_json::{Value, json};

use super::{LLAMA3, VICUNA, ask, create, refused, url};
use crate::common::{self, client, get, json, post, start, start_with};

#[tokio::test]
async fn a_version_runs_with_its_model_only() {
    let sim = start().await;
    let version = |version: &str| json!({"version": version, "input": {"prompt": "hi"}});
    for (name, model) in [
        (VICUNA, "replicate/vicuna-13b"),
        (
            "6282abe6a492de4145d7bb601023762212f9ddbbe78278bd6771c8b3b2f2a13b",
            "replicate/vicuna-13b",
        ),
        (
            "replicate/llama-2-70b-chat:2796ee9483c3fd7aa2e171d38f4ca12251a30609463dcfd4cd76703f22e96cdf",
            "replicate/llama-2-70b-chat",
        ),
        (
            "a16z-infra/llama-2-13b-chat:2a7f981751ec7fdf87b5b91ad4db53683a98082e9ff7bfd12c8cd5ea85980a52",
            "a16z-infra/llama-2-13b-chat",
        ),
        (
            "daanelson/flan-t5-large:ce962b3f6792a57074a601d3979db5839697add2e4e02696b3ced4c022d4767f",
            "daanelson/flan-t5-large",
        ),
        (
            "meta/meta-llama-3-70b-instruct",
            "meta/meta-llama-3-70b-instruct",
        ),
        ("custom-llm-version-id", "sim/custom-llm"),
    ] {
        let body = create(&sim, "predictions", &version(name)).await;
        assert_eq!(body["model"], model);
    }
    let unlisted = format!("acme/anything:{}", "0a".repeat(32));
    create(&sim, "predictions", &version(&unlisted)).await;
    // The version of an unlisted model is found as well.
    let base = format!("{}/v1", sim.replicate_url());
    let (_, model) = json(get(format!(
        "{base}/models/togethercomputer/LLaMA-2-7B-32K"
    )))
    .await;
    let latest = model["latest_version"]["id"].as_str().unwrap();
    let named = format!("togethercomputer/LLaMA-2-7B-32K:{latest}");
    for version in [version(&named), version(latest)] {
        let body = create(&sim, "predictions", &version).await;
        assert_eq!(body["model"], "togethercomputer/LLaMA-2-7B-32K");
    }

    for bad in [
        "mistralai/mistral-7b-instruct-v0.1",
        "replicate/vicuna-13b:0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "acme/no-such-model",
        "nonsense",
        "a:b:c",
        "",
    ] {
        let body = refused(&sim, "predictions", &version(bad), 422).await;
        assert_eq!(body["title"], "Invalid version or not permitted", "{bad}");
    }
    refused(
        &sim,
        "models/replicate/vicuna-13b/predictions",
        &ask("hi"),
        404,
    )
    .await;
    refused(
        &sim,
        "models/meta/no-such-model/predictions",
        &ask("hi"),
        404,
    )
    .await;
    refused(
        &sim,
        "models/meta/meta-llama-3-8b-instruct",
        &ask("hi"),
        404,
    )
    .await;
}

#[tokio::test]
async fn deployments_run_and_are_managed() {
    let sim = start().await;
    let base = format!("{}/v1", sim.replicate_url());
    let path = "deployments/ishaan-jaff/ishaan-mistral/predictions";
    let body = create(
        &sim,
        path,
        &json!({"input": {"prompt": "hi"}, "stream": true}),
    )
    .await;
    assert_eq!(body["deployment"], "ishaan-jaff/ishaan-mistral");
    assert_eq!(body["model"], "mistralai/mistral-7b-instruct-v0.1");
    assert_eq!(body["stream"], true);
    assert!(body["urls"]["stream"].is_string());
    refused(&sim, "deployments/acme/nobody/predictions", &ask("hi"), 404).await;

    let new = json!({
        "name": "mine", "model": "replicate/vicuna-13b", "hardware": "gpu-t4",
        "version": "6282abe6a492de4145d7bb601023762212f9ddbbe78278bd6771c8b3b2f2a13b",
        "min_instances": 0, "max_instances": 3,
    });
    let (status, body) = json(post(format!("{base}/deployments"), &new)).await;
    assert_eq!(
        (status, body["current_release"]["number"].as_u64()),
        (200, Some(1))
    );
    let mut wrong = new.clone();
    wrong["max_instances"] = json!(21);
    wrong["extra"] = json!(1);
    let body = refused(&sim, "deployments", &wrong, 422).await;
    assert_eq!(body["invalid_fields"].as_array().unwrap().len(), 2);

    let one = format!("{base}/deployments/acme/mine");
    let patch = client()
        .patch(&one)
        .bearer_auth(common::KEY)
        .json(&json!({"min_instances": 2}));
    let (status, body) = json(patch).await;
    assert_eq!(
        (status, body["current_release"]["number"].as_u64()),
        (200, Some(2))
    );
    assert_eq!(body["current_release"]["configuration"]["min_instances"], 2);
    let (_, list) = json(get(format!("{base}/deployments"))).await;
    assert!(
        list["results"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["name"] == "mine")
    );

    create(&sim, "deployments/acme/mine/predictions", &ask("hi")).await;
    let delete = |url: &str| client().delete(url).bearer_auth(common::KEY).send();
    assert_eq!(delete(&one).await.unwrap().status(), 422, "used just now");
    let other = format!("{base}/deployments/acme/llama-3-chat");
    assert_eq!(delete(&other).await.unwrap().status(), 204);
    assert_eq!(json(get(other)).await.0, 404);
}

#[tokio::test]
async fn only_the_two_schemes_are_accepted() {
    let sim = start().await;
    let account = format!("{}/v1/account", sim.replicate_url());
    for good in ["Bearer r8_x", "Token r8_x", "bearer r8_x"] {
        let request = client().get(&account).header("authorization", good);
        assert_eq!(json(request).await.0, 200, "{good}");
    }
    for bad in [
        "Bearer ",
        "Bearer",
        "Basic r8_x",
        "r8_x",
        "Bearer invalid-key",
        "Token   ",
    ] {
        let response = client()
            .get(&account)
            .header("authorization", bad)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 401, "{bad}");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        let body: Value = response.json().await.unwrap();
        assert_eq!(
            body["detail"],
            "You did not pass a valid authentication token"
        );
        assert_eq!(body["title"], "Unauthenticated");
    }
    assert_eq!(json(client().get(&account)).await.0, 401);
    let log = format!(
        "{:?}",
        sim.replicate()
            .requests()
            .iter()
            .map(|one| &one.headers)
            .collect::<Vec<_>>()
    );
    assert!(!log.contains("r8_x"), "{log}");
}

#[tokio::test]
async fn models_have_schemas() {
    let sim = start().await;
    let base = format!("{}/v1", sim.replicate_url());
    let input = async |model: &str| {
        let (_, body) = json(get(format!("{base}/models/{model}"))).await;
        let id = body["latest_version"]["id"].as_str().unwrap().to_owned();
        let (_, list) = json(get(format!("{base}/models/{model}/versions"))).await;
        assert_eq!(list["results"][0]["id"], *id);
        let (_, version) = json(get(format!("{base}/models/{model}/versions/{id}"))).await;
        assert_eq!(version, body["latest_version"]);
        body
    };
    let schemas = "/latest_version/openapi_schema/components/schemas";
    let llama3 = input("meta/meta-llama-3-8b-instruct").await;
    let properties = llama3
        .pointer(&format!("{schemas}/Input/properties"))
        .unwrap();
    assert!(
        properties["prompt_template"]["default"]
            .as_str()
            .unwrap()
            .contains("{prompt}")
    );
    assert_eq!(properties["max_tokens"]["x-order"], 3);
    assert_eq!(llama3["is_official"], true);
    let output = llama3.pointer(&format!("{schemas}/Output")).unwrap();
    assert_eq!(output["x-cog-array-type"], "iterator");

    let llama2 = input("meta/llama-2-70b-chat").await;
    let properties = llama2
        .pointer(&format!("{schemas}/Input/properties"))
        .unwrap();
    assert!(properties.get("prompt_template").is_none());
    assert_eq!(properties["temperature"]["minimum"], 0.01);
    assert_eq!(
        llama2.pointer(&format!("{schemas}/Input/required")),
        Some(&json!(["prompt"]))
    );

    let hello = input("replicate/hello-world").await;
    assert_eq!(
        hello.pointer(&format!("{schemas}/Output/type")),
        Some(&json!("string"))
    );
    assert_eq!(hello["is_official"], false);
    assert_eq!(
        json(get(format!("{base}/models/meta/no-such-model")))
            .await
            .0,
        404
    );
    let (_, hardware) = json(get(format!("{base}/hardware"))).await;
    assert!(
        hardware
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["sku"] == "gpu-t4")
    );
}

#[tokio::test]
async fn lists_come_in_pages_newest_first() {
    let sim = start().await;
    let mut ids = Vec::new();
    for number in 0..105 {
        let fresh = create(&sim, LLAMA3, &ask(&format!("number {number}"))).await;
        ids.insert(0, fresh["id"].as_str().unwrap().to_owned());
    }
    let (_, first) = json(get(format!("{}/v1/predictions", sim.replicate_url()))).await;
    assert_eq!(first["results"].as_array().unwrap().len(), 100);
    assert!(first["results"][0].get("logs").is_none());
    assert_eq!(first["previous"], Value::Null);
    let (_, second) = json(get(first["next"].as_str().unwrap().to_owned())).await;
    assert_eq!(
        (&second["next"], second["previous"].is_string()),
        (&Value::Null, true)
    );
    let listed = [&first, &second]
        .map(|page| page["results"].as_array().unwrap().clone())
        .concat();
    let listed: Vec<_> = listed
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    assert_eq!(listed, ids);
    let web = get(format!("{}/v1/predictions?source=web", sim.replicate_url()));
    assert_eq!(json(web).await.1["results"], json!([]));
}

#[tokio::test]
async fn memory_is_bounded() {
    let timing = Timing::default().with_boot(Duration::from_secs(3600));
    let options = SimOptions::default().with_memory(Memory::default().with_predictions(2));
    let sim = start_with(options.clone().with_timing(timing)).await;
    create(&sim, LLAMA3, &ask("one")).await;
    create(&sim, LLAMA3, &ask("two")).await;
    let body = refused(&sim, LLAMA3, &ask("three"), 429).await;
    assert_eq!(body["retry_after"], 10);

    let sim = start_with(options).await;
    let first = create(&sim, LLAMA3, &ask("one")).await;
    create(&sim, LLAMA3, &ask("two")).await;
    create(&sim, LLAMA3, &ask("three")).await;
    assert_eq!(sim.replicate().predictions().len(), 2);
    assert_eq!(json(get(url(&first, "get"))).await.0, 404);
    let stream = client().get(url(&first, "stream")).send().await.unwrap();
    assert_eq!(stream.status(), 404);
}
