//! The time of a call through a router whose provider replies immediately, in groups of several
//! sizes: `cargo bench -p llm-router --bench calls`.
#![allow(clippy::print_stdout, reason = "a benchmark reports")]

use std::future::ready;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use llm_provider::endpoint::Chat;
use llm_provider::{Call, Capabilities, Document, Metadata, Provider, Reply, Result};
use llm_router::{Deployment, RateLimits, Router};

/// A provider that replies immediately, with a small reply that has usage.
#[derive(Debug)]
struct Immediate(Document);

impl Provider for Immediate {
    fn name(&self) -> &'static str {
        "immediate"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn send(&self, _: Call) -> BoxFuture<'_, Result<Reply>> {
        let reply = Reply::new(self.0.clone(), Metadata::new("immediate", "m"));
        Box::pin(ready(Ok(reply)))
    }
}

/// A group of `count` deployments, each with limits of every kind.
fn router(count: usize) -> Router {
    let reply = r#"{"id":"c","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}"#;
    let provider: Arc<dyn Provider> = Arc::new(Immediate(Document::from_bytes(reply)));
    let limits = RateLimits::default()
        .with_rpm(1_000_000_000)
        .with_tpm(1_000_000_000)
        .with_max_parallel_requests(100);
    Router::new((0..count).map(|number| {
        Deployment::new("group", Arc::clone(&provider), "m")
            .with_id(format!("deployment-{number}"))
            .with_limits(limits.clone())
    }))
}

const CALLS: usize = 100;
const PASSES: usize = 2_000;
const GROUPS: [usize; 3] = [1, 100, 10_000];

fn run(router: &dyn Provider, passes: usize) -> usize {
    let body =
        Document::from_bytes(r#"{"model":"group","messages":[{"role":"user"}],"max_tokens":1}"#);
    let call = Call::new(&Chat, body);
    let calls = (0..passes * CALLS).filter(|_| {
        let reply = router.send(call.clone()).now_or_never();
        matches!(reply, Some(Ok(_)))
    });
    calls.count()
}

fn main() -> ExitCode {
    let provider = Immediate(Document::from_bytes("{}"));
    let mut is_served = measure("without a router", &provider);
    for count in GROUPS {
        is_served &= measure(&format!("group of {count}"), &router(count));
    }
    // A refused call would cost less than one that is served.
    if is_served {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Prints the time of a call; `false` if a call was refused.
fn measure(name: &str, provider: &dyn Provider) -> bool {
    run(provider, 100);
    let start = Instant::now();
    let served = run(provider, PASSES);
    let each = start.elapsed() / u32::try_from(served.max(1)).unwrap_or(u32::MAX);
    println!("{name}: {} ns per call", each.as_nanos());
    served == PASSES * CALLS
}
