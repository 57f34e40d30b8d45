//! One test for each fault of LiteLLM 1.109 with Together that other files do not test: templates (`templates.rs`), `max_completion_tokens` and the reasons of streams
//! (`chat.rs`), tools, formats and efforts (`params.rs`), embeddings (`operations.rs`).

use llm_provider::{ApiKey, ErrorKind, Provider, Settings};
use llm_sim::{Fault, FaultRule, SimOptions};
use llm_types::ChatRequest;
use llm_types::rerank::RerankRequest;
use provider_together::{API_KEY_VARIABLES, DEFAULT_API_BASE, NAME};
use serde_json::json;

use crate::support::{
    TURBO, call, chat, chat_call, paths, question, scripted, send, sent, sim, stream,
};

/// It sends the request without an `Authorization`.
#[test]
fn no_key_is_an_error_before_anything_is_sent() {
    // The test's environment may have a key; an empty one in the settings does not hide it.
    let error = Settings::new()
        .with_api_key(ApiKey::new(""))
        .require_api_key(NAME, &["NO_SUCH_A", "NO_SUCH_B"])
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    let expected = "no API key: set the environment variable NO_SUCH_A (or NO_SUCH_B), or api_key";
    assert_eq!(error.message(), expected);
}

/// Its `validate_environment` looks at one variable, its calls at four.
#[test]
fn every_documented_variable_is_read() {
    let documented = [
        "TOGETHERAI_API_KEY",
        "TOGETHER_API_KEY",
        "TOGETHER_AI_API_KEY",
        "TOGETHER_AI_TOKEN",
    ];
    assert_eq!(API_KEY_VARIABLES, documented);
    assert_eq!(DEFAULT_API_BASE, "https://api.together.ai/v1");
}

/// It drops `user` silently.
#[tokio::test]
async fn the_user_is_sent() {
    let (sim, together) = sim(SimOptions::default()).await;
    let body = json!({ "model": TURBO, "user": "u-1",
                       "messages": [{ "role": "user", "content": "Hi" }] });
    send::<ChatRequest>(&together, &body).await.unwrap();
    assert_eq!(sent(&sim)["user"], "u-1");
}

/// It fails with status 500.
#[tokio::test]
async fn a_reranks_unknown_parameter_is_named_or_dropped() {
    let (sim, together) = sim(SimOptions::default()).await;
    for key in ["max_chunks_per_doc", "max_tokens_per_doc", "priority"] {
        let body = json!({ "model": "Salesforce/Llama-Rank-V1", "query": "q", "documents": ["a"],
                           key: 1 });
        let error = together
            .send(call::<RerankRequest>(&body))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.param(), Some(key));
        let dropped = call::<RerankRequest>(&body).with_drop_params(true);
        let reply = together.send(dropped).await.unwrap();
        assert_eq!(reply.metadata.dropped_params, [key]);
        assert_eq!(sent(&sim).get(key), None);
    }
}

/// It loses the status.
#[tokio::test]
async fn a_rerank_that_fails_keeps_its_status() {
    let (sim, together) = sim(SimOptions::default()).await;
    sim.together().inject(FaultRule::new(Fault::Status(503)));
    let body = json!({ "model": "acme/rank", "query": "q", "documents": ["a"] });
    let error = together
        .send(call::<RerankRequest>(&body))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(error.status().unwrap(), 503);
}

