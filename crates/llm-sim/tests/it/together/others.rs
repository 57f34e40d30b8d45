//! Errors, and the endpoints other than chat.

use llm_sim::{Keys, SimOptions, SimReply};
use serde_json::{Value, json};

use super::{CURRENT, TURBO, chat, with};
use crate::common::{self, chunks, get, json, post, start, start_with};

#[tokio::test]
async fn errors_have_the_recorded_bodies() {
    let sim =
        start_with(SimOptions::default().with_keys(Keys::Only(vec![common::KEY.into()]))).await;
    let url = |path: &str| format!("{}/v1/{path}", sim.together_url());

    let request = common::client()
        .post(url("chat/completions"))
        .bearer_auth("other");
    let (status, body) = json(request.json(&chat(TURBO, false))).await;
    assert_eq!(
        (status, body["error"]["code"].as_str()),
        (401, Some("invalid_api_key"))
    );
    assert!(body["id"].is_string());
    let (status, body) = json(common::client().get(url("models"))).await;
    assert_eq!(
        (status, body),
        (401, json!({"error": {"message": "Unauthorized"}}))
    );

    let ask = |body: Value| json(post(url("chat/completions"), &body));
    let (status, body) = ask(chat("acme/no-such-model", false)).await;
    assert_eq!(
        (status, body["error"]["code"].as_str()),
        (404, Some("model_not_available"))
    );
    let (status, _) = ask(chat("gpt-4", false)).await;
    assert_eq!(status, 404);
    let (status, body) = ask(chat("acme/stream-only", false)).await;
    assert_eq!(
        (status, body["error"]["code"].as_str()),
        (400, Some("streaming_required"))
    );
    assert!(
        !chunks(post(
            url("chat/completions"),
            &chat("acme/stream-only", true)
        ))
        .await
        .is_empty()
    );

    let long = json!({"messages": [{"role": "user", "content": "word ".repeat(100)}]});
    let (status, body) = ask(with(chat("acme/tiny-context", false), long.clone())).await;
    assert_eq!(
        (status, body["error"]["param"].as_str()),
        (400, Some("max_tokens"))
    );
    let (status, body) = ask(with(chat("Qwen/tiny-context", false), long.clone())).await;
    assert_eq!(status, 400);
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("maximum context length is 64")
    );
    let truncate = with(
        long,
        json!({"context_length_exceeded_behavior": "truncate"}),
    );
    assert_eq!(
        ask(with(chat("Qwen/tiny-context", false), truncate))
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn an_invalid_body_is_rejected_with_the_name_of_the_field() {
    let sim = start().await;
    let url = format!("{}/v1/chat/completions", sim.together_url());
    for (wrong, param) in [
        (json!({"messages": null}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": "hi"}), "messages"),
        (
            json!({"messages": [{"role": "developer", "content": "x"}]}),
            "messages",
        ),
        (
            json!({"messages": [{"role": "system", "content": [{"type": "text", "text": "x"}]}]}),
            "messages",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "strange"}]}]}),
            "messages",
        ),
        (json!({"messages": [{"role": "user"}]}), "messages"),
        (json!({"model": 7}), "model"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"logprobs": 21}), "logprobs"),
        (json!({"stop": "x"}), "stop"),
        (json!({"max_tokens": "x"}), "max_tokens"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"top_p": 1.5}), "top_p"),
        (json!({"n": 129}), "n"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"seed": "x"}), "seed"),
        (json!({"tools": [{"type": "function"}]}), "tools"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (
            json!({"response_format": {"type": "xml"}}),
            "response_format",
        ),
        (json!({"reasoning_effort": "huge"}), "reasoning_effort"),
    ] {
        let model = if param == "reasoning_effort" {
            CURRENT
        } else {
            TURBO
        };
        let (status, body) =
            json(post(url.clone(), &with(chat(model, false), wrong.clone()))).await;
        assert_eq!(
            (status, body["error"]["param"].as_str()),
            (400, Some(param)),
            "{wrong}"
        );
    }
    for body in ["", "[]", "{\"model\":", "\u{0}"] {
        let request = common::client()
            .post(url.clone())
            .bearer_auth(common::KEY)
            .body(body);
        let (status, body) = json(request).await;
        assert_eq!(
            (status, body["error"]["type"].as_str()),
            (400, Some("invalid_request_error"))
        );
    }
}

