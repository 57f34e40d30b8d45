//! The provider contract, against the simulated Replicate.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use llm_provider::conformance::{self, Mood, Simulation, Upstream};
use llm_provider::{Capability, Provider, Result, Settings};
use llm_sim::{Fault, Reply, Sim, SimOptions, Timing};
use provider_replicate::Replicate;
use serde_json::{Value, json};

#[test]
fn replicate_keeps_the_contract() {
    conformance::run(Simulated);
}

struct Simulated;

impl Simulation for Simulated {
    fn start(&self, mood: Mood) -> BoxFuture<'_, Box<dyn Upstream>> {
        let options = SimOptions::default();
        let options = match mood {
            Mood::Echoes => options,
            Mood::Endless => {
                options.with_timing(Timing::default().with_token(Duration::from_secs(600)))
            }
            Mood::Refuses(status) => options.with_fault(Fault::Status(status)),
            Mood::Says(text) => options.with_reply(Reply::text(text)),
            mood => panic!("{mood:?} cannot be simulated"),
        };
        Box::pin(async { Box::new(Running(Sim::start(options).await.unwrap())) as _ })
    }

    fn provider(&self, settings: Settings) -> Result<Arc<dyn Provider>> {
        Ok(Arc::new(Replicate::new(settings)?))
    }

    fn model(&self, _: Capability) -> &str {
        "meta/meta-llama-3-8b-instruct"
    }

    fn refused_param(&self) -> Option<(&'static str, Value)> {
        Some(("logit_bias", json!({ "50256": -100 })))
    }
}

struct Running(Sim);

impl Upstream for Running {
    fn address(&self) -> SocketAddr {
        self.0.replicate_address()
    }

    fn running(&self) -> usize {
        self.0.replicate().running()
    }
}
