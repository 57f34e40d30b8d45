//! Hostile clients and upstreams: long names, control characters, broken bodies.

use std::sync::Arc;

use axum::body::Body as Upload;
use http::{Method, Request, StatusCode, Uri};
use llm_gateway::Gateway;
use llm_provider::{Error, ErrorKind, MAX_MODEL_NAME};
use proptest::prelude::*;
use proptest::test_runner::Config as Runs;
use serde_json::{Value, json};

use crate::support::*;

const ROUTES: [&str; 5] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/rerank",
    "/v2/rerank",
];

/// A line end that starts a forged log line, an escape sequence, NUL, and marks that reorder text.
const FORGED: &str = "x\n2026-01-01T00:00:00Z  WARN forged\r\u{1b}[2J\u{9b}31m\0\u{202e}\u{2028}";

/// A body that is valid on every route, for `model`.
fn body(model: &str) -> Value {
    json!({
        "model": model, "messages": [{ "role": "user", "content": "x" }], "prompt": "x",
        "input": "x", "query": "x", "documents": ["x"],
    })
}

fn is_safe(line: &str) -> bool {
    !line
        .chars()
        .any(|c| c.is_control() || "\u{202e}\u{2028}".contains(c))
}

#[tokio::test]
async fn a_model_name_has_at_most_256_bytes() {
    let provider = Scripted::new([Step::Json("{}")]);
    for name in ["x".repeat(MAX_MODEL_NAME + 1), "é".repeat(400_000)] {
        for path in ROUTES {
            let request = post(path, body(&name).to_string());
            let response = send(gateway(provider.clone()), request).await;
            let (status, error) = error(response).await;
            assert_eq!((status, &error["param"]), (400, &json!("model")), "{path}");
            assert_eq!(error["code"], "string_above_max_length");
            assert!(error.to_string().len() < 300, "{error}");
        }
    }
    let long = get(&format!("/v1/models/{}", "x".repeat(60_000)));
    let (status, error) = error(send(gateway(provider.clone()), long).await).await;
    assert_eq!((status, &error["param"]), (400, &json!("model")));
    assert!(error.to_string().len() < 300, "{error}");
    let longest = "x".repeat(MAX_MODEL_NAME);
    for path in ROUTES {
        let request = post(path, body(&longest).to_string());
        let response = send(gateway(provider.clone()), request).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert!(provider.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_quote_of_a_client_is_short() {
    let log = Log::capture();
    let path = format!("/{}", "x".repeat(60_000));
    let method = Method::from_bytes(&[b'X'; 60_000]).unwrap();
    for (method, path) in [
        (Method::GET, &*path),
        (method.clone(), &*path),
        (method, "/v1/models"),
    ] {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Upload::empty()).unwrap();
        let response = send(gateway(Scripted::new([])), request).await;
        let answer = text(response).await;
        assert!(answer.len() < 1500, "{} bytes", answer.len());
    }
    let log = log.text();
    assert_eq!(log.lines().count(), 3, "{log}");
    assert!(log.len() < 3 * 1500, "{} bytes", log.len());
}

#[tokio::test]
async fn a_client_cannot_forge_a_log_line() {
    let log = Log::capture();
    let gateway = gateway(Scripted::new([Step::Json("{}")]));
    let mut sent = 0;
    for path in ROUTES {
        let response = send(gateway.clone(), post(path, body(FORGED).to_string())).await;
        let (status, error) = error(response).await;
        assert_eq!(status, 404, "{error}");
        sent += 1;
    }
    let model = "/v1/models/x%0a%1b%00%e2%80%ae";
    for path in [model, "/x%0a%1b", "/x\u{202e}\u{9b}"] {
        let response = send(gateway.clone(), get(path)).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        sent += 1;
    }
    let log = log.text();
    assert_eq!(log.lines().count(), sent, "{log}");
    assert!(log.lines().all(is_safe), "{log:?}");
}

#[tokio::test]
async fn an_upstream_cannot_forge_a_log_line() {
    let fail = || {
        Error::new(ErrorKind::UpstreamFailed, FORGED)
            .with_provider("scripted")
            .with_model(FORGED)
            .with_code(FORGED.to_owned())
            .with_source(std::io::Error::other(FORGED.repeat(1000)))
    };
    let log = Log::capture();
    for more in ["", r#","stream":true"#] {
        send(
            gateway(Scripted::new([Step::Fail(fail)])),
            chat_request(more),
        )
        .await;
    }
    let log = log.text();
    assert_eq!(log.lines().count(), 2, "{log}");
    assert!(log.lines().all(is_safe), "{log:?}");
    assert!(log.len() < 30_000, "{} bytes", log.len());
}

#[tokio::test]
async fn a_client_error_is_not_logged_as_an_upstream_failure() {
    type Case = (fn() -> Error, bool);
    let cases: [Case; 7] = [
        (|| Error::new(ErrorKind::InvalidRequest, "no"), true),
        (|| Error::new(ErrorKind::ContextWindow, "no"), true),
        (|| Error::new(ErrorKind::ContentFilter, "no"), true),
        (|| Error::new(ErrorKind::Unsupported, "no"), true),
        (|| Error::new(ErrorKind::Transport, "no"), false),
        (|| Error::new(ErrorKind::Auth, "no"), false),
        (
            || Error::new(ErrorKind::NotFound, "no").with_provider("p"),
            false,
        ),
    ];
    for (fail, is_clients) in cases {
        let log = Log::capture();
        send(gateway(Scripted::new([Step::Fail(fail)])), chat_request("")).await;
        let log = log.text();
        assert_eq!(log.contains("an upstream failed"), !is_clients, "{log}");
        assert_eq!(log.contains(" WARN "), !is_clients, "{log}");
    }
    let log = Log::capture();
    let unknown = post("/v1/chat/completions", body("unknown").to_string());
    send(gateway(Scripted::new([])), unknown).await;
    let log = log.text();
    assert!(
        log.contains("rejected a request") && !log.contains("WARN"),
        "{log}"
    );
}

/// Text of a hostile client.
fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just(FORGED.to_owned()),
        "[\u{0}-\u{1f}\u{7f}-\u{9f}\u{2028}\u{202e}]{1,20}",
        "(\\.\\./|%0a|%00|%ff|/|\\?|#){1,200}",
        (1_usize..50_000).prop_map(|length| "x".repeat(length)),
        (1_usize..2_000).prop_map(|depth| "[".repeat(depth)),
    ]
}

