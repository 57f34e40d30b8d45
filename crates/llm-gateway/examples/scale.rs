//! How long large configurations take: `cargo run --release -p llm-gateway --example scale`.
//!
//! Each figure is the fastest of ten runs, since other work on the machine only makes runs slower.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use http::Request;
use http_body_util::{BodyExt, Full};
use llm_gateway::{Config, Gateway, GatewayOptions};
use llm_provider::{
    Call, Capabilities, Capability, Document, Error, ErrorKind, Metadata, Provider, Registry,
    Reply, ReplyStream, Result,
};
use llm_router::Deployment;
use tower::ServiceExt;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), BoxError> {
    for (name, head, count, item) in FILES {
        let mut text = (*head).to_owned();
        (0..*count).try_for_each(|number| item(&mut text, number))?;
        let time = fastest(|| drop(Config::parse(&text, &registry(), &|_| None)));
        let kilobytes = text.len() / 1000;
        report(&format!("config, {count} {name}, {kilobytes} kB"), time);
    }
    for count in [1, 10_000] {
        let provider: Arc<dyn Provider> = Arc::new(Constant);
        let group = (0..count).map(|_| Deployment::new("group", Arc::clone(&provider), "m"));
        let config = || Config::new(group.clone().collect());
        let time = fastest(|| drop(Gateway::new(config(), GatewayOptions::new())));
        report(&format!("start, group of {count} deployments"), time);
        let gateway = Gateway::new(config(), GatewayOptions::new());
        let time = request(&gateway).await?;
        report(&format!("request, group of {count} deployments"), time);
    }
    Ok(())
}

/// Writes an item of a file.
type Item = fn(&mut String, usize) -> std::fmt::Result;

/// What the items are, the beginning of the file, their number, and an item.
const FILES: &[(&str, &str, usize, Item)] = &[
    ("models", "model_list:\n", 10_000, |text, n| {
        let params = "model: constant/m, api_key: k, timeout: 5";
        writeln!(text, "- {{model_name: a{n}, litellm_params: {{{params}}}}}")
    }),
    ("models of one name", "model_list:\n", 10_000, |text, _| {
        let params = "model: constant/m, api_key: k, timeout: 5";
        writeln!(text, "- {{model_name: a, litellm_params: {{{params}}}}}")
    }),
    (
        "keys of a mapping that is ignored",
        "guardrails:\n",
        50_000,
        |text, n| writeln!(text, "  key{n}: 1"),
    ),
    ("unknown keys", "general_settings:\n", 50_000, |text, n| {
        writeln!(text, "  m{n}ster_key: 1")
    }),
    (
        "variables",
        "environment_variables:\n",
        50_000,
        |text, n| writeln!(text, "  V{n}: value"),
    ),
];

/// The time of one chat request through a gateway, without a network.
async fn request(gateway: &Gateway) -> std::result::Result<Duration, BoxError> {
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        for _ in 0..REQUESTS {
            let body = r#"{"model":"group","messages":[{"role":"user","content":"Hi"}]}"#;
            let request = Request::post("/v1/chat/completions")
                .header("content-type", "application/json")
                .body(Full::from(body))?;
            let response = gateway.clone().into_service().oneshot(request).await?;
            assert_eq!(response.status(), 200);
            let body = response.into_body().collect().await;
            body.map_err(|error| error.to_string())?;
        }
        fastest = fastest.min(start.elapsed() / REQUESTS);
    }
    Ok(fastest)
}

fn fastest(mut run: impl FnMut()) -> Duration {
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        run();
        fastest = fastest.min(start.elapsed());
    }
    fastest
}

#[allow(clippy::print_stdout, reason = "this is the output of the example")]
fn report(what: &str, time: Duration) {
    println!("{what}: {time:.1?}");
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.register("constant", |_| Ok(Arc::new(Constant)));
    registry
}

/// A provider that always gives the same reply.
#[derive(Debug)]
struct Constant;

impl Provider for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new([Capability::Chat])
    }

    fn send(&self, _: Call) -> BoxFuture<'_, Result<Reply>> {
        let body = r#"{"id":"1","object":"chat.completion","created":0,"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Hi"}}]}"#;
        let reply = Reply::new(Document::from_bytes(body), Metadata::new("constant", "m"));
        Box::pin(async { Ok(reply) })
    }

    fn stream(&self, _: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        Box::pin(async { Err(Error::new(ErrorKind::Unsupported, "not streamed")) })
    }
}

const REQUESTS: u32 = 100;
