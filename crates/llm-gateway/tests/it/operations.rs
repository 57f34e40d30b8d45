//! Completions, embeddings and rerank: requests, responses, errors.

use crate::support::*;
use http::StatusCode;
use llm_gateway::{Config, Gateway, GatewayOptions};
use llm_provider::{Capabilities, Capability, Error, ErrorKind};

const COMPLETION: &str = r#"{"id":"c1","object":"text_completion","created":1,"model":"upstream/model","choices":[{"text":" blue.","index":0,"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
const EMBEDDING: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.0361615, -1.50]}],"model":"upstream/model","usage":{"prompt_tokens":2,"total_tokens":2}}"#;
const RERANK: &str = r#"{"id":"r1","results":[{"index":2,"relevance_score":0.98,"document":{"text":"W"}}],"meta":{"billed_units":{"search_units":1.0}}}"#;

#[tokio::test]
async fn bodies_are_forwarded_byte_for_byte_except_for_the_model() {
    let cases = [
        (
            "/completions",
            r#"{ "model":"llama", "prompt":"Grüße: the sky is", "temperature":1.50, "top_k":20 }"#,
            COMPLETION,
        ),
        (
            "/embeddings",
            r#"{"model":"llama","input":["a","b"],"encoding_format":"base64","vendor":{"b":1}}"#,
            EMBEDDING,
        ),
        (
            "/rerank",
            r#"{"model":"llama","query":"capital?","documents":["C",{"text":"M"},"W"],"top_n":1}"#,
            RERANK,
        ),
    ];
    for (path, question, answer) in cases {
        for path in [path.to_owned(), format!("/v1{path}")] {
            let provider = Scripted::new([Step::Json(answer)]);
            let response = send(gateway(provider.clone()), post(&path, question)).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let headers = response.headers();
            assert_eq!(headers["content-type"], "application/json");
            assert_eq!(headers["x-polyllm-deployment"], "scripted/upstream/model");
            assert_eq!(headers["x-polyllm-attempts"], "1");
            assert_eq!(
                text(response).await,
                answer.replace("upstream/model", "llama")
            );
            let sent = provider.calls.lock().unwrap().pop().unwrap();
            assert_eq!(sent, question.replace("\"llama\"", "\"upstream/model\""));
        }
    }
}

