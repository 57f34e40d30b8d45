//! OpenAI-compatible upstreams from a config alone.

use llm_sim::SimOptions;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{TestGateway, chunks};

/// Two deployments at one address, which is served by the simulation's OpenAI wire.
const CONFIG: &str = "
model_list:
  - model_name: local
    litellm_params: &local
      model: openai/meta-llama/Llama-3.3-70B-Instruct-Turbo
      api_base: os.environ/TOGETHER_BASE
      api_key: os.environ/LOCAL_KEY
  - model_name: embedder
    litellm_params:
      <<: *local
      model: openai/BAAI/bge-large-en-v1.5
    model_info:
      mode: embedding
general_settings:
  master_key: sk-1234
";

#[tokio::test]
async fn an_openai_compatible_upstream_is_served_from_config() {
    let gateway = TestGateway::start(CONFIG, SimOptions::default()).await;
    let mut question = json!({
        "model": "local", "messages": [{ "role": "user", "content": "Hello" }],
    });
    let response = gateway.post("/v1/chat/completions", &question).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["x-polyllm-provider"], "openai");
    let answer: Value = response.json().await.unwrap();
    assert!(
        answer["choices"][0]["message"]["content"].is_string(),
        "{answer}"
    );

    question["stream"] = true.into();
    let response = gateway.post("/v1/chat/completions", &question).await;
    assert!(chunks(&response.text().await.unwrap()).len() > 1);

    let texts = json!({ "model": "embedder", "input": ["a", "b"] });
    let response = gateway.post("/v1/embeddings", &texts).await;
    let vectors: Value = response.json().await.unwrap();
    assert_eq!(
        vectors["data"].as_array().map(Vec::len),
        Some(2),
        "{vectors}"
    );
}
