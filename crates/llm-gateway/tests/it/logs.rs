//! The log of requests: one line for each, and no prompt unless it is asked for.

use llm_gateway::{Config, Gateway, GatewayOptions};
use llm_provider::{ApiKey, Error, ErrorKind};
use llm_router::{Deployment, Fallbacks};
use tracing::Level;

use crate::support::*;

const REPLY: &str = r#"{"id":"1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}"#;
const CHUNK: &str = r#"{"id":"1","choices":[{"index":0,"delta":{"content":"Hi"}}]}"#;
const CANARY: &str = "canary-7f3a";

fn down() -> Error {
    Error::new(ErrorKind::Transport, "the upstream is down").with_provider("scripted")
}

fn invalid() -> Error {
    Error::new(ErrorKind::InvalidRequest, "no").with_provider("scripted")
}

/// The lines of one request, without those of changes of state.
async fn lines(gateway: Gateway, request: http::Request<axum::body::Body>) -> Vec<String> {
    let log = Log::capture_at(Level::INFO);
    text(send(gateway, request).await).await;
    let log = log.text();
    let lines = log.lines().filter(|line| !line.contains("cooling down"));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_request_has_one_line_also_if_it_fails() {
    let streamed = r#","stream":true"#;
    let retried = || {
        let other = Scripted::new([Step::Json(REPLY)]);
        let first = deployment(Scripted::new([Step::Fail(down)]));
        let second = Deployment::new("llama", other, "upstream/second");
        Gateway::new(Config::new(vec![first, second]), GatewayOptions::new())
    };
    let fallen_back = |second: Step| {
        let first = deployment(Scripted::new([Step::Fail(down)]));
        let second = Deployment::new("qwen", Scripted::new([second]), "upstream/other");
        let mut config = Config::new(vec![first, second]);
        let fallbacks = Fallbacks::default().with_default(["qwen"]);
        config.router = config.router.with_fallbacks(fallbacks);
        Gateway::new(config, GatewayOptions::new())
    };
    let of = |steps: Vec<Step>| gateway(Scripted::new(steps));
    let locked = || {
        let provider = Scripted::new([Step::Json(REPLY)]);
        let config = Config::new(vec![deployment(provider)]);
        let config = config.with_master_key(ApiKey::new("sk-master"));
        Gateway::new(config, GatewayOptions::new())
    };
    for (name, gateway, request, expected) in [
        (
            "reply",
            of(vec![Step::Json(REPLY)]),
            chat_request(""),
            "served",
        ),
        (
            "stream",
            of(vec![Step::Json(CHUNK)]),
            chat_request(streamed),
            "served",
        ),
        (
            "failure",
            of(vec![Step::Fail(down)]),
            chat_request(""),
            "an upstream failed",
        ),
        (
            "failed stream",
            of(vec![Step::Fail(down)]),
            chat_request(streamed),
            "an upstream failed",
        ),
        (
            "broken stream",
            of(vec![Step::Json(CHUNK), Step::Fail(down)]),
            chat_request(streamed),
            "an upstream failed",
        ),
        (
            "rejection",
            of(vec![Step::Fail(invalid)]),
            chat_request(""),
            "rejected a request",
        ),
        ("retry", retried(), chat_request(""), "served"),
        (
            "fallback",
            fallen_back(Step::Json(REPLY)),
            chat_request(""),
            "served",
        ),
        (
            "failed fallback",
            fallen_back(Step::Fail(down)),
            chat_request(""),
            "an upstream failed",
        ),
        ("unknown path", of(vec![]), get("/nowhere"), "served"),
        ("no key", locked(), chat_request(""), "served"),
        (
            "no JSON",
            of(vec![]),
            post("/v1/chat/completions", "{"),
            "rejected a request",
        ),
    ] {
        let lines = lines(gateway, request).await;
        assert_eq!(lines.len(), 1, "{name}: {lines:#?}");
        assert!(lines[0].contains(expected), "{name}: {lines:#?}");
    }
}

#[tokio::test]
async fn prompts_are_logged_only_with_the_switch_and_keys_never() {
    let request = |stream: bool| {
        let body = format!(
            r#"{{"model":"llama","stream":{stream},"api_key":"sk-{CANARY}","messages":[{{"role":"user","content":"{CANARY}"}}]}}"#
        );
        let (mut head, body) = post("/v1/chat/completions", body).into_parts();
        let key = format!("Bearer key-{CANARY}").parse().unwrap();
        head.headers.insert("authorization", key);
        http::Request::from_parts(head, body)
    };
    for steps in [
        vec![Step::Json(REPLY)],
        vec![Step::Fail(down)],
        vec![Step::Fail(invalid)],
    ] {
        for log_prompts in [false, true] {
            let options = GatewayOptions::new().with_log_prompts(log_prompts);
            let provider = Scripted::new(steps.clone());
            let gateway = Gateway::new(Config::new(vec![deployment(provider)]), options);
            let log = Log::capture_at(Level::TRACE);
            for stream in [false, true] {
                text(send(gateway.clone(), request(stream)).await).await;
            }
            let log = log.text();
            let prompts = log.lines().filter(|line| line.contains(CANARY));
            assert_eq!(prompts.count(), if log_prompts { 2 } else { 0 }, "{log}");
            let keys = [format!("sk-{CANARY}"), format!("key-{CANARY}")];
            assert!(!keys.iter().any(|key| log.contains(key)), "{log}");
        }
    }
}
