//! The Messages and Responses APIs.

use std::time::Duration;

use crate::support::*;
use http::{Method, StatusCode};
use llm_gateway::{Config, Gateway, GatewayOptions};
use llm_provider::{ApiKey, Error, ErrorKind};
use serde_json::{Value, json};

const REPLY: &str = r#"{"id":"c1","created":5,"model":"upstream/model","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;
const HELLO: &str = r#"{"id":"c1","created":5,"model":"upstream/model","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}"#;
const LAST: &str = r#"{"id":"c1","created":5,"model":"upstream/model","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"id":"c1","created":5,"model":"upstream/model","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;

const MESSAGES: &[&str] = &[
    "/v1/messages",
    "/messages",
    "/anthropic/v1/messages",
    "/v1/messages?beta=true",
];

#[tokio::test]
async fn messages_are_served_on_all_paths() {
    for path in MESSAGES {
        let provider = Scripted::new([Step::Json(REPLY)]);
        let body = json!({"model": "llama", "max_tokens": 9, "system": "Be brief.", "service_tier": "auto",
            "messages": [{"role": "user", "content": "Hi"}]});
        let response = send(gateway(provider.clone()), post_json(path, &body)).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let headers = response.headers().clone();
        assert_eq!(headers["request-id"], headers["x-request-id"]);
        assert_eq!(headers["x-polyllm-provider"], "scripted");
        assert_eq!(headers["x-polyllm-ignored-params"], "service_tier");
        let message = read(response).await;
        assert_eq!(message["type"], "message");
        assert_eq!(message["model"], "llama");
        assert_eq!(message["content"][0]["text"], "Hello");
        assert_eq!(message["usage"]["input_tokens"], 9);
        let sent: Value = serde_json::from_str(&provider.calls.lock().unwrap()[0]).unwrap();
        assert_eq!(
            sent["messages"][0],
            json!({"role": "system", "content": "Be brief."})
        );
    }
}

#[tokio::test]
async fn messages_are_streamed() {
    let provider = Scripted::new([HELLO, LAST, USAGE].map(Step::Json));
    let body = json!({"model": "llama", "max_tokens": 9, "stream": true,
        "messages": [{"role": "user", "content": "Hi"}]});
    let response = send(gateway(provider.clone()), post_json("/v1/messages", &body)).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let frames = text(response).await;
    let names: Vec<_> = frames
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert!(!frames.contains("[DONE]"));
    provider.until_running(0).await;
}

#[tokio::test]
async fn responses_are_served_whole_and_streamed() {
    for path in ["/v1/responses", "/responses"] {
        let provider = Scripted::new([Step::Json(REPLY)]);
        let body = json!({"model": "llama", "input": "Hi"});
        let response = read(send(gateway(provider), post_json(path, &body)).await).await;
        assert_eq!(response["object"], "response");
        assert_eq!(response["model"], "llama");
        assert_eq!(response["output"][0]["content"][0]["text"], "Hello");
    }
    let provider = Scripted::new([HELLO, LAST, USAGE].map(Step::Json));
    let body = json!({"model": "llama", "input": "Hi", "stream": true});
    let frames = text(send(gateway(provider), post_json("/v1/responses", &body)).await).await;
    assert!(frames.starts_with("event: response.created\n"));
    let frames = frames.strip_suffix("data: [DONE]\n\n").unwrap();
    let last = frames.trim_end().lines().last().unwrap();
    let last: Value = serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(last["type"], "response.completed");
    assert_eq!(last["response"]["usage"]["total_tokens"], 11);
    assert!(last["response"]["completed_at"].as_u64().unwrap() > 1_700_000_000);
}

