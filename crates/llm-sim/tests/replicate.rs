//! The simulated Replicate, over loopback.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "this is a test")]

mod common;

use std::time::Duration;

use common::{client, events, get, json, post, start, start_with};
use llm_sim::{Failure, Fault, FaultRule, Memory, Pace, Reply, Sim, SimOptions, Status, Timing};
use serde_json::{Value, json};

const LLAMA3: &str = "models/meta/meta-llama-3-8b-instruct/predictions";
const VICUNA: &str =
    "replicate/vicuna-13b:6282abe6a492de4145d7bb601023762212f9ddbbe78278bd6771c8b3b2f2a13b";

fn ask(prompt: &str) -> Value {
    json!({"input": {"prompt": prompt}})
}

fn url(value: &Value, name: &str) -> String {
    value["urls"][name].as_str().expect("a URL").to_owned()
}

fn said(output: &Value) -> String {
    output
        .as_array()
        .expect("tokens")
        .iter()
        .map(|token| token.as_str().expect("text"))
        .collect()
}

#[tokio::test]
async fn a_prediction_is_created_got_and_streamed() {
    let sim = start().await;
    let base = format!("{}/v1", sim.replicate_url());
    let (status, fresh) = json(post(format!("{base}/{LLAMA3}"), &ask("hi"))).await;
    assert_eq!((status, fresh["status"].as_str()), (201, Some("starting")));
    for unknown in [
        "output",
        "started_at",
        "completed_at",
        "metrics",
        "data_removed",
        "source",
    ] {
        assert!(fresh.get(unknown).is_none(), "{unknown}");
    }
    assert_eq!(fresh["version"], "hidden");
    assert_eq!(fresh["logs"], "");

    let (status, done) = json(get(url(&fresh, "get"))).await;
    assert_eq!((status, done["status"].as_str()), (200, Some("succeeded")));
    let text = said(&done["output"]);
    assert!(text.starts_with("This is a simulated answer from meta/meta-llama-3-8b-instruct."));
    assert_eq!(done["output"].as_array().unwrap().last(), Some(&json!("")));
    assert_eq!(
        done["metrics"]["output_token_count"],
        done["output"].as_array().unwrap().len()
    );
    assert!(done["metrics"]["input_token_count"].as_u64().unwrap() > 5);
    assert!(done["logs"].as_str().unwrap().contains("<|begin_of_text|>"));

    // No key for the stream: its URL is the key.
    let response = client().get(url(&done, "stream")).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let all = events(response).await;
    let (last, outputs) = all.split_last().unwrap();
    assert_eq!((last.0.as_str(), last.2.as_str()), ("done", "{}"));
    assert!(
        outputs
            .iter()
            .all(|(name, id, _)| name == "output" && !id.is_empty())
    );
    assert_eq!(
        outputs
            .iter()
            .map(|(_, _, data)| data.as_str())
            .collect::<String>(),
        text
    );

    // Resumed in the middle.
    let resumed = client()
        .get(url(&done, "stream"))
        .header("last-event-id", &outputs[3].1);
    let rest = events(resumed.send().await.unwrap()).await;
    assert_eq!(rest, all[4..]);
}

#[tokio::test]
async fn a_held_back_answer_is_complete_but_processing() {
    let sim = start().await;
    let base = format!("{}/v1", sim.replicate_url());
    let request = post(format!("{base}/{LLAMA3}"), &ask("hi")).header("prefer", "wait=10");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["preference-applied"], "wait=10");
    assert!(response.headers().contains_key("location"));
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], "processing");
    assert!(said(&body["output"]).starts_with("This is a simulated answer"));
    assert!(body.get("metrics").is_none());
    assert!(body.get("completed_at").is_none());
    let (_, body) = json(get(url(&body, "get"))).await;
    assert_eq!(body["status"], "succeeded");
}

/// A simulation in which everything takes its time.
async fn slow() -> Sim {
    let timing = Timing::default()
        .with_queue(Duration::from_secs(1))
        .with_boot(Duration::from_secs(240))
        .with_first_token(Duration::from_secs(2))
        .with_token(Duration::from_secs(1));
    start_with(SimOptions::default().with_timing(timing)).await
}

