//! Replicate through the gateway: all models of LiteLLM's page, and a cold boot.

use std::fmt::Write;
use std::time::Duration;

use llm_sim::{Fault, PredictionFailure, SimOptions, SimReply, Timing};
use serde_json::{Value, json};

use crate::page::ROWS;
use crate::support::{TestGateway, chunks};

const TEXT: &str = "Earth is  the third planet — 🌍.\n";

/// A gateway that serves the models of the page as `row-0`, `row-1` and so on.
async fn gateway(timing: Timing) -> TestGateway {
    let mut config = "model_list:\n".to_owned();
    for (place, model) in ROWS.iter().enumerate() {
        write!(
            config,
            "  - model_name: row-{place}\n    litellm_params:\n      model: {model}\n      \
             api_key: os.environ/REPLICATE_API_KEY\n      api_base: os.environ/REPLICATE_BASE\n"
        )
        .unwrap();
    }
    let reply = SimReply::Text(TEXT.to_owned());
    TestGateway::start(
        &config,
        SimOptions::default().with_reply(reply).with_timing(timing),
    )
    .await
}

fn question(place: usize, stream: bool) -> Value {
    json!({
        "model": format!("row-{place}"),
        "messages": [{ "role": "user", "content": "What do you know about earth?" }],
        "stream": stream,
    })
}

/// The text of a stream's chunks, which end with `[DONE]`.
fn text(body: &str) -> String {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let mut data: Vec<&str> = data.collect();
    assert_eq!(data.pop(), Some("[DONE]"), "{body}");
    let chunks = data
        .into_iter()
        .map(|data| serde_json::from_str::<Value>(data).unwrap());
    chunks
        .filter_map(|chunk| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned()))
        .collect()
}

#[tokio::test]
async fn every_model_of_litellms_page_returns_the_complete_text() {
    let gateway = gateway(Timing::default()).await;
    for (place, model) in ROWS.iter().enumerate() {
        let plain = gateway
            .post("/v1/chat/completions", &question(place, false))
            .await;
        let plain: Value = plain.json().await.unwrap();
        assert_eq!(
            plain["choices"][0]["message"]["content"], TEXT,
            "{model}: {plain}"
        );
        let streamed = gateway
            .post("/v1/chat/completions", &question(place, true))
            .await;
        assert_eq!(text(&streamed.text().await.unwrap()), TEXT, "{model}");
    }
    assert_eq!(gateway.sim.replicate().counts().succeeded, 2 * ROWS.len());
}

#[tokio::test]
async fn every_model_of_litellms_page_completes_a_text() {
    let gateway = gateway(Timing::default()).await;
    for (place, model) in ROWS.iter().enumerate() {
        let mut question = json!({ "model": format!("row-{place}"), "prompt": "Earth is" });
        let plain = gateway.post("/v1/completions", &question).await;
        let plain: Value = plain.json().await.unwrap();
        assert_eq!(plain["object"], "text_completion", "{model}: {plain}");
        assert_eq!(plain["choices"][0]["text"], TEXT, "{model}: {plain}");
        question["stream"] = true.into();
        let streamed = gateway.post("/v1/completions", &question).await;
        let text: String = chunks(&streamed.text().await.unwrap())
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["text"].as_str())
            .collect();
        assert_eq!(text, TEXT, "{model}");
    }
    let predictions = gateway.sim.replicate().predictions();
    assert!(
        predictions
            .iter()
            .all(|seen| seen.input["prompt"] == "Earth is")
    );
}

#[tokio::test]
async fn a_failed_model_is_reported_as_by_litellm() {
    let gateway = gateway(Timing::default()).await;
    for (failure, status, code, should_retry) in [
        (PredictionFailure::OutOfMemory, 422, "E1001", Some("false")),
        (PredictionFailure::Sensitive, 400, "E005", Some("false")),
        (PredictionFailure::Director, 502, "E9828", None),
    ] {
        gateway.sim.replicate().clear_faults();
        gateway.sim.replicate().inject(Fault::Fail(failure));
        let response = gateway
            .post("/v1/chat/completions", &question(0, false))
            .await;
        assert_eq!(response.status(), status, "{failure:?}");
        let advice = response.headers().get("x-should-retry").cloned();
        let advice = advice.as_ref().map(|advice| advice.to_str().unwrap());
        assert_eq!(advice, should_retry, "{failure:?}");
        let error = &response.json::<Value>().await.unwrap()["error"];
        assert_eq!(error["code"], code, "{error}");
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("the prediction failed")
        );
    }
}

#[tokio::test]
async fn the_extra_headers_of_a_deployment_are_sent() {
    let config = "
model_list:
  - model_name: row-0
    litellm_params:
      model: replicate/meta/meta-llama-3-8b-instruct
      api_key: os.environ/REPLICATE_API_KEY
      api_base: os.environ/REPLICATE_BASE
      extra_headers: {X-Team: os.environ/TEAM, X-Cost-Centre: 4711}
";
    let gateway = TestGateway::start(config, SimOptions::default()).await;
    for stream in [false, true] {
        let response = gateway
            .post("/v1/chat/completions", &question(0, stream))
            .await;
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap();
    }
    let requests = gateway.sim.replicate().requests();
    assert!(requests.len() > 3);
    for request in requests {
        assert_eq!(request.header("x-team"), Some("key-of-the-upstream"));
        assert_eq!(request.header("x-cost-centre"), Some("4711"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_stays_open_during_a_boot_of_four_minutes() {
    // Advances paused time in small steps. Otherwise, waiting for a socket would trigger a timeout.
    tokio::spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let gateway = gateway(Timing::default().with_boot(Duration::from_secs(240))).await;
    let mut response = gateway
        .post("/v1/chat/completions", &question(0, true))
        .await;
    let (mut body, mut longest) = (Vec::new(), Duration::ZERO);
    let mut last = tokio::time::Instant::now();
    while let Some(bytes) = response.chunk().await.unwrap() {
        longest = longest.max(last.elapsed());
        last = tokio::time::Instant::now();
        body.extend_from_slice(&bytes);
    }
    let body = String::from_utf8(body).unwrap();
    assert_eq!(text(&body), TEXT);
    let comments: Vec<&str> = body.lines().filter(|line| line.starts_with(": ")).collect();
    assert!(comments.len() > 40, "{body}");
    assert!(
        comments
            .iter()
            .any(|line| line.starts_with(": starting 23")),
        "{body}"
    );
    assert!(longest <= Duration::from_secs(15), "silent for {longest:?}");
}
