//! The provider contract, against the simulated Together.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::net::SocketAddr;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use llm_provider::conformance::{self, Mood, Simulation, Upstream};
use llm_provider::{Capability, ErrorKind, Provider, Result, Settings};
use llm_sim::{Fault, Reply, Sim, SimOptions};
use provider_together::Together;

#[test]
fn together_keeps_the_contract() {
    conformance::run(Simulated);
}

struct Simulated;

impl Simulation for Simulated {
    fn start(&self, mood: Mood) -> BoxFuture<'_, Box<dyn Upstream>> {
        let options = SimOptions::default();
        let options = match mood {
            Mood::Echoes => options,
            // After a stream's first chunk, and before a plain answer's end.
            Mood::Endless => options.with_fault(Fault::HangAfter(350)),
            Mood::Refuses(status) => options.with_fault(Fault::Status(status)),
            Mood::Says(text) => options.with_reply(Reply::text(text)),
            mood => panic!("{mood:?} cannot be simulated"),
        };
        Box::pin(async { Box::new(Running(Sim::start(options).await.unwrap())) as _ })
    }

    fn provider(&self, settings: Settings) -> Result<Arc<dyn Provider>> {
        Ok(Arc::new(Together::new(settings)?))
    }

    fn model(&self, capability: Capability) -> &str {
        match capability {
            Capability::Embeddings => "BAAI/bge-base-en-v1.5",
            Capability::Rerank => "Salesforce/Llama-Rank-V1",
            _ => "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        }
    }

    fn kind(&self, status: u16) -> ErrorKind {
        match status {
            // Together's table of errors knows no other reason for it.
            403 => ErrorKind::ContextWindow,
            _ => ErrorKind::from_status(status.try_into().unwrap()),
        }
    }
}

struct Running(Sim);

impl Upstream for Running {
    fn address(&self) -> SocketAddr {
        self.0.together_address()
    }

    fn running(&self) -> usize {
        self.0.together().in_flight()
    }
}