async fn create(sim: &Sim, path: &str, body: &Value) -> Value {
    let (status, body) = json(post(format!("{}/v1/{path}", sim.replicate_url()), body)).await;
    assert_eq!(status, 201, "{body}");
    body
}

async fn refused(sim: &Sim, path: &str, body: &Value, wanted: u16) -> Value {
    let request = post(format!("{}/v1/{path}", sim.replicate_url()), body);
    let response = request.send().await.expect("an answer");
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert_eq!(response.status(), wanted);
    response.json().await.expect("JSON")
}

#[tokio::test(start_paused = true)]
async fn a_boot_takes_minutes_and_happens_once() {
    let sim = slow().await;
    let began = tokio::time::Instant::now();
    let first = create(&sim, LLAMA3, &ask("hi")).await;
    let second = create(&sim, LLAMA3, &ask("hi again")).await;
    tokio::time::sleep(Duration::from_secs(239)).await;
    let (_, body) = json(get(url(&first, "get"))).await;
    assert_eq!(body["status"], "starting");
    assert!(body.get("started_at").is_none() && body.get("output").is_none());

    sim.replicate()
        .predictions_until(|all| all[1].status == Status::Processing)
        .await;
    assert_eq!(began.elapsed().as_secs(), 240);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (_, body) = json(get(url(&first, "get"))).await;
    assert_eq!(body["status"], "processing");
    assert!(body["started_at"].is_string() && body.get("completed_at").is_none());
    assert_eq!(body["output"], json!(["This", " is", " a"]));

    sim.replicate()
        .predictions_until(|all| all.iter().all(|one| one.status.is_terminal()))
        .await;
    let (_, body) = json(get(url(&second, "get"))).await;
    let metrics = &body["metrics"];
    let (predict, total) = (
        metrics["predict_time"].as_f64(),
        metrics["total_time"].as_f64(),
    );
    assert!(total.unwrap() - predict.unwrap() >= 240.0, "{metrics}");
    assert_eq!(metrics["time_to_first_token"], 2.0);
    assert!(metrics["tokens_per_second"].as_f64().unwrap() < 1.0);

    // Warm now.
    let third = create(&sim, LLAMA3, &ask("hi")).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let (_, body) = json(get(url(&third, "get"))).await;
    assert_eq!(body["status"], "processing");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_over_answers_202_and_starting() {
    let sim = slow().await;
    let began = tokio::time::Instant::now();
    let request = post(format!("{}/v1/{LLAMA3}", sim.replicate_url()), &ask("hi"));
    let response = request.header("prefer", "wait").send().await.unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!(response.headers()["preference-applied"], "wait");
    let body: Value = response.json().await.unwrap();
    assert_eq!(
        (body["status"].as_str(), &body["output"]),
        (Some("starting"), &Value::Null)
    );

    // Running, and still called starting.
    tokio::time::sleep(Duration::from_secs(200)).await;
    let request = post(format!("{}/v1/{LLAMA3}", sim.replicate_url()), &ask("hi"));
    let response = request.header("prefer", "wait=5").send().await.unwrap();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], "starting");

    // What is no duration is no preference.
    for strange in ["wait=0", "wait=x", "respond-async"] {
        let request = post(format!("{}/v1/{LLAMA3}", sim.replicate_url()), &ask("hi"));
        let response = request.header("prefer", strange).send().await.unwrap();
        assert_eq!(response.status(), 201);
        assert!(!response.headers().contains_key("preference-applied"));
    }
}

