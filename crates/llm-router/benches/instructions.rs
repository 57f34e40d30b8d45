//! The work whose instructions `cargo xtask bench llm-router` counts: calls through a group of 100
//! deployments with every limit, whose provider replies immediately.
//!
//! Without arguments, it prints the name of each case and its number of calls. With a name and a
//! number, it makes so many passes.
#![allow(clippy::print_stdout, reason = "a benchmark reports")]

use std::future::ready;
use std::process::ExitCode;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use llm_provider::endpoint::Chat;
use llm_provider::{Call, Capabilities, Document, Metadata, Provider, Reply, Result};
use llm_router::{Deployment, RateLimits, Router, STRATEGIES, strategy};

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

fn provider() -> Arc<dyn Provider> {
    let reply = r#"{"id":"c","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}"#;
    Arc::new(Immediate(Document::from_bytes(reply)))
}

/// A group of 100 deployments; `None` if the strategy is unknown.
fn router(name: &str) -> Option<Router> {
    let provider = provider();
    let limits = RateLimits::default()
        .with_rpm(1_000_000_000)
        .with_tpm(1_000_000_000)
        .with_max_parallel_requests(100);
    let deployments = (0..100).map(|number| {
        Deployment::new("group", Arc::clone(&provider), "m")
            .with_id(format!("deployment-{number}"))
            .with_limits(limits.clone())
    });
    let router = Router::builder()
        .with_deployments(deployments)
        .with_strategy(strategy(name)?);
    router.build().ok()
}

/// Makes the calls; `false` if one is refused, which would cost less.
fn run(provider: &dyn Provider, calls: u32) -> bool {
    // Which deployments are drawn is the same in each run.
    fastrand::seed(1);
    let body =
        Document::from_bytes(r#"{"model":"group","messages":[{"role":"user"}],"max_tokens":1}"#);
    let call = Call::new(&Chat, body);
    (0..calls).all(|_| {
        let reply = provider.send(call.clone()).now_or_never();
        matches!(reply, Some(Ok(_)))
    })
}

fn main() -> ExitCode {
    // `cargo bench` adds options.
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let [name, passes] = &args[..] else {
        for name in STRATEGIES.iter().chain([&DIRECT]) {
            println!("{name}\t{CALLS}");
        }
        return ExitCode::SUCCESS;
    };
    let Ok(passes) = passes.parse::<u32>() else {
        return ExitCode::FAILURE;
    };
    let is_served = match router(name) {
        Some(router) => run(&router, passes * CALLS),
        None if name == DIRECT => run(&*provider(), passes * CALLS),
        None => false,
    };
    if is_served {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

const CALLS: u32 = 100;
/// The same calls without a router.
const DIRECT: &str = "direct";
