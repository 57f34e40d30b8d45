//! The provider contract, against a simulated Acme.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod server;
mod upstream;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use llm_provider::{Capability, Provider, ProviderSpec, Result, Settings, settings_table};
use provider_acme::Acme;
use provider_conformance::{Scenario, Simulation, Upstream};
use serde_json::{Value, json};

#[test]
fn acme_keeps_the_contract() {
    provider_conformance::run(Simulated);
}

#[test]
fn the_readme_lists_the_settings() {
    let table = settings_table(provider_acme::spec().specific_settings());
    assert!(include_str!("../../README.md").contains(&table), "{table}");
}

struct Simulated;

impl Simulation for Simulated {
    fn start(&self, scenario: Scenario) -> BoxFuture<'_, Box<dyn Upstream>> {
        Box::pin(async { Box::new(server::Server::start(scenario).await) as _ })
    }

    fn spec(&self) -> ProviderSpec {
        provider_acme::spec()
    }

    fn provider(&self, settings: Settings) -> Result<Arc<dyn Provider>> {
        Ok(Arc::new(Acme::new(settings)?))
    }

    fn model(&self, _: Capability) -> &str {
        "acme-large"
    }

    fn refused_param(&self) -> Option<(&'static str, Value)> {
        Some(("logit_bias", json!({ "50256": -100 })))
    }

    /// The request in OpenAI's schema.
    fn decode(&self, _: &str, body: Value) -> Option<Value> {
        let turns = body["conversation"].as_array().into_iter().flatten();
        let messages: Vec<Value> = turns
            .map(|turn| json!({ "role": turn["role"], "content": turn["text"] }))
            .collect();
        Some(json!({
            "model": body["model"],
            "messages": messages,
            "max_tokens": body["max_tokens"],
            "temperature": body["temperature"],
            "stop": body["stop_sequences"],
            "safe_mode": body["safe_mode"],
        }))
    }

    fn speaks_openai(&self) -> bool {
        false
    }
}
