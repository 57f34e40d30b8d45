//! The simulated Replicate.

mod counts;
mod files;
mod inputs;
mod life;
mod limits;
mod lists;
mod models;
mod receiver;
mod streams;
mod webhooks;

use std::time::Duration;

use llm_sim::{Sim, SimOptions, Timing};
use serde_json::{Value, json};

use crate::common::{json, post, start_with};

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

/// A simulation with realistic times.
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
