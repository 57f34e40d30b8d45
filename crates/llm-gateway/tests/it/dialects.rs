//! Errors, request ids and rate limits have the form of the client's API, whatever fails.

use std::sync::Arc;

use crate::support::*;
use axum::body::Body as Upload;
use gateway_store::{KeySettings, Store, StoreOptions};
use http::{Method, Request};
use llm_gateway::{Config, Gateway, GatewayOptions, VirtualKeys};
use llm_provider::{ApiKey, Error, ErrorKind};
use llm_router::Deployment;
use serde_json::{Value, json};

const REPLY: &str = r#"{"id":"c1","created":5,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;

/// The paths of the three APIs and the request bodies of each, as `body(model, extra members)`.
const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";

fn body(path: &str, model: &str) -> String {
    match path {
        MESSAGES => json!({"model": model, "max_tokens": 9,
            "messages": [{"role": "user", "content": "Hi"}]}),
        _ => json!({"model": model, "input": "Hi"}),
    }
    .to_string()
}

/// A failing model for each kind of error, and a gateway with a key limited to one call a minute.
async fn gateway() -> (Gateway, String) {
    fn failing(kind: ErrorKind) -> Arc<Scripted> {
        let error: fn() -> Error = match kind {
            ErrorKind::RateLimited => || Error::new(ErrorKind::RateLimited, "x"),
            ErrorKind::Overloaded => || Error::new(ErrorKind::Overloaded, "x"),
            ErrorKind::Timeout => || Error::new(ErrorKind::Timeout, "x"),
            ErrorKind::InsufficientCredit => || Error::new(ErrorKind::InsufficientCredit, "x"),
            ErrorKind::Permission => || Error::new(ErrorKind::Permission, "x"),
            ErrorKind::ContextWindow => || Error::new(ErrorKind::ContextWindow, "x"),
            _ => || Error::new(ErrorKind::UpstreamFailed, "x"),
        };
        Scripted::new([Step::Fail(error)])
    }
    let named = |name: &str, provider| Deployment::new(name, provider, "m");
    let config = Config::new(vec![
        named("llama", Scripted::new([Step::Json(REPLY)])),
        named("limited", failing(ErrorKind::RateLimited)),
        named("busy", failing(ErrorKind::Overloaded)),
        named("slow", failing(ErrorKind::Timeout)),
        named("unpaid", failing(ErrorKind::InsufficientCredit)),
        named("forbidden", failing(ErrorKind::Permission)),
        named("short", failing(ErrorKind::ContextWindow)),
        named("broken", failing(ErrorKind::UpstreamFailed)),
    ]);
    let store = Store::open("sqlite::memory:", StoreOptions::default());
    let store = store.await.unwrap();
    let mut settings = KeySettings::default();
    settings.limits.rpm_limit = Some(1);
    settings.limits.tpm_limit = Some(100_000);
    let key = store.keys().generate(settings).await.unwrap();
    let keys = VirtualKeys::new(store).await.unwrap();
    let options = GatewayOptions::new()
        .with_virtual_keys(keys)
        .with_body_limit(2000);
    let config = config.with_master_key(ApiKey::new("sk-master"));
    (
        Gateway::new(config, options),
        key.secret.expose().to_owned(),
    )
}

fn request(method: Method, path: &str, key: &str, body: impl Into<Upload>) -> Request<Upload> {
    let mut request = post(path, body);
    *request.method_mut() = method;
    let key = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", key);
    request
}

