//! Rerank, embeddings, completions and templates on Together, as in LiteLLM's documentation.

use llm_sim::SimOptions;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{TestGateway, chunks};

/// The config of LiteLLM's page on Together, the page's template as `roles`, and other models.
const CONFIG: &str = r#"
# The tests make the same deployments fail in several ways.
router_settings: {disable_cooldowns: true}
model_list:
  - model_name: Salesforce/Llama-Rank-V1
    litellm_params: &together
      model: together_ai/Salesforce/Llama-Rank-V1
      api_key: os.environ/TOGETHERAI_API_KEY
      api_base: os.environ/TOGETHER_BASE
      max_retries: 0
    model_info:
      mode: rerank
  - model_name: embedder
    litellm_params:
      <<: *together
      model: together_ai/BAAI/bge-large-en-v1.5
    model_info:
      mode: embedding
  - model_name: writer
    litellm_params:
      <<: *together
      model: together_ai/togethercomputer/LLaMA-2-7B-32K
      max_tokens: 20
    model_info:
      mode: completion
  - model_name: oasst
    litellm_params:
      <<: *together
      model: together_ai/OpenAssistant/llama2-70b-oasst-sft-v10
      roles: {"system": {"pre_message": "[<|im_start|>system", "post_message": "\n"}, "user": {"pre_message": "<|im_start|>user", "post_message": "\n"}, "assistant": {"pre_message": "<|im_start|>assistant", "post_message": "\n"}}
    model_info:
      mode: chat
  - model_name: llama-3
    litellm_params: &replicate
      model: replicate/meta/meta-llama-3-8b-instruct
      api_key: os.environ/REPLICATE_API_KEY
      api_base: os.environ/REPLICATE_BASE
      max_retries: 0
general_settings:
  master_key: sk-1234
"#;

async fn start() -> TestGateway {
    TestGateway::start(CONFIG, SimOptions::default()).await
}

/// The body of the page's curl line.
fn page() -> Value {
    json!({
        "model": "Salesforce/Llama-Rank-V1",
        "query": "What is the capital of the United States?",
        "documents": [
            "Carson City is the capital city of the American state of Nevada.",
            "The Commonwealth of the Northern Mariana Islands is a group of islands in the Pacific Ocean. Its capital is Saipan.",
            "Washington, D.C. is the capital of the United States.",
            "Capital punishment has existed in the United States since before it was a country."
        ],
        "top_n": 3
    })
}

#[tokio::test]
async fn the_rerank_call_of_the_page_gives_the_documented_shape() {
    let gateway = start().await;
    for path in ["/rerank", "/v1/rerank", "/v2/rerank"] {
        let response = gateway.post(path, &page()).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["x-polyllm-provider"], "together_ai");
        let answer: Value = response.json().await.unwrap();
        assert!(answer["id"].is_string(), "{answer}");
        let results = answer["results"].as_array().unwrap();
        let order: Vec<&Value> = results.iter().map(|result| &result["index"]).collect();
        assert_eq!((order.len(), order[0]), (3, &json!(2)), "{answer}");
        assert!(
            results
                .iter()
                .all(|result| result["relevance_score"].is_f64())
        );
        let document = results[0].get("document");
        if path == "/v2/rerank" {
            assert_eq!(document, None, "version 2 has no documents");
        } else {
            assert_eq!(document.unwrap()["text"], page()["documents"][2]);
        }
        for units in ["billed_units", "tokens"] {
            assert!(answer["meta"][units].is_object(), "{answer}");
        }
    }
    let sent = &gateway.sim.together().requests()[0];
    assert_eq!(sent.path, "/v1/rerank");
    assert_eq!(sent.json()["query"], page()["query"]);
}

#[tokio::test]
async fn embeddings_have_the_requested_encoding() {
    let gateway = start().await;
    let mut question = json!({ "model": "embedder", "input": ["a", "b"] });
    for (format, has_format) in [
        (
            json!(null),
            (|vector| vector.is_array()) as fn(&Value) -> bool,
        ),
        (json!("float"), |vector| vector.is_array()),
        (json!("base64"), |vector| vector.is_string()),
    ] {
        question["encoding_format"] = format;
        let response = gateway.post("/v1/embeddings", &question).await;
        assert_eq!(response.status(), StatusCode::OK, "{question}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(
            (&answer["object"], &answer["model"]),
            (&json!("list"), &json!("embedder"))
        );
        let data = answer["data"].as_array().unwrap();
        assert_eq!(data.len(), 2);
        assert!(
            data.iter().all(|one| has_format(&one["embedding"])),
            "{question}"
        );
        assert!(answer["usage"]["total_tokens"].as_u64().unwrap() > 0);
    }
}