#[tokio::test]
async fn a_rerank_reply_names_its_model_only_if_the_upstream_does() {
    let with_model = r#"{"results":[],"model":"upstream/model"}"#;
    for (answer, expected) in [
        (RERANK, RERANK),
        (with_model, r#"{"results":[],"model":"llama"}"#),
    ] {
        let provider = Scripted::new([Step::Json(answer)]);
        let request = post(
            "/rerank",
            r#"{"model":"llama","query":"q","documents":["a"]}"#,
        );
        assert_eq!(text(send(gateway(provider), request).await).await, expected);
    }
}

#[tokio::test]
async fn version_2_of_rerank_returns_documents_only_on_request() {
    for (more, expected) in [
        ("", r#","return_documents":false"#),
        (r#","return_documents":true"#, r#","return_documents":true"#),
    ] {
        for path in ["/v2/rerank", "/v1/v2/rerank"] {
            let provider = Scripted::new([Step::Json(RERANK)]);
            let question = |model, more| {
                format!(r#"{{"model":"{model}","query":"q","documents":["a"]{more}}}"#)
            };
            let request = post(path, question("llama", more));
            let response = send(gateway(provider.clone()), request).await;
            assert_eq!(response.status(), StatusCode::OK);
            let sent = provider.calls.lock().unwrap().pop().unwrap();
            assert_eq!(sent, question("upstream/model", expected));
        }
    }
}

#[tokio::test]
async fn a_completion_is_streamed_on_request() {
    const PIECE: &str = r#"{"id":"c1","object":"text_completion","created":1,"model":"upstream/model","choices":[{"text":" blue","index":0,"logprobs":null,"finish_reason":null}]}"#;
    const LAST: &str = r#"{"id":"c1","object":"text_completion","created":1,"model":"upstream/model","choices":[{"text":"","index":0,"logprobs":null,"finish_reason":"stop"}]}"#;
    const USAGE: &str = r#"{"id":"c1","object":"text_completion","created":1,"model":"upstream/model","choices":[],"usage":{"total_tokens":3}}"#;
    let data = |chunk: &str| format!("data: {}\n\n", chunk.replace("upstream/model", "llama"));
    let stream_of = async |more: &str| {
        let provider = Scripted::new([PIECE, LAST, USAGE].map(Step::Json));
        let body = format!(r#"{{"model":"llama","prompt":"The sky is","stream":true{more}}}"#);
        let response = send(gateway(provider.clone()), post("/v1/completions", body)).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let frames = text(response).await;
        provider.until_running(0).await;
        frames
    };
    let end = "data: [DONE]\n\n";
    let pieces = |change: fn(&str) -> String| [change(PIECE), change(LAST)].map(|c| data(&c));
    assert_eq!(
        stream_of("").await,
        pieces(str::to_owned).concat() + end,
        "the usage was not requested"
    );
    let null = |chunk: &str| chunk.replace("}]}", "}],\"usage\":null}");
    assert_eq!(
        stream_of(r#","stream_options":{"include_usage":true}"#).await,
        pieces(null).concat() + &data(USAGE) + end
    );
}

#[tokio::test]
async fn a_broken_stream_of_a_completion_ends_with_an_error() {
    const PIECE: &str = r#"{"model":"llama","choices":[{"text":"x","index":0}]}"#;
    let fail = || Error::new(ErrorKind::Transport, "cut off").with_provider("scripted");
    let provider = Scripted::new([Step::Json(PIECE), Step::Fail(fail)]);
    let body = r#"{"model":"llama","prompt":"x","stream":true}"#;
    let frames = text(send(gateway(provider), post("/v1/completions", body)).await).await;
    assert!(frames.starts_with(&format!("data: {PIECE}\n\ndata: {{\"error\":")));
    assert!(frames.contains("upstream_unreachable") && !frames.contains("[DONE]"));
}

#[tokio::test]
async fn an_invalid_request_is_an_error_that_says_what_is_wrong() {
    let cases = [
        ("/completions", "", None, "the body is empty"),
        ("/embeddings", "[]", None, "expected a JSON object"),
        (
            "/rerank",
            r#"{"model":"llama",}"#,
            None,
            "trailing comma at line 1 column 17",
        ),
        (
            "/completions",
            r#"{"prompt":"x"}"#,
            Some("model"),
            "`model` is required",
        ),
        (
            "/completions",
            r#"{"model":"llama"}"#,
            Some("prompt"),
            "`prompt` is required: a string, or an array",
        ),
        (
            "/completions",
            r#"{"model":"llama","prompt":{"text":"x"}}"#,
            Some("prompt"),
            "expected a string, or an array of strings or of token ids, found an object",
        ),
        (
            "/completions",
            r#"{"model":"llama","prompt":["a",1]}"#,
            Some("prompt[1]"),
            "expected a string, found a number",
        ),
        (
            "/completions",
            r#"{"model":"llama","prompt":"x","echo":"yes"}"#,
            Some("echo"),
            "expected a boolean, found a string",
        ),
        (
            "/completions",
            r#"{"model":"llama","prompt":"x","stream":1}"#,
            Some("stream"),
            "expected a boolean, found a number",
        ),
        (
            "/embeddings",
            r#"{"model":"llama","input":null}"#,
            Some("input"),
            "`input` is required",
        ),
        (
            "/embeddings",
            r#"{"model":"llama","input":[]}"#,
            Some("input"),
            "`input` is empty",
        ),
        (
            "/embeddings",
            r#"{"model":"llama","input":[null]}"#,
            Some("input[0]"),
            "found null",
        ),
        (
            "/embeddings",
            r#"{"model":"llama","input":[[1],[2],"x"]}"#,
            Some("input[2]"),
            "expected an array, found a string",
        ),
        (
            "/embeddings",
            r#"{"model":"llama","input":"x","dimensions":"many"}"#,
            Some("dimensions"),
            "expected a number, found a string",
        ),
        (
            "/rerank",
            r#"{"model":"llama","documents":["a"]}"#,
            Some("query"),
            "`query` is required",
        ),
        (
            "/rerank",
            r#"{"model":"llama","query":["q"],"documents":["a"]}"#,
            Some("query"),
            "expected a string, found an array",
        ),
        (
            "/v2/rerank",
            r#"{"model":"llama","query":"q","documents":[]}"#,
            Some("documents"),
            "at least one document",
        ),
        (
            "/v2/rerank",
            r#"{"model":"llama","query":"q","documents":"a"}"#,
            Some("documents"),
            "expected an array, found a string",
        ),
        (
            "/rerank",
            r#"{"model":"llama","query":"q","documents":["a",["b"]]}"#,
            Some("documents[1]"),
            "expected a string or an object, found an array",
        ),
    ];
    let provider = Scripted::new([Step::Json(RERANK)]);
    for (path, body, param, message) in cases {
        let response = send(gateway(provider.clone()), post(path, body)).await;
        let (status, error) = error(response).await;
        assert_eq!(status, 400, "{body}");
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(error["param"].as_str(), param, "{body}: {error}");
        assert!(
            error["message"].as_str().unwrap().contains(message),
            "{body}: {error}"
        );
    }
    assert!(
        provider.calls.lock().unwrap().is_empty(),
        "a bad request travelled"
    );
}

#[tokio::test]
async fn all_forms_of_text_are_accepted() {
    for texts in [
        r#""x""#,
        r#"["x","y"]"#,
        "[1,2]",
        "[[1,2],[3]]",
        r#"[ "a,]" , "b" ]"#,
    ] {
        for (path, key, answer) in [
            ("/completions", "prompt", COMPLETION),
            ("/embeddings", "input", EMBEDDING),
        ] {
            let body = format!(r#"{{"model":"llama","{key}":{texts}}}"#);
            let gateway = gateway(Scripted::new([Step::Json(answer)]));
            let response = send(gateway, post(path, body)).await;
            assert_eq!(response.status(), StatusCode::OK, "{path} {texts}");
        }
    }
}

#[tokio::test]
async fn an_unsupported_endpoint_is_an_error_with_the_supported_ones() {
    let able = Capabilities::new([Capability::Chat, Capability::Embeddings, Capability::Models]);
    let provider = Scripted::with_capabilities(able, [Step::Json(RERANK)]);
    let rerank = r#"{"model":"llama","query":"q","documents":["a"]}"#;
    let complete = r#"{"model":"llama","prompt":"x","stream":true}"#;
    for (path, body, what) in [
        ("/rerank", rerank, "rerank"),
        ("/v2/rerank", rerank, "rerank"),
        ("/completions", complete, "text completions"),
    ] {
        let response = send(gateway(provider.clone()), post(path, body)).await;
        assert_eq!(response.headers()["x-should-retry"], "false");
        let (status, error) = error(response).await;
        assert_eq!((status, &error["code"]), (400, &"unsupported".into()));
        assert_eq!(error["param"], "model");
        assert_eq!(
            error["message"],
            format!("the model \"llama\" does not support {what}; it supports chat and embeddings")
        );
    }
    assert!(provider.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_deployment_that_supports_the_endpoint_is_chosen() {
    let chat = Scripted::with_capabilities(Capabilities::new([Capability::Chat]), [Step::Silence]);
    let all = Scripted::new([Step::Json(EMBEDDING)]);
    let config = Config::new(vec![
        deployment(chat.clone()).with_weight(1000),
        deployment(all).with_weight(1),
    ]);
    let gateway = Gateway::new(config, GatewayOptions::new());
    let request = post("/embeddings", r#"{"model":"llama","input":"x"}"#);
    assert_eq!(send(gateway, request).await.status(), StatusCode::OK);
    assert!(chat.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn failures_of_the_upstream_are_those_of_a_chat() {
    let fail = || Error::new(ErrorKind::RateLimited, "slow down").with_provider("scripted");
    for (path, body) in [
        ("/completions", r#"{"model":"llama","prompt":"x"}"#),
        ("/embeddings", r#"{"model":"llama","input":"x"}"#),
        (
            "/rerank",
            r#"{"model":"llama","query":"q","documents":["a"]}"#,
        ),
    ] {
        let failing = Scripted::new([Step::Fail(fail)]);
        let (status, error_body) = error(send(gateway(failing), post(path, body)).await).await;
        assert_eq!(status, 429, "{path}");
        assert_eq!(error_body["message"], "scripted: slow down");
        let unreadable = Scripted::new([Step::Json("<html>")]);
        let response = send(gateway(unreadable), post(path, body)).await;
        let (status, error_body) = error(response).await;
        assert_eq!(
            (status, &error_body["code"]),
            (502, &"upstream_unreadable".into()),
            "{path}"
        );
        let unknown = body.replace("llama", "lama");
        let response = send(gateway(Scripted::new([])), post(path, unknown)).await;
        let (status, error_body) = error(response).await;
        assert_eq!(
            (status, &error_body["code"]),
            (404, &"model_not_found".into())
        );
    }
}