/// It gives `billed_units: {total_tokens}` and an empty `tokens`.
#[tokio::test]
async fn rerank_token_counts_are_reported() {
    let (_sim, together) = sim(SimOptions::default()).await;
    let body = json!({ "model": "mixedbread-ai/mxbai-rerank-large-v2", "query": "q",
                       "documents": ["a"] });
    let answer = send::<RerankRequest>(&together, &body).await.unwrap();
    let used = answer["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(used > 0);
    assert_eq!(answer["meta"]["billed_units"]["total_tokens"], used);
    let tokens = json!({ "input_tokens": used, "output_tokens": 0 });
    assert_eq!(answer["meta"]["tokens"], tokens);
}

/// It takes every status whose body has the words `invalid_request_error` for a bad request, and
/// knows nothing of 402, 403 and 524.
#[tokio::test]
async fn the_kind_does_not_depend_on_the_message() {
    let body = json!({ "error": { "message": "invalid private key; A timeout occurred",
        "type": "invalid_request_error", "param": null, "code": null } });
    for (status, kind) in [
        ("400 Bad Request", ErrorKind::InvalidRequest),
        ("401 Unauthorized", ErrorKind::Auth),
        ("402 Payment Required", ErrorKind::InsufficientCredit),
        ("403 Forbidden", ErrorKind::Permission),
        ("404 Not Found", ErrorKind::NotFound),
        ("408 Request Timeout", ErrorKind::Timeout),
        ("413 Content Too Large", ErrorKind::InvalidRequest),
        ("422 Unprocessable Content", ErrorKind::InvalidRequest),
        ("429 Too Many Requests", ErrorKind::RateLimited),
        ("500 Internal Server Error", ErrorKind::UpstreamFailed),
        ("502 Bad Gateway", ErrorKind::UpstreamFailed),
        ("503 Service Unavailable", ErrorKind::Overloaded),
        ("504 Gateway Timeout", ErrorKind::Timeout),
        ("524 A Timeout Occurred", ErrorKind::Timeout),
        ("529 Overloaded", ErrorKind::Overloaded),
    ] {
        let json = body.to_string();
        let together = scripted(status, "application/json", json.as_bytes()).await;
        let error = chat(&together, TURBO).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}");
        assert!(status.starts_with(error.status().unwrap().as_str()));
        let page = scripted(status, "text/html", b"<h1>invalid_request_error</h1>").await;
        let error = chat(&page, TURBO).await.unwrap_err();
        assert_eq!(error.status().unwrap().as_str(), &status[..3]);
        // A page says nothing but its status: a firewall's 403 is not an overflow.
        assert_eq!(
            error.kind(),
            ErrorKind::from_status(error.status().unwrap())
        );
        let expected = format!(
            "the upstream answered with HTTP {} and a body that is not JSON (text/html)",
            &status[..3]
        );
        assert_eq!(error.message(), expected);
    }
}

#[tokio::test]
async fn a_403_is_an_overflow_only_where_a_json_error_says_so() {
    let message = "Input token count + max_tokens parameter must be less than the context length \
                   of the model being queried.";
    let own = json!({ "error": { "message": message, "type": "invalid_request_error" } });
    let other = json!({ "error": { "message": "No.", "type": "invalid_request_error" } });
    for (body, kind) in [
        (own.to_string(), ErrorKind::ContextWindow),
        // With another message, of a firewall's own shape.
        (other.to_string(), ErrorKind::Permission),
        (
            r#"{"message":"Forbidden"}"#.to_owned(),
            ErrorKind::Permission,
        ),
        (
            r#"{"error":"invalid_request_error"}"#.to_owned(),
            ErrorKind::Permission,
        ),
        ("{}".to_owned(), ErrorKind::Permission),
        (String::new(), ErrorKind::Permission),
        ("<h1>context length</h1>".to_owned(), ErrorKind::Permission),
    ] {
        let together = scripted("403 Forbidden", "application/json", body.as_bytes()).await;
        let error = chat(&together, TURBO).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{body}");
    }
}

/// Its tests for an overflow expect `error` to be a string, which it is not any more.
#[tokio::test]
async fn a_context_overflow_is_recognized_in_the_words_of_each_engine() {
    let (_sim, together) = sim(SimOptions::default()).await;
    for model in ["acme/tiny-context", "acme/tiny-context-Turbo"] {
        let body = json!({ "model": model, "max_tokens": 100,
                           "messages": [{ "role": "user", "content": "Hi" }] });
        let error = together.send(chat_call(&body)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ContextWindow, "{model}: {error}");
    }
    let inputs = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. \
                  Given: 10160 `inputs` tokens and 1 `max_new_tokens`";
    let maximum = "This model's maximum context length is 32768 tokens. However, you requested \
                   104488 tokens (103464 in the messages, 1024 in the completion).";
    for (message, param) in [(inputs, Some("max_tokens")), (maximum, None)] {
        let body = json!({ "error": { "message": message, "type": "invalid_request_error",
            "param": param, "code": null } });
        let json = body.to_string();
        let together = scripted("400 Bad Request", "application/json", json.as_bytes()).await;
        let error = chat(&together, TURBO).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ContextWindow, "{error}");
        assert_eq!(error.param(), param);
    }
}

