//! Formats of some engines: echoed prompts, chunks of one token, logprobs of completions.

use llm_sim::{SimOptions, SimReply};
use serde_json::{Value, json};

use super::{CURRENT, TURBO, chat, with};
use crate::common::{chunks, json, post, start, start_with};

const EOS: &str = "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo";

#[tokio::test]
async fn a_prompt_is_echoed_with_the_logprobs_of_all_but_its_first_token() {
    let sim = start().await;
    let url = |path: &str| format!("{}/v1/{path}", sim.together_url());
    let completion = json!({
        "model": TURBO, "prompt": "The sky is blue", "echo": true, "logprobs": 1, "max_tokens": 0,
    });
    let (_, body) = json(post(url("completions"), &completion)).await;
    let prompt = &body["prompt"][0];
    assert_eq!(prompt["text"], "The sky is blue");
    assert_eq!(
        prompt["logprobs"]["tokens"],
        json!(["The", " sky", " is", " blue"])
    );
    let of_tokens = prompt["logprobs"]["token_logprobs"].as_array().unwrap();
    assert!(of_tokens[0].is_null() && of_tokens[1..].iter().all(Value::is_f64));
    assert_eq!(of_tokens.len(), 4);
    assert_eq!(body["choices"][0]["text"], "");
    assert_eq!(body["usage"]["prompt_tokens"], 4);
    assert_eq!(body["usage"]["completion_tokens"], 0);

    for model in [TURBO, CURRENT] {
        let echo = with(chat(model, false), json!({"echo": true}));
        let (_, body) = json(post(url("chat/completions"), &echo)).await;
        let text = body["prompt"][0]["text"].as_str().unwrap();
        assert!(text.contains("You are concise.") && text.contains("about earth?"));
        assert!(body["prompt"][0]["logprobs"].is_null());
        let (_, body) = json(post(url("chat/completions"), &chat(model, false))).await;
        assert_eq!(body["prompt"], json!([]));
    }
    // A limit of no tokens is rejected unless the prompt is echoed.
    let none = with(chat(TURBO, false), json!({"max_tokens": 0}));
    assert_eq!(json(post(url("chat/completions"), &none)).await.0, 400);
}

#[tokio::test]
async fn completions_of_2024_stream_one_token_per_chunk() {
    let options = SimOptions::default().with_reply(SimReply::tokens([" Paris", "."]));
    let sim = start_with(options).await;
    let url = format!("{}/v1/completions", sim.together_url());
    let body = json!({"model": EOS, "prompt": "The largest city is", "stream": true});
    let chunks = chunks(post(url, &body)).await;
    let [paris, dot, end] = chunks.as_slice() else {
        panic!("{} chunks", chunks.len());
    };
    assert_eq!(paris["object"], "completion.chunk");
    assert_eq!(paris["token"]["text"], " Paris");
    assert_eq!(paris["token"]["special"], false);
    assert!(paris["token"]["logprob"].is_f64() && paris["token"]["id"].is_u64());
    assert_eq!(paris["choices"][0]["text"], " Paris");
    assert_eq!(paris["choices"][0]["delta"]["content"], " Paris");
    assert!(paris["finish_reason"].is_null() && paris["usage"].is_null());
    assert_eq!(dot["token"]["text"], ".");
    assert_eq!(
        (
            &end["finish_reason"],
            &end["token"]["text"],
            &end["token"]["special"]
        ),
        (&json!("eos"), &json!("<|eot_id|>"), &json!(true))
    );
    assert_eq!(end["choices"], json!([{"index": 0, "text": ""}]));
    assert_eq!(end["usage"]["completion_tokens"], 2);
}

#[tokio::test]
async fn completions_map_tokens_to_their_alternatives() {
    let sim = start().await;
    let url = format!("{}/v1/completions", sim.together_url());
    let body = json!({"model": TURBO, "prompt": "hi", "max_tokens": 3, "logprobs": 2});
    let (_, answer) = json(post(url.clone(), &body)).await;
    let logprobs = &answer["choices"][0]["logprobs"];
    for column in ["tokens", "token_logprobs", "token_ids", "top_logprobs"] {
        assert_eq!(logprobs[column].as_array().unwrap().len(), 3, "{column}");
    }
    let first = logprobs["tokens"][0].as_str().unwrap();
    assert_eq!(logprobs["top_logprobs"][0].as_object().unwrap().len(), 2);
    assert_eq!(
        logprobs["top_logprobs"][0][first],
        logprobs["token_logprobs"][0]
    );
    let (_, answer) = json(post(url, &with(body, json!({"logprobs": 0})))).await;
    assert!(
        answer["choices"][0]["logprobs"]
            .get("top_logprobs")
            .is_none()
    );
}

#[tokio::test]
async fn debug_headers_are_sent_on_request() {
    let sim = start().await;
    let ask = || {
        post(
            format!("{}/v1/chat/completions", sim.together_url()),
            &chat(TURBO, false),
        )
    };
    let plain = ask().send().await.unwrap();
    assert!(plain.headers().contains_key("x-amzn-trace-id"));
    assert!(!plain.headers().contains_key("x-request-id"));
    let debug = ask().header("x-together-debug", "1").send().await.unwrap();
    let id = debug.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(debug.headers().contains_key("x-together-traceid"));
    let body: Value = debug.json().await.unwrap();
    assert_eq!(body["id"], id.as_str());
}