#[tokio::test(start_paused = true)]
async fn cancelling_stops_a_prediction_and_its_stream() {
    let sim = slow().await;
    let fresh = create(&sim, LLAMA3, &ask("hi")).await;
    let streamed = tokio::spawn(get(url(&fresh, "stream")).send());
    let response = streamed.await.unwrap().unwrap();
    let all = tokio::spawn(events(response));
    sim.replicate()
        .predictions_until(|all| all[0].output.is_array())
        .await;
    assert_eq!(sim.replicate().running(), 1);

    let (status, body) = json(post(url(&fresh, "cancel"), &json!({}))).await;
    assert_eq!((status, body["status"].as_str()), (200, Some("canceled")));
    assert_eq!(body["logs"], Value::Null);
    assert_eq!(body["output"], json!(["This"]));
    assert!(body["completed_at"].is_string() && body["metrics"]["predict_time"].is_f64());
    let seen = &sim.replicate().predictions()[0];
    assert_eq!((seen.status, seen.cancel_calls), (Status::Canceled, 1));
    assert!(seen.cancelled.is_some());
    assert_eq!(
        (
            sim.replicate().running(),
            sim.replicate().count(Status::Canceled)
        ),
        (0, 1)
    );

    let (_, again) = json(post(url(&fresh, "cancel"), &json!({}))).await;
    assert_eq!(again["completed_at"], body["completed_at"]);
    // The stream gave up while the model booted, as the real one does.
    assert_eq!(all.await.unwrap(), []);
    let end = events(get(url(&fresh, "stream")).send().await.unwrap()).await;
    let data: Vec<_> = end.iter().map(|(_, _, data)| data.as_str()).collect();
    assert_eq!(data, ["This", r#"{"reason": "canceled"}"#]);
}

#[tokio::test(start_paused = true)]
async fn an_open_stream_ends_when_its_prediction_is_cancelled() {
    let timing = Timing::default()
        .with_boot(Duration::from_secs(240))
        .with_stream_idle(None);
    let sim = start_with(SimOptions::default().with_timing(timing)).await;
    let fresh = create(&sim, LLAMA3, &ask("hi")).await;
    let response = get(url(&fresh, "stream")).send().await.unwrap();
    json(post(url(&fresh, "cancel"), &json!({}))).await;
    let data: Vec<_> = events(response)
        .await
        .into_iter()
        .map(|(_, _, data)| data)
        .collect();
    assert_eq!(data, [r#"{"reason": "canceled"}"#]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_is_closed_without_done() {
    let sim = slow().await;
    let fresh = create(&sim, LLAMA3, &ask("hi")).await;
    let began = tokio::time::Instant::now();
    let response = get(url(&fresh, "stream")).send().await.unwrap();
    assert_eq!(
        response.text().await.unwrap(),
        ": hi\n\n:408: 408 Request Timeout\n\n"
    );
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn deadlines_abort_or_cancel() {
    let sim = slow().await;
    let create = async |cancel_after: &str| {
        let request = post(format!("{}/v1/{LLAMA3}", sim.replicate_url()), &ask("hi"));
        json(request.header("cancel-after", cancel_after)).await
    };
    let (_, early) = create("30s").await;
    let (_, late) = create("4m5s").await;
    assert!(early["deadline"].is_string());
    let (status, body) = create("4s").await;
    assert_eq!((status, body["status"].as_u64()), (422, Some(422)));
    assert_eq!(create("soon").await.0, 422);

    tokio::time::sleep(Duration::from_secs(300)).await;
    let (_, early) = json(get(url(&early, "get"))).await;
    assert_eq!(
        (early["status"].as_str(), &early["output"]),
        (Some("aborted"), &Value::Null)
    );
    assert_eq!(early["started_at"], Value::Null);
    assert!(early["metrics"].get("predict_time").is_none());
    let (_, late) = json(get(url(&late, "get"))).await;
    assert_eq!(late["status"], "canceled");
    assert_eq!(late["output"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn versions_run_where_they_belong() {
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
    // The version of an unlisted model can be looked up, too.
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
async fn inputs_are_checked_like_the_real_ones() {
    let sim = start().await;
    let official = "models/meta/llama-2-70b-chat/predictions";
    for (path, body, detail, fields) in [
        (
            LLAMA3,
            json!({"inptu": {}}),
            "- input is required\n- Additional property inptu is not allowed\n",
            json!([["required", ""], ["additional_property_not_allowed", ""]]),
        ),
        (
            "predictions",
            json!({"model": "meta/meta-llama-3-8b-instruct", "input": {}}),
            "- version is required\n- Additional property model is not allowed\n",
            json!([["required", ""], ["additional_property_not_allowed", ""]]),
        ),
        (
            LLAMA3,
            json!({"version": "meta/meta-llama-3-8b-instruct", "input": {}}),
            "- Additional property version is not allowed\n",
            json!([["additional_property_not_allowed", ""]]),
        ),
        (
            official,
            json!({"input": {"temperature": 0}}),
            "- input: prompt is required\n\
             - input.temperature: Must be greater than or equal to 0.01\n",
            json!([["required", "input"], ["number_gte", "input.temperature"]]),
        ),
        (
            official,
            json!({"input": {"prompt": 1, "top_p": 1.5, "max_new_tokens": 1.5}}),
            "- input.prompt: Invalid type. Expected: string, given: integer\n\
             - input.max_new_tokens: Invalid type. Expected: integer, given: number\n\
             - input.top_p: Must be less than or equal to 1\n",
            json!([
                ["invalid_type", "input.prompt"],
                ["invalid_type", "input.max_new_tokens"],
                ["number_lte", "input.top_p"],
            ]),
        ),
        (
            "predictions",
            json!({"version": VICUNA, "input": {"prompt": "x", "decoding": "magic"}}),
            "- input.decoding: decoding must be one of the following: \"beam_search\", \"top_p\", \
             \"top_k\"\n",
            json!([["enum", "input.decoding"]]),
        ),
        (
            LLAMA3,
            json!({"input": "text", "stream": 1, "webhook_events_filter": ["done"]}),
            "- input: Invalid type. Expected: object, given: string\n\
             - stream: Invalid type. Expected: boolean, given: integer\n\
             - webhook_events_filter: webhook_events_filter must be one of the following: \
             \"start\", \"output\", \"logs\", \"completed\"\n",
            json!([
                ["invalid_type", "input"],
                ["invalid_type", "stream"],
                ["enum", "webhook_events_filter"]
            ]),
        ),
    ] {
        let problem = refused(&sim, path, &body, 422).await;
        assert_eq!(problem["title"], "Input validation failed");
        assert_eq!(problem["detail"], detail);
        let told = problem["invalid_fields"].as_array().unwrap().iter();
        let told: Vec<_> = told.map(|one| json!([one["type"], one["field"]])).collect();
        assert_eq!(json!(told), fields);
    }
    for bad in ["", "[]", "{", "nonsense"] {
        let request = client().post(format!("{}/v1/{LLAMA3}", sim.replicate_url()));
        let (status, _) = json(request.bearer_auth(common::KEY).body(bad)).await;
        assert_eq!(status, 400);
    }
    // Keys that a model does not know are its own business.
    create(
        &sim,
        LLAMA3,
        &json!({"input": {"prompt": "x", "unknown": [1]}}),
    )
    .await;
}

#[tokio::test]
async fn both_schemes_are_keys_and_nothing_else() {
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
async fn models_tell_their_schemas() {
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
async fn outputs_come_in_their_models_shape() {
    let sim = start().await;
    let hello = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa";
    let body = json!({"version": hello, "input": {"text": "Alice"}, "stream": true});
    let fresh = create(&sim, "predictions", &body).await;
    assert!(fresh["urls"].get("stream").is_none());
    let (_, body) = json(get(url(&fresh, "get"))).await;
    assert_eq!(body["output"], "hello Alice");
    assert!(body["metrics"].get("output_token_count").is_none());

    // Not official, and nobody asked: no stream.
    let fresh = create(
        &sim,
        "predictions",
        &json!({"version": VICUNA, "input": {"prompt": "x"}}),
    )
    .await;
    assert!(fresh["urls"].get("stream").is_none());

    // Other houses' models count in the logs.
    let body = json!({"input": {"messages": [{"role": "user", "content": "look"}], "max_completion_tokens": 4}});
    let fresh = create(&sim, "models/openai/gpt-5/predictions", &body).await;
    let (_, body) = json(get(url(&fresh, "get"))).await;
    assert!(
        body["logs"]
            .as_str()
            .unwrap()
            .contains("Output token count: 4")
    );
    assert!(body["metrics"].get("output_token_count").is_none());
    assert_eq!(body["output"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_models_own_names_limit_its_output() {
    let sim = start().await;
    for (version, input, tokens) in [
        (VICUNA, json!({"prompt": "x", "max_length": 3}), 3),
        (
            "sim/custom-llm:custom-llm-version-id",
            json!({"prompt": "x", "max_tokens": 3}),
            3,
        ),
        (
            "sim/custom-llm:custom-llm-version-id",
            json!({"prompt": "x", "max_new_tokens": 3}),
            0,
        ),
        (
            "meta/llama-2-70b-chat",
            json!({"prompt": "x", "max_new_tokens": 2}),
            2,
        ),
        (
            "meta/llama-2-70b-chat",
            json!({"prompt": "x", "stop_sequences": "nothing, simulated"}),
            3,
        ),
    ] {
        let body = create(
            &sim,
            "predictions",
            &json!({"version": version, "input": input}),
        )
        .await;
        let (_, body) = json(get(url(&body, "get"))).await;
        let output = body["output"].as_array().unwrap();
        assert!(
            output.len() == tokens || (tokens == 0 && output.len() > 3),
            "{input}"
        );
    }
    // The template is applied, unless the input replaces it.
    let logs = async |template: Option<&str>| {
        let mut input = json!({"prompt": "PROMPT", "system_prompt": "SYSTEM"});
        if let Some(template) = template {
            input["prompt_template"] = json!(template);
        }
        let fresh = create(&sim, LLAMA3, &json!({"input": input})).await;
        json(get(url(&fresh, "get"))).await.1["logs"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(logs(None).await.contains("SYSTEM<|eot_id|>"));
    assert!(
        logs(Some("{prompt}"))
            .await
            .ends_with("Formatted prompt: `PROMPT`")
    );
}

#[tokio::test]
async fn predictions_fail_on_demand() {
    let sim = start().await;
    sim.replicate()
        .inject(FaultRule::new(Fault::Fail(Failure::Interrupted)).times(1));
    let fresh = create(&sim, LLAMA3, &ask("hi")).await;
    let (_, body) = json(get(url(&fresh, "get"))).await;
    assert_eq!(body["status"], "failed");
    assert_eq!(
        body["error"],
        "Prediction interrupted; please retry (code: PA)"
    );
    assert_eq!(
        (&body["output"], &body["started_at"]),
        (&Value::Null, &Value::Null)
    );

    let fresh = create(&sim, LLAMA3, &ask("hi [sim: fail=timeout]")).await;
    let all = events(client().get(url(&fresh, "stream")).send().await.unwrap()).await;
    let [outputs @ .., error, done] = all.as_slice() else {
        panic!("too few events")
    };
    assert!(!outputs.is_empty());
    assert_eq!((error.0.as_str(), done.0.as_str()), ("error", "done"));
    assert_eq!(
        error.2,
        r#"{"detail":"E6716: Timeout starting prediction"}"#
    );
    assert_eq!(done.2, r#"{"reason": "error"}"#);
    let resumed = client()
        .get(url(&fresh, "stream"))
        .header("last-event-id", &error.1);
    assert_eq!(
        events(resumed.send().await.unwrap()).await,
        std::slice::from_ref(done)
    );

    let request = post(
        format!("{}/v1/{LLAMA3}", sim.replicate_url()),
        &ask("x [sim: fail=oom]"),
    );
    let (status, body) = json(request.header("prefer", "wait")).await;
    assert_eq!((status, body["status"].as_str()), (201, Some("failed")));
    assert_eq!(body["error"], "CUDA out of memory (E1001)");
}

#[tokio::test]
async fn streams_keep_every_character() {
    let tokens = [
        "\n\n",
        "Here is",
        "  a ha",
        "iku\nabout",
        "",
        " llamas:",
        "data: x",
        " 空🙂",
    ];
    let sim = start_with(SimOptions::default().with_reply(Reply::tokens(tokens))).await;
    let fresh = create(&sim, LLAMA3, &ask("hi")).await;
    let all = events(client().get(url(&fresh, "stream")).send().await.unwrap()).await;
    let data: Vec<_> = all.iter().map(|(_, _, data)| data.as_str()).collect();
    assert_eq!(data, [&tokens[..], &["", "{}"]].concat());
}

#[tokio::test]
async fn tokens_can_come_in_groups() {
    let options = SimOptions::default()
        .with_reply(Reply::tokens(["a", "b", "c", "d", "e"]))
        .with_pace(Pace::default().with_tokens_per_event(2));
    let sim = start_with(options).await;
    let body = json!({"version": VICUNA, "input": {"prompt": "x"}, "stream": true});
    let fresh = create(&sim, "predictions", &body).await;
    let all = events(client().get(url(&fresh, "stream")).send().await.unwrap()).await;
    let data: Vec<_> = all.iter().map(|(_, _, data)| data.as_str()).collect();
    assert_eq!(data, ["ab", "cd", "e", "{}"]);
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
