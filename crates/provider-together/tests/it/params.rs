//! The translation of chat parameters.

use llm_provider::{ErrorKind, Provider};
use llm_sim::SimOptions;
use llm_types::ChatRequest;
use llm_types::rerank::RerankRequest;
use serde_json::{Value, json};

use crate::support::{TURBO, chat_call, send, sent, sim};

/// A chat with these members besides.
fn with(model: &str, members: Value) -> Value {
    let mut body = json!({ "model": model, "messages": [{ "role": "user", "content": "Hi" }] });
    body.as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn togethers_own_parameters_are_sent_unchanged() {
    let (sim, together) = sim(SimOptions::default()).await;
    let own = json!({
        "top_k": 20, "min_p": 0.1, "repetition_penalty": 1.1, "safety_model": "acme/guard",
        "compliance": "hipaa", "context_length_exceeded_behavior": "truncate", "echo": false,
        "reasoning": { "enabled": true }, "chat_template_kwargs": { "enable_thinking": true },
        "n": 2, "seed": 7, "logit_bias": { "1": -5 }, "logprobs": 3, "stop": ["a", "b"],
        "reasoning_effort": "high", "response_format": { "type": "regex", "pattern": "a*" },
        "user": "u-1", "store": true, "metadata": { "a": "b" },
    });
    let body = with(TURBO, own);
    send::<ChatRequest>(&together, &body).await.unwrap();
    assert_eq!(sent(&sim), body);
}

#[tokio::test]
async fn null_parameters_are_not_sent() {
    let (sim, together) = sim(SimOptions::default()).await;
    let nulls = json!({ "stop": null, "tools": null, "stream_options": null, "logprobs": null,
        "max_completion_tokens": null, "audio": null, "reasoning_effort": null, "top_k": 20 });
    send::<ChatRequest>(&together, &with(TURBO, nulls))
        .await
        .unwrap();
    assert_eq!(sent(&sim), with(TURBO, json!({ "top_k": 20 })));
}

#[tokio::test]
async fn reasoning_efforts_are_mapped_to_those_of_the_model() {
    let (sim, together) = sim(SimOptions::default()).await;
    let off = json!({ "reasoning": { "enabled": false } });
    let effort = |effort: &str| json!({ "reasoning_effort": effort });
    for (model, asked, expected) in [
        ("openai/gpt-oss-20b", "none", effort("low")),
        ("openai/gpt-oss-20b", "minimal", effort("low")),
        ("openai/gpt-oss-20b", "xhigh", effort("high")),
        ("Qwen/Qwen3-235B", "none", off.clone()),
        ("Qwen/Qwen3-235B", "default", json!({})),
        ("Qwen/Qwen3-235B", "medium", effort("medium")),
        ("Qwen/Qwen3-235B", "minimal", effort("low")),
        ("Qwen/Qwen3-235B", "max", effort("high")),
        ("deepseek-ai/DeepSeek-V4-Pro", "none", off),
        ("deepseek-ai/DeepSeek-V4-Pro", "low", effort("high")),
        ("deepseek-ai/DeepSeek-V4-Pro", "minimal", effort("high")),
        ("deepseek-ai/DeepSeek-V4-Pro", "high", effort("high")),
        ("deepseek-ai/DeepSeek-V4-Pro", "xhigh", effort("max")),
        ("deepseek-ai/DeepSeek-V4-Pro", "max", effort("max")),
    ] {
        // The simulation knows three efforts and no `max`: what counts is what it was sent.
        let _ = send::<ChatRequest>(&together, &with(model, effort(asked))).await;
        assert_eq!(sent(&sim), with(model, expected), "{model} {asked}");
    }
    // An explicit `reasoning` has priority.
    let both = json!({ "reasoning_effort": "none", "reasoning": { "enabled": true } });
    let _ = send::<ChatRequest>(&together, &with("Qwen/Qwen3-235B", both)).await;
    assert_eq!(sent(&sim)["reasoning"], json!({ "enabled": true }));
}

#[tokio::test]
async fn unsupported_parameters_are_rejected_by_name_or_dropped_and_reported() {
    let (sim, together) = sim(SimOptions::default()).await;
    let cannot = json!({
        "audio": { "voice": "alloy", "format": "wav" }, "modalities": ["text", "audio"],
        "functions": [{ "name": "f" }], "web_search_options": {},
    });
    for (key, value) in cannot.as_object().unwrap() {
        let body = with(TURBO, json!({ key: value }));
        let error = together.send(chat_call(&body)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.param(), Some(key.as_str()));
        assert_eq!(error.provider(), Some("together_ai"));
        let error = together.stream(chat_call(&body)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    assert_eq!(sim.together().request_count(), 0);

    let call = chat_call(&with(TURBO, cannot)).with_drop_params(true);
    let reply = together.send(call.clone()).await.unwrap();
    let mut dropped = reply.metadata.dropped_params;
    dropped.sort();
    assert_eq!(
        dropped,
        ["audio", "functions", "modalities", "web_search_options"]
    );
    assert_eq!(sent(&sim), with(TURBO, json!({})));
    let stream = together.stream(call).await.unwrap();
    assert_eq!(stream.metadata.dropped_params.len(), 4);
    let text = with(TURBO, json!({ "modalities": ["text"] }));
    send::<ChatRequest>(&together, &text).await.unwrap();
}

#[tokio::test]
async fn tools_and_formats_are_sent_to_every_model() {
    let (sim, together) = sim(SimOptions::default()).await;
    let asks = json!({
        "tools": [{ "type": "function", "function": { "name": "f", "strict": true,
            "parameters": { "type": "object", "properties": {} } } }],
        "tool_choice": "auto", "parallel_tool_calls": false,
    });
    let format = json!({ "response_format": { "type": "json_schema",
        "json_schema": { "name": "n", "schema": { "type": "object" }, "strict": true } } });
    for members in [asks, format] {
        let body = with("acme/nobody-listed-this", members);
        send::<ChatRequest>(&together, &body).await.unwrap();
        assert_eq!(sent(&sim), body);
    }
}

#[tokio::test]
async fn a_parameter_that_cannot_be_read_is_named() {
    let (sim, together) = sim(SimOptions::default()).await;
    for (key, value) in [("stop", json!([1])), ("top_logprobs", json!("two"))] {
        let body = with(TURBO, json!({ key: value, "max_tokens": 1 }));
        let error = together.send(chat_call(&body)).await;
        // A list of stops passes as it is: what is in it is Together's business.
        if key == "stop" {
            assert_eq!(error.unwrap_err().status().unwrap(), 400);
        } else {
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert_eq!(error.param(), Some(key));
        }
    }
    let error = together.send(chat_call(&json!([]))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    for members in [
        json!({ "top_logprobs": 2 }),
        json!({ "top_logprobs": 2, "logprobs": false }),
    ] {
        let error = together.send(chat_call(&with(TURBO, members))).await;
        assert_eq!(error.unwrap_err().param(), Some("top_logprobs"));
    }
    let none = with(TURBO, json!({ "top_logprobs": 0, "logprobs": false }));
    together.send(chat_call(&none)).await.unwrap();
    drop(sim);
}

#[tokio::test]
async fn request_text_in_an_error_is_shortened_and_escaped() {
    let (_sim, together) = sim(SimOptions::default()).await;
    let long = format!("a\n\u{1b}[2J{}", "b".repeat(1 << 20));
    let image = json!([{ "type": "image_url", "image_url": { "url": "https://x.example/" } }]);
    let chat = json!({ "model": TURBO, "messages": [{ "role": long, "content": image }] });
    let rerank = json!({ "model": "m", "query": "q", "documents": ["d"], long.as_str(): 1 });
    for error in [
        send::<ChatRequest>(&together, &chat).await.unwrap_err(),
        send::<RerankRequest>(&together, &rerank).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        for text in [error.message(), error.param().unwrap()] {
            assert!(text.len() < 500, "{}", text.len());
            assert!(!text.contains(char::is_control), "{text}");
        }
    }
}
