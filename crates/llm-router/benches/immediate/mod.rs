//! A group of deployments whose provider replies immediately, for both benchmarks.

use std::future::ready;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use llm_provider::endpoint::Chat;
use llm_provider::{Call, Capabilities, Document, Metadata, Provider, Reply, Result};
use llm_router::{Deployment, RateLimits};

/// A provider that replies immediately, with a small reply that has usage.
pub(crate) fn immediate() -> Arc<dyn Provider> {
    let reply = r#"{"id":"c","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}"#;
    Arc::new(Immediate(Document::from_bytes(reply)))
}

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
pub(crate) fn deployments(count: usize) -> impl Iterator<Item = Deployment> {
    let provider = immediate();
    let limits = RateLimits::default()
        .with_rpm(1_000_000_000)
        .with_tpm(1_000_000_000)
        .with_max_parallel_requests(100);
    (0..count).map(move |number| {
        Deployment::new("group", Arc::clone(&provider), "m")
            .with_id(format!("deployment-{number}"))
            .with_limits(limits.clone())
    })
}

/// Makes the calls; `false` if one is refused, which would cost less.
pub(crate) fn run(provider: &dyn Provider, calls: usize) -> bool {
    let body =
        Document::from_bytes(r#"{"model":"group","messages":[{"role":"user"}],"max_tokens":1}"#);
    let call = Call::new(&Chat, body);
    (0..calls).all(|_| {
        let reply = provider.send(call.clone()).now_or_never();
        matches!(reply, Some(Ok(_)))
    })
}
