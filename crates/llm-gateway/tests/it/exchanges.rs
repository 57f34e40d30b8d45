//! What the Messages and Responses APIs have besides a chat: prefills, counts, lists of models, and
//! replies that have no equivalent.

use std::time::Duration;

use crate::support::*;
use http::header::USER_AGENT;
use llm_gateway::{Config, Gateway, GatewayOptions};
use llm_router::Deployment;
use serde_json::{Map, Value, json};

const REPLY: &str = r#"{"id":"c1","created":5,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;
const HELLO: &str = r#"{"id":"c1","created":5,"model":"m","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}"#;
const QUOTES: &str = r#"{"id":"c1","created":5,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"write","arguments":"{\"text\":\"He said \"hello\"\"}"}}]},"finish_reason":"tool_calls"}]}"#;

#[tokio::test]
async fn a_prefill_is_sent_with_the_parameters_of_the_deployment() {
    let params = Map::from_iter([("continue_final_message".to_owned(), json!(true))]);
    for (messages, is_prefill) in [
        (json!([{"role": "user", "content": "Hi"}]), false),
        (
            json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Once"}]),
            true,
        ),
    ] {
        let provider = Scripted::new([Step::Json(REPLY)]);
        let deployment = deployment(provider.clone()).with_prefill(params.clone());
        let gateway = Gateway::new(Config::new(vec![deployment]), GatewayOptions::new());
        let body = json!({"model": "llama", "max_tokens": 9, "messages": messages});
        let response = send(gateway, post_json("/v1/messages", &body)).await;
        assert_eq!(response.status(), 200);
        let sent: Value = serde_json::from_str(&provider.calls.lock().unwrap()[0]).unwrap();
        assert_eq!(
            sent.get("continue_final_message").is_some(),
            is_prefill,
            "{sent}"
        );
    }
}

#[tokio::test]
async fn documents_are_sent_to_models_that_take_files() {
    let source = json!({"type": "base64", "media_type": "application/pdf", "data": "AA=="});
    let message = json!({"model": "llama", "max_tokens": 9, "messages": [
        {"role": "user", "content": [{"type": "document", "source": source}]}]});
    let file = json!({"type": "input_file", "file_data": "data:application/pdf;base64,AA=="});
    let response = json!({"model": "llama", "input": [{"role": "user", "content": [file]}]});
    for (path, body) in [("/v1/messages", message), ("/v1/responses", response)] {
        for takes_files in [false, true] {
            let provider = Scripted::new([Step::Json(REPLY)]);
            let deployment = deployment(provider.clone()).with_files(takes_files);
            let gateway = Gateway::new(Config::new(vec![deployment]), GatewayOptions::new());
            let response = send(gateway, post_json(path, &body)).await;
            assert_eq!(response.status() == 200, takes_files, "{path}");
            let sent = provider.calls.lock().unwrap().concat();
            assert_eq!(
                sent.contains("data:application/pdf;base64,AA=="),
                takes_files,
                "{sent}"
            );
        }
    }
}

#[tokio::test]
async fn a_header_names_the_tools_whose_arguments_were_replaced() {
    let gateway = gateway(Scripted::new([Step::Json(QUOTES)]));
    let body = json!({"model": "llama", "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hi"}]});
    let response = send(gateway, post_json("/v1/messages", &body)).await;
    assert_eq!(response.headers()["x-polyllm-replaced-arguments"], "write");
    assert_eq!(read(response).await["content"][0]["input"], json!({}));
}

#[tokio::test]
async fn the_tokens_of_an_unknown_model_are_not_counted() {
    for (path, body) in [
        (
            "/v1/messages/count_tokens",
            json!({"model": "zz", "messages": [{"role": "user", "content": "Hi"}]}),
        ),
        (
            "/v1/responses/input_tokens",
            json!({"model": "zz", "input": "Hi"}),
        ),
    ] {
        let response = send(gateway(Scripted::new([])), post_json(path, &body)).await;
        assert_eq!(response.status(), 404, "{path}");
        let error = read(response).await;
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains("\"zz\" does not exist"), "{error}");
    }
}

/// The first frame follows the head of the response, which waits for the upstream.
#[tokio::test(start_paused = true)]
async fn a_silent_stream_starts_with_its_first_event() {
    let message = json!({"model": "llama", "max_tokens": 9, "stream": true,
        "messages": [{"role": "user", "content": "Hi"}]});
    let response = json!({"model": "llama", "input": "Hi", "stream": true});
    for (path, body, first) in [
        ("/v1/messages", message, "event: message_start"),
        ("/v1/responses", response, "event: response.created"),
    ] {
        let steps = [Step::Wait(Duration::from_secs(50)), Step::Json(HELLO)];
        let gateway = gateway(Scripted::new(steps));
        let start = tokio::time::Instant::now();
        let response = send(gateway, post_json(path, &body)).await;
        let frame = frame(&mut response.into_body()).await.unwrap();
        assert!(frame.starts_with(first.as_bytes()), "{frame:?}");
        assert_eq!(start.elapsed().as_secs(), 15, "{path}");
    }
}

#[tokio::test]
async fn the_list_of_models_has_pages_for_clients_of_anthropic() {
    let provider = Scripted::new([]);
    let names = ["a", "b", "c"].map(|name| Deployment::new(name, provider.clone(), "m"));
    let gateway = Gateway::new(Config::new(names.into()), GatewayOptions::new());
    let list = async |query: &str| {
        let mut request = get(&format!("/v1/models{query}"));
        let agent = http::HeaderValue::from_static("claude-cli/2.1 (external)");
        request.headers_mut().insert(USER_AGENT, agent);
        read(send(gateway.clone(), request).await).await
    };
    for (query, ids, has_more) in [
        ("", &["a", "b", "c"][..], false),
        ("?limit=2", &["a", "b"], true),
        ("?limit=2&after_id=b", &["c"], false),
        ("?limit=1&before_id=c", &["b"], true),
        ("?before_id=a", &[], false),
        ("?after_id=unknown", &[], false),
    ] {
        let page = list(query).await;
        let found: Vec<_> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| &model["id"])
            .collect();
        assert_eq!(found, ids, "{query}");
        assert_eq!(page["has_more"], has_more, "{query}");
        assert_eq!(page["last_id"].as_str(), ids.last().copied(), "{query}");
    }
    assert_eq!(
        list("?limit=0").await["error"]["type"],
        "invalid_request_error"
    );
}
