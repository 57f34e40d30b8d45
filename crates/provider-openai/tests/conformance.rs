//! The provider contract, against a simulated OpenAI-compatible upstream.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../provider-conformance/tests/conformance/upstream.rs"]
mod upstream;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use llm_provider::{Capability, Provider, ProviderSpec, Result, Settings, settings_table};
use provider_conformance::{Scenario, Simulation, Upstream};
use provider_openai::OpenAi;

#[test]
fn the_readme_lists_the_settings() {
    let table = settings_table(provider_openai::spec().specific_settings());
    assert!(include_str!("../README.md").contains(&table), "{table}");
}

#[test]
fn openai_keeps_the_contract() {
    provider_conformance::run(Simulated);
}

struct Simulated;

impl Simulation for Simulated {
    fn start(&self, scenario: Scenario) -> BoxFuture<'_, Box<dyn Upstream>> {
        Box::pin(async { Box::new(upstream::Server::start(scenario).await) as _ })
    }

    fn spec(&self) -> ProviderSpec {
        provider_openai::spec()
    }

    fn provider(&self, settings: Settings) -> Result<Arc<dyn Provider>> {
        Ok(Arc::new(OpenAi::new(settings)?))
    }

    fn model(&self, _: Capability) -> &str {
        "acme-large"
    }
}