#[tokio::test]
async fn a_completion_returns_the_same_plain_and_streamed() {
    let gateway = start().await;
    let mut question = json!({ "model": "writer", "prompt": "The sky is" });
    let answer: Value = gateway
        .post("/v1/completions", &question)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&answer["object"], &answer["model"]),
        (&json!("text_completion"), &json!("writer"))
    );
    let said = answer["choices"][0]["text"].as_str().unwrap();
    assert!(!said.is_empty());
    assert!(answer["usage"]["completion_tokens"].as_u64().unwrap() > 0);

    question["stream"] = true.into();
    question["stream_options"] = json!({ "include_usage": true });
    let response = gateway.post("/completions", &question).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let chunks = chunks(&response.text().await.unwrap());
    let (last, chunks) = chunks.split_last().unwrap();
    assert_eq!(
        last["usage"]["total_tokens"],
        answer["usage"]["total_tokens"]
    );
    assert!(chunks.iter().all(|chunk| chunk["model"] == "writer"));
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "text_completion")
    );
    let streamed: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["text"].as_str())
        .collect();
    assert_eq!(streamed, said);
    let finishes = chunks
        .iter()
        .filter(|chunk| chunk["choices"][0]["finish_reason"].is_string());
    assert_eq!(finishes.count(), 1);

    let requests = gateway.sim.together().requests();
    let sent = requests
        .iter()
        .find(|request| request.path == "/v1/completions")
        .unwrap();
    assert_eq!(sent.json()["prompt"], "The sky is");
    assert_eq!(sent.json()["max_tokens"], 20);
}

#[tokio::test]
async fn the_template_of_the_page_is_applied() {
    let gateway = start().await;
    for stream in [false, true] {
        let question = json!({
            "model": "oasst",
            "messages": [{ "role": "user", "content": "Write me a poem about the blue sky" }],
            "stream": stream,
        });
        let response = gateway.post("/v1/chat/completions", &question).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.text().await.unwrap();
        let (object, said) = if stream {
            let chunks = chunks(&body);
            let said = chunks
                .iter()
                .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
                .collect();
            (chunks[0]["object"].clone(), said)
        } else {
            let answer: Value = serde_json::from_str(&body).unwrap();
            let said = answer["choices"][0]["message"]["content"].as_str();
            (answer["object"].clone(), said.unwrap().to_owned())
        };
        let suffix = if stream { ".chunk" } else { "" };
        assert_eq!(object, format!("chat.completion{suffix}"));
        assert!(!said.is_empty());
        let requests = gateway.sim.together().requests();
        let sent = requests.last().unwrap();
        assert_eq!(sent.path, "/v1/completions");
        assert_eq!(
            sent.json()["prompt"],
            "<|im_start|>userWrite me a poem about the blue sky\n"
        );
    }
}

#[tokio::test]
async fn an_unsupported_endpoint_is_a_clear_error() {
    let gateway = start().await;
    let mut question = page();
    question["model"] = "llama-3".into();
    let response = gateway.post("/rerank", &question).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let error = &response.json::<Value>().await.unwrap()["error"];
    assert_eq!(error["code"], "unsupported");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("the model \"llama-3\" does not support rerank; it supports chat"),
        "{message}"
    );
    assert!(gateway.sim.replicate().requests().is_empty());
}

#[tokio::test]
async fn errors_of_the_upstream_reach_the_client() {
    let gateway = start().await;
    let rerank = page();
    let embed = json!({ "model": "embedder", "input": "a" });
    let complete = json!({ "model": "writer", "prompt": "a" });
    for (path, question) in [
        ("/rerank", rerank),
        ("/embeddings", embed),
        ("/completions", complete),
    ] {
        for (fault, status) in [
            ("status=429", 429),
            ("status=503", 503),
            ("status=402", 402),
        ] {
            gateway
                .sim
                .together()
                .inject(fault.parse::<llm_sim::Faults>().unwrap());
            let response = gateway.post(path, &question).await;
            assert_eq!(response.status(), status, "{path} {fault}");
            assert!(response.json::<Value>().await.unwrap()["error"]["message"].is_string());
            gateway.sim.together().clear_faults();
        }
    }
}
