//! The simulated Replicate, over loopback.

mod common;

use common::{client, get, json, post, start, start_with};
use llm_sim::{Reply, SimOptions, Status, fingerprint};
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
    let events = common::events(response).await;
    let (last, outputs) = events.split_last().unwrap();
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
    let rest = common::events(resumed.send().await.unwrap()).await;
    assert_eq!(rest, events[4..]);
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

#[tokio::test]
async fn cancelling_stops_a_prediction() {
    use std::time::Duration;
    let timing = llm_sim::Timing::default().with_queue(Duration::from_secs(3600));
    let sim = start_with(SimOptions::default().with_timing(timing)).await;
    let base = format!("{}/v1", sim.replicate_url());
    let (_, fresh) = json(post(format!("{base}/{LLAMA3}"), &ask("hi"))).await;
    assert_eq!(sim.replicate().running(), 1);
    let (status, body) = json(post(url(&fresh, "cancel"), &json!({}))).await;
    assert_eq!((status, body["status"].as_str()), (200, Some("canceled")));
    assert_eq!(
        (&body["logs"], &body["output"]),
        (&Value::Null, &Value::Null)
    );
    assert!(body["completed_at"].is_string());
    let seen = sim
        .replicate()
        .predictions_until(|all| all[0].cancelled.is_some())
        .await;
    assert_eq!(
        (seen[0].status, seen[0].cancel_calls),
        (Status::Canceled, 1)
    );
    assert_eq!(
        (
            sim.replicate().running(),
            sim.replicate().count(Status::Canceled)
        ),
        (0, 1)
    );
    let events = common::events(client().get(url(&fresh, "stream")).send().await.unwrap()).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].2, r#"{"reason": "canceled"}"#);
    drop(VICUNA);
    let _ = (Reply::Echo, fingerprint("x"));
}