/// litellm#13252 and ai-gateway#1360: a missing route, or a call for each count.
#[tokio::test]
async fn tokens_are_counted_without_a_call() {
    let provider = Scripted::new([]);
    let gateway = gateway(provider.clone());
    let body = json!({"model": "llama", "messages": [{"role": "user", "content": "Hi"}]});
    let count = read(
        send(
            gateway.clone(),
            post_json("/v1/messages/count_tokens?beta=true", &body),
        )
        .await,
    )
    .await;
    assert!(count["input_tokens"].as_u64().unwrap() > 0);
    let body = json!({"model": "llama", "input": "Hi"});
    let count = read(send(gateway, post_json("/v1/responses/input_tokens", &body)).await).await;
    assert_eq!(count["object"], "response.input_tokens");
    assert!(provider.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn errors_have_the_form_of_the_api() {
    fn busy() -> Error {
        Error::new(ErrorKind::Overloaded, "busy")
    }
    let ask =
        json!({"model": "llama", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]});
    let unknown = json!({"model": "nobody", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]});
    let gateway = gateway(Scripted::new([Step::Fail(busy)]));
    for (request, status, type_) in [
        (post_json("/v1/messages", &ask), 529, "overloaded_error"),
        (post_json("/v1/messages", &unknown), 404, "not_found_error"),
        (
            post_json("/v1/messages", &json!({"model": "llama"})),
            400,
            "invalid_request_error",
        ),
        (
            post_json("/v1/messages/batches", &ask),
            404,
            "not_found_error",
        ),
        (
            post_json("/anthropic/v1/nowhere", &ask),
            404,
            "not_found_error",
        ),
        (get("/v1/messages"), 405, "invalid_request_error"),
    ] {
        let response = send(gateway.clone(), request).await;
        assert_eq!(response.status().as_u16(), status);
        let id = response.headers()["request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let body = read(response).await;
        assert_eq!(
            (&body["type"], &body["error"]["type"]),
            (&json!("error"), &json!(type_))
        );
        assert_eq!(body["request_id"], id);
    }
    for (request, status) in [
        (
            post_json(
                "/v1/responses",
                &json!({"model": "llama", "input": "a", "previous_response_id": "r"}),
            ),
            400,
        ),
        (get("/v1/responses/resp_1"), 404),
        (get("/v1/responses/resp_1/input_items"), 404),
        (get("/v1/responses"), 405),
    ] {
        let (found, error) = error(send(gateway.clone(), request).await).await;
        assert_eq!(found, status);
        assert!(error["message"].is_string() && error["type"].is_string());
    }
}

#[tokio::test]
async fn a_failure_in_a_stream_is_an_event_of_the_api() {
    fn busy() -> Error {
        Error::new(ErrorKind::Overloaded, "busy")
    }
    let steps = [Step::Json(HELLO), Step::Fail(busy)];
    let body = json!({"model": "llama", "max_tokens": 9, "stream": true,
        "messages": [{"role": "user", "content": "Hi"}]});
    let provider = Scripted::new(steps.clone());
    let frames = text(send(gateway(provider), post_json("/v1/messages", &body)).await).await;
    let last = frames.trim_end().rsplit("\n\n").next().unwrap();
    assert!(
        last.starts_with("event: error\ndata: {\"type\":\"error\""),
        "{last}"
    );
    assert!(last.contains("overloaded_error"));

    let body = json!({"model": "llama", "input": "Hi", "stream": true});
    let frames = text(
        send(
            gateway(Scripted::new(steps)),
            post_json("/v1/responses", &body),
        )
        .await,
    )
    .await;
    let frames = frames.strip_suffix("data: [DONE]\n\n").unwrap();
    let last = frames.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.starts_with("event: response.failed\n"), "{last}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_model_is_started_and_pinged() {
    let provider = Scripted::new([
        Step::Wait(Duration::from_secs(50)),
        Step::Json(HELLO),
        Step::Json(LAST),
    ]);
    let body = json!({"model": "llama", "max_tokens": 9, "stream": true,
        "messages": [{"role": "user", "content": "Hi"}]});
    let frames =
        text(send(gateway(provider.clone()), post_json("/v1/messages", &body)).await).await;
    let names: Vec<_> = frames
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    assert_eq!(names[..3], ["message_start", "ping", "ping"]);
    assert_eq!(
        names
            .iter()
            .filter(|name| **name == "message_start")
            .count(),
        1
    );
    assert_eq!(names.last(), Some(&"message_stop"));

    let body = json!({"model": "llama", "input": "Hi", "stream": true});
    let frames = text(send(gateway(provider), post_json("/v1/responses", &body)).await).await;
    assert!(frames.starts_with("event: response.created\n"));
    assert!(frames.contains(": keep-alive"));
    assert_eq!(frames.matches("event: response.created").count(), 1);
}

/// litellm#36008 and #31499: the upstream was read to its end after the client had left.
#[tokio::test]
async fn a_client_that_leaves_cancels_the_call() {
    for (path, member) in [("/v1/messages", "messages"), ("/v1/responses", "input")] {
        let provider = Scripted::new([Step::Endless(HELLO)]);
        let body = json!({"model": "llama", "max_tokens": 9, "stream": true,
            member: [{"role": "user", "content": "Hi"}]});
        let response = send(gateway(provider.clone()), post_json(path, &body)).await;
        let mut body = response.into_body();
        assert!(frame(&mut body).await.is_some(), "{path}");
        provider.until_running(1).await;
        drop(body);
        provider.until_running(0).await;
    }
}

/// litellm#27180: Claude Code reads only this form.
#[tokio::test]
async fn models_have_the_form_of_the_api() {
    let gateway = gateway(Scripted::new([]));
    let mut request = get("/v1/models?limit=1000");
    request
        .headers_mut()
        .insert("anthropic-version", "2026-10-21".parse().unwrap());
    let list = read(send(gateway.clone(), request).await).await;
    assert_eq!(list["data"][0]["type"], "model");
    assert_eq!(list["data"][0]["id"], "llama");
    assert!(
        list["data"][0]["created_at"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
    assert_eq!(
        (&list["first_id"], &list["has_more"]),
        (&json!("llama"), &json!(false))
    );
    let one = read(send(gateway, get("/anthropic/v1/models/llama")).await).await;
    assert_eq!(one["type"], "model");
}

#[tokio::test]
async fn the_key_may_be_an_api_key_header_and_the_root_answers_a_head() {
    let config =
        Config::new(vec![deployment(Scripted::new([]))]).with_master_key(ApiKey::new("sk-1234"));
    let gateway = Gateway::new(config, GatewayOptions::new());
    for (name, key, status) in [
        ("x-api-key", "sk-1234", 200),
        ("x-api-key", "sk-1235", 401),
        ("api-key", "sk-1234", 200),
        ("api-key", "sk-1235", 401),
    ] {
        let mut request = get("/v1/models");
        request.headers_mut().insert(name, key.parse().unwrap());
        // A client may send a placeholder as the other key.
        request
            .headers_mut()
            .insert("authorization", "Bearer any".parse().unwrap());
        assert_eq!(
            send(gateway.clone(), request).await.status().as_u16(),
            status
        );
    }
    let mut request = get("/");
    *request.method_mut() = Method::HEAD;
    assert_eq!(send(gateway, request).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_path_may_name_the_model_as_for_azure() {
    let provider = Scripted::new([Step::Json("{}"), Step::Json("{}")]);
    let gateway = gateway(provider);
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]});
    for (path, status) in [
        (
            "/openai/deployments/llama/chat/completions?api-version=2024-10-21",
            200,
        ),
        ("/engines/%6Clama/chat/completions", 200),
        ("/openai/deployments/unknown/chat/completions", 404),
        ("/openai/deployments/a/b/chat/completions", 404),
        ("/openai/deployments//chat/completions", 400),
        ("/openai/deployments/%FF/chat/completions", 400),
        ("/openai/deployments/llama/messages", 404),
    ] {
        let response = send(gateway.clone(), post_json(path, &body)).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
    }
    let response = send(gateway, get("/engines/llama/embeddings")).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_stop_sequence_is_reported_by_every_engine() {
    const WORDS: &str =
        r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"a END"},"finish_reason":null}]}"#;
    for stream in [false, true] {
        let provider = Scripted::new([Step::Endless(WORDS)]);
        let body = json!({"model": "llama", "max_tokens": 9, "stop_sequences": ["END"],
            "stream": stream, "messages": [{"role": "user", "content": "Hi"}]});
        let gateway = gateway(provider.clone());
        let message = text(send(gateway, post_json("/v1/messages", &body)).await).await;
        assert!(message.contains(r#""stop_sequence":"END""#), "{message}");
        // The model would go on.
        provider.until_running(0).await;
        let sent: Value = serde_json::from_str(&provider.calls.lock().unwrap()[0]).unwrap();
        assert_eq!(
            (&sent["stop"], &sent["stream"]),
            (&Value::Null, &json!(true))
        );
    }
}