#[tokio::test]
async fn completions_have_the_old_shapes() {
    let sim = start_with(SimOptions::default().with_reply(SimReply::tokens([" Par", "is"]))).await;
    let url = format!("{}/v1/completions", sim.together_url());
    let ask = json!({"model": "Qwen/Qwen2-1.5B", "prompt": "The largest city in France is"});
    let (_, body) = json(post(url.clone(), &ask)).await;
    assert_eq!(body["object"], "text.completion");
    assert_eq!(body["choices"][0]["text"], " Paris");
    let chunks = chunks(post(
        url.clone(),
        &with(ask.clone(), json!({"stream": true})),
    ))
    .await;
    assert_eq!(chunks[0]["object"], "completion.chunk");
    assert_eq!(chunks[0]["choices"][0]["text"], " Par");
    assert_eq!(
        chunks.last().unwrap()["choices"][0]["finish_reason"],
        "stop"
    );
    assert!(chunks.last().unwrap()["usage"].is_object());
    let (status, _) = json(post(url, &with(ask, json!({"prompt": ["a", "b"]})))).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn embeddings_are_unit_vectors_that_depend_on_the_words() {
    let sim = start().await;
    let url = format!("{}/v1/embeddings", sim.together_url());
    let ask =
        |model: &str, input: Value| post(url.clone(), &json!({"model": model, "input": input}));
    let texts = json!(["the blue sky", "a blue sky", "tax forms"]);
    let (_, body) = json(ask("BAAI/bge-large-en-v1.5", texts)).await;
    assert!(body.get("usage").is_none());
    let vector = |at: usize| -> Vec<f64> {
        let items = body["data"][at]["embedding"].as_array().unwrap();
        items.iter().map(|item| item.as_f64().unwrap()).collect()
    };
    let dot = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(a, b)| a * b).sum::<f64>();
    assert_eq!(vector(0).len(), 1024);
    assert!((dot(&vector(0), &vector(0)) - 1.0).abs() < 1e-4);
    assert!(dot(&vector(0), &vector(1)) > dot(&vector(0), &vector(2)) + 0.3);

    let (_, body) = json(ask(
        "intfloat/multilingual-e5-large-instruct",
        json!("New York"),
    ))
    .await;
    assert_eq!(body["usage"]["prompt_tokens"], 2);
    for bad in [json!([]), json!([1, 2]), json!(null), json!({})] {
        assert_eq!(json(ask("BAAI/bge-large-en-v1.5", bad)).await.0, 400);
    }
}

#[tokio::test]
async fn rerank_sorts_by_shared_words() {
    let sim = start().await;
    let url = format!("{}/v1/rerank", sim.together_url());
    let ask = json!({
        "model": "Salesforce/Llama-Rank-V1",
        "query": "capital of France",
        "documents": [{"title": "x", "text": "bananas"}, {"text": "Paris is the capital of France"}],
        "top_n": 1,
        "return_documents": true,
    });
    let (_, body) = json(post(url.clone(), &ask)).await;
    assert_eq!(body["object"], "rerank");
    assert_eq!(body["results"].as_array().unwrap().len(), 1);
    assert_eq!(body["results"][0]["index"], 1);
    let text = body["results"][0]["document"]["text"].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(text).unwrap(),
        ask["documents"][1]
    );
    let (_, body) = json(post(
        url.clone(),
        &with(ask.clone(), json!({"return_documents": false})),
    ))
    .await;
    assert!(body["results"][0].get("document").is_none());
    let (status, _) = json(post(url, &with(ask, json!({"max_chunks_per_doc": 1})))).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn models_are_a_bare_array() {
    let sim = start().await;
    let response = get(format!("{}/v1/models", sim.together_url()))
        .send()
        .await
        .unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "application/json; charset=utf-8"
    );
    assert!(
        response.headers()["cf-ray"]
            .to_str()
            .unwrap()
            .ends_with("-SIM")
    );
    let models: Vec<Value> = response.json().await.unwrap();
    let price = |model: &Value| model["pricing"]["image_pixel"].is_object();
    assert!(models.iter().any(price));
    assert!(
        models
            .iter()
            .any(|model| model["config"]["chat_template"].is_string())
    );
    assert!(
        models
            .iter()
            .all(|model| model["id"].as_str().unwrap().contains('/'))
    );
}