#[tokio::test]
async fn every_failure_has_the_form_of_the_api() {
    let (gateway, _) = gateway().await;
    let long = format!(r#"{{"model": "llama", "x": "{}"}}"#, "x".repeat(3000));
    for path in [MESSAGES, RESPONSES] {
        let below = format!("{path}/batches/1");
        let of = |model| (Method::POST, path, "sk-master", body(path, model));
        for (case, (method, path, key, body), status, type_) in [
            (
                "unknown path",
                (Method::PUT, &*below, "sk-master", String::new()),
                404,
                "not_found_error",
            ),
            ("unknown model", of("nobody"), 404, "not_found_error"),
            (
                "method",
                (Method::PUT, path, "sk-master", String::new()),
                405,
                "invalid_request_error",
            ),
            (
                "too large",
                (Method::POST, path, "sk-master", long.clone()),
                413,
                "request_too_large",
            ),
            (
                "no JSON",
                (Method::POST, path, "sk-master", "{".into()),
                400,
                "invalid_request_error",
            ),
            (
                "no object",
                (Method::POST, path, "sk-master", "[]".into()),
                400,
                "invalid_request_error",
            ),
            (
                "no body",
                (Method::POST, path, "sk-master", String::new()),
                400,
                "invalid_request_error",
            ),
            (
                "wrong type",
                (Method::POST, path, "sk-master", r#"{"model": 5}"#.into()),
                400,
                "invalid_request_error",
            ),
            (
                "key",
                (Method::POST, path, "sk-other", body(path, "llama")),
                401,
                "authentication_error",
            ),
            ("prompt", of("short"), 400, "invalid_request_error"),
            ("credit", of("unpaid"), 402, "billing_error"),
            ("permission", of("forbidden"), 403, "permission_error"),
            ("rate limit", of("limited"), 429, "rate_limit_error"),
            ("upstream", of("broken"), 502, "api_error"),
            ("overload", of("busy"), 529, "overloaded_error"),
            ("timeout", of("slow"), 504, "timeout_error"),
        ] {
            let is_anthropic = path.starts_with(MESSAGES);
            let response = send(gateway.clone(), request(method, path, key, body)).await;
            let headers = response.headers().clone();
            let found = response.status().as_u16();
            let text = text(response).await;
            let body: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(headers["content-type"], "application/json", "{case}");
            let id = headers["x-request-id"].to_str().unwrap();
            if is_anthropic {
                assert_eq!(
                    (found, &body["error"]["type"]),
                    (status, &json!(type_)),
                    "{case}"
                );
                assert_eq!(body["type"], "error", "{case}");
                assert_eq!(body["request_id"], id, "{case}");
                assert_eq!(headers["request-id"], id, "{case}");
            } else {
                let status = if status == 529 { 503 } else { status };
                let below = path != RESPONSES;
                // A path below is that of a kept response.
                let status = if below { 405 } else { status };
                assert_eq!(found, status, "{case}: {text}");
                for key in ["message", "type", "param", "code"] {
                    assert!(body["error"].get(key).is_some(), "{case}: {text}");
                }
                assert!(!headers.contains_key("request-id"), "{case}");
            }
            assert!(body["error"]["message"].is_string(), "{case}");
        }
    }
}

#[tokio::test]
async fn rate_limits_have_the_headers_of_the_api() {
    for (path, prefix) in [
        (MESSAGES, "anthropic-ratelimit-"),
        (RESPONSES, "x-ratelimit-"),
    ] {
        let (gateway, key) = gateway().await;
        for (status, left) in [(200, "0"), (429, "0")] {
            let request = request(Method::POST, path, &key, body(path, "llama"));
            let response = send(gateway.clone(), request).await;
            assert_eq!(response.status().as_u16(), status, "{path}");
            let headers = response.headers();
            let names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
            let foreign = |name: &&&str| name.contains("ratelimit") && !name.starts_with(prefix);
            assert_eq!(names.iter().find(foreign), None);
            let value = |openai: &str, anthropic: &str| {
                let name = if path == MESSAGES { anthropic } else { openai };
                headers[&format!("{prefix}{name}")].to_str().unwrap()
            };
            assert_eq!(value("limit-requests", "requests-limit"), "1");
            assert_eq!(value("remaining-requests", "requests-remaining"), left);
            assert_eq!(value("limit-tokens", "tokens-limit"), "100000");
            let left: u64 = value("remaining-tokens", "tokens-remaining")
                .parse()
                .unwrap();
            assert!((90_000..=100_000).contains(&left), "{left}");
            let reset = value("reset-requests", "requests-reset");
            // Within two minutes, as a time or as a duration.
            let expected = if path == MESSAGES { 'Z' } else { 's' };
            assert!(reset.ends_with(expected), "{reset}");
            if status == 429 {
                assert!(headers.contains_key("retry-after"));
            }
        }
    }
}
