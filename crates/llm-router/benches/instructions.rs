//! The work whose instructions `cargo xtask bench llm-router` counts: a call through a router whose
//! provider replies immediately.
//!
//! Without arguments, it prints the name of each case and its number of calls. With a name and a
//! number, it makes so many passes. With `time`, it prints nanoseconds per call.
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

/// Replies immediately, with a text of the usual size of a reply's end.
#[derive(Debug)]
struct Instantly(Document);

impl Provider for Instantly {
    fn name(&self) -> &'static str {
        "instantly"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn send(&self, _: Call) -> BoxFuture<'_, Result<Reply>> {
        let reply = Reply::new(self.0.clone(), Metadata::new("instantly", "m"));
        Box::pin(ready(Ok(reply)))
    }
}

/// A group of so many deployments, each with every limit.
fn router(count: usize) -> Router {
    let reply = r#"{"id":"c","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}"#;
    let provider: Arc<dyn Provider> = Arc::new(Instantly(Document::from_bytes(reply)));
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
const GROUPS: [usize; 3] = [1, 100, 10_000];

fn run(router: &Router, passes: usize) -> usize {
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
    // `cargo bench` adds options of its own.
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    match &args[..] {
        [] => {
            for count in GROUPS {
                println!("group of {count}\t{CALLS}");
            }
        }
        [time] if time == "time" => {
            for count in GROUPS {
                let router = router(count);
                run(&router, 100);
                let start = Instant::now();
                let served = run(&router, 10_000);
                let each = start.elapsed() / u32::try_from(served.max(1)).unwrap_or(u32::MAX);
                println!(
                    "group of {count}: {} ns per call, {served} served",
                    each.as_nanos()
                );
            }
        }
        [name, passes] => {
            let count = name
                .strip_prefix("group of ")
                .and_then(|count| count.parse().ok());
            let (Some(count), Ok(passes)) = (count, passes.parse()) else {
                return ExitCode::FAILURE;
            };
            // A refused call would cost less than one that is served.
            if run(&router(count), passes) != passes * CALLS {
                return ExitCode::FAILURE;
            }
        }
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}