#[tokio::test]
async fn a_token_limit_that_is_out_of_range_is_not_an_overflow() {
    let (_sim, together) = sim(SimOptions::default()).await;
    for limit in [json!(0), json!(-1), json!(1.5)] {
        let body = json!({ "model": TURBO, "max_tokens": limit,
                           "messages": [{ "role": "user", "content": "Hi" }] });
        let error = together.send(chat_call(&body)).await.unwrap_err();
        assert_eq!(error.param(), Some("max_tokens"), "{limit}");
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{limit}: {error}");
    }
}

/// It knows rate limits by their status only; which one it was is told in either of two places.
#[tokio::test]
async fn the_exceeded_limit_is_the_code_of_the_error() {
    let beside = json!({ "error": { "message": "No.", "code": null },
                         "error_type": "dynamic_request_limited" });
    let inside = json!({ "error": { "message": "No.", "error_type": "dynamic_token_limited" } });
    for (body, code) in [
        (beside, "dynamic_request_limited"),
        (inside, "dynamic_token_limited"),
    ] {
        let body = body.to_string();
        let together = scripted("429 Too Many", "application/json", body.as_bytes()).await;
        let error = chat(&together, TURBO).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(error.code(), Some(code));
    }
    // A code of the error itself stays, and other errors have no limit.
    for (status, code) in [("429 Too Many", Some("own")), ("400 Bad Request", None)] {
        let body = json!({ "error": { "message": "No.", "code": code, "error_type": "limit" } });
        let together = scripted(status, "application/json", body.to_string().as_bytes()).await;
        let error = chat(&together, TURBO).await.unwrap_err();
        assert_eq!(error.code(), code, "{status}");
    }
}

/// It rewrites `created` to the local time, and downloads a tokenizer when a stream ends.
#[tokio::test]
async fn a_stream_is_one_request_and_keeps_its_time() {
    let (sim, together) = sim(SimOptions::default()).await;
    let chunks = stream(&together, TURBO).await.unwrap();
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk.created == chunks[0].created)
    );
    assert!(chunks[0].created.as_f64() > 0.0);
    assert_eq!(paths(&sim), ["/v1/chat/completions"]);
}

/// It keeps the engine's own finish reason in whole answers only.
#[tokio::test]
async fn the_native_finish_reason_is_kept_plain_and_streamed() {
    let (_sim, together) = sim(SimOptions::default()).await;
    let model = "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo";
    let (plain, _) = chat(&together, model).await.unwrap();
    assert_eq!(
        plain.choices[0].finish_reason.value().unwrap().as_str(),
        "stop"
    );
    assert_eq!(plain.choices[0].extra["native_finish_reason"], "eos");
    let chunks = stream(&together, model).await.unwrap();
    let native = chunks
        .iter()
        .filter_map(|chunk| chunk.choices.first()?.extra.get("native_finish_reason"));
    assert_eq!(native.collect::<Vec<_>>(), ["eos"]);
}

/// It swallows the usage that the upstream sends unless the caller asked for it.
#[tokio::test]
async fn the_usage_of_a_stream_is_always_reported() {
    let (sim, together) = sim(SimOptions::default()).await;
    let mut last = None;
    let mut stream = together.stream(question(TURBO)).await.unwrap();
    while let Some(event) = stream.next().await {
        last = Some(event.unwrap());
    }
    let Some(llm_provider::ReplyEvent::Chunk(chunk)) = last else {
        panic!("{last:?}")
    };
    assert!(chunk.usage().is_some());
    assert_eq!(
        sent(&sim)["stream_options"],
        json!({ "include_usage": true })
    );
}