fn hostile_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!(1e308)),
        hostile_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            (hostile_text(), inner).prop_map(|(key, value)| json!({ key: value })),
        ]
    })
}

/// A body with hostile members, which may be cut.
fn hostile_body() -> impl Strategy<Value = Vec<u8>> {
    let key = prop_oneof![
        prop::sample::select(vec![
            "model",
            "messages",
            "stream",
            "prompt",
            "input",
            "query",
            "documents",
            "max_tokens",
            "stream_options",
            "tools",
        ])
        .prop_map(str::to_owned),
        hostile_text(),
    ];
    let changes = prop::collection::vec((key, hostile_value()), 0..3);
    let cut = prop::option::weighted(0.2, (any::<prop::sample::Index>(), 0_usize..20));
    let whole = (changes, cut).prop_map(|(changes, cut)| {
        let mut body = body("llama");
        for (key, value) in changes {
            body[key] = value;
        }
        let mut body = body.to_string().into_bytes();
        if let Some((at, length)) = cut {
            let at = at.index(body.len());
            body.drain(at..(at + length).min(body.len()));
        }
        body
    });
    prop_oneof![9 => whole, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

fn hostile_request() -> impl Strategy<Value = Request<Upload>> {
    let path = prop_oneof![
        8 => prop::sample::select(ROUTES.to_vec()).prop_map(str::to_owned),
        1 => hostile_text().prop_map(|text| format!("/{text}")),
        1 => hostile_text().prop_map(|text| format!("/v1/models/{text}")),
    ];
    let method = prop::sample::select(vec!["POST", "POST", "POST", "GET", "HEAD", "BREW"]);
    let header = prop::sample::select(vec![
        "x-request-id",
        "content-type",
        "content-length",
        "host",
        "origin",
        "authorization",
    ]);
    let headers = prop::collection::vec((header, hostile_text()), 0..3);
    (method, path, headers, hostile_body()).prop_filter_map(
        "no HTTP",
        |(method, path, headers, body)| {
            let mut request = Request::builder()
                .method(method)
                .uri(Uri::try_from(path).ok()?);
            for (name, value) in headers {
                if let Ok(value) = http::HeaderValue::try_from(value) {
                    request = request.header(name, value);
                }
            }
            request.body(Upload::from(body)).ok()
        },
    )
}

proptest! {
    #![proptest_config(Runs { cases: 400, max_shrink_iters: 200, ..Runs::default() })]

    #[test]
    fn every_request_has_a_short_typed_response_and_one_log_line(
        request in hostile_request()
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().build().unwrap();
        let log = Log::capture();
        let provider = Scripted::new([Step::Json(r#"{"model":"m","choices":[]}"#)]);
        runtime.block_on(check(gateway(Arc::clone(&provider)), request));
        let log = log.text();
        prop_assert!(log.lines().all(is_safe), "{log:?}");
        prop_assert!((1..=2).contains(&log.lines().count()), "{log}");
        prop_assert!(log.len() < 4000, "{log}");
    }
}

async fn check(gateway: Gateway, request: Request<Upload>) {
    let is_head = request.method() == Method::HEAD;
    let response = send(gateway, request).await;
    let status = response.status();
    let id = response.headers()["x-request-id"].to_str().unwrap();
    assert!((1..=128).contains(&id.len()), "{id}");
    assert!(status.is_success() || status.is_client_error(), "{status}");
    if status.is_client_error() && !is_head {
        let (_, error) = error(response).await;
        assert!(error.to_string().len() < 3000, "{error}");
    }
}
