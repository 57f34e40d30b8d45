//! The provider contract, against the simulated Replicate.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use llm_provider::{Capability, Provider, ProviderSpec, Result, Settings, settings_table};
use llm_sim::{Fault, PredictionFailure, Sim, SimOptions, SimReply, Timing};
use provider_conformance::{Scenario, Simulation, Upstream};
use provider_replicate::Replicate;
use serde_json::{Value, json};

#[test]
fn the_readme_lists_the_settings() {
    let table = settings_table(provider_replicate::spec().specific_settings());
    assert!(include_str!("../README.md").contains(&table), "{table}");
}

#[test]
fn replicate_keeps_the_contract() {
    provider_conformance::run(Simulated::default());
}

#[test]
fn kept_control_tokens_fail_their_check() {
    let keeps = Simulated {
        control_tokens: Some("keep"),
    };
    let why = provider_conformance::run_check("control_tokens", keeps).unwrap_err();
    assert!(why.contains("forged turns"), "{why}");
}

#[derive(Default)]
struct Simulated {
    control_tokens: Option<&'static str>,
}

impl Simulation for Simulated {
    fn start(&self, scenario: Scenario) -> BoxFuture<'_, Box<dyn Upstream>> {
        let options = SimOptions::default();
        let options = match scenario {
            Scenario::Echo => options,
            Scenario::Endless => {
                options.with_timing(Timing::default().with_token(Duration::from_secs(600)))
            }
            // The simulation writes half of the answer first.
            Scenario::FailMidway(text) => options
                .with_reply(SimReply::text(text))
                .with_fault(Fault::Fail(PredictionFailure::Timeout)),
            Scenario::Refuse(status) => options.with_fault(Fault::Status(status)),
            Scenario::Reply(text) => options.with_reply(SimReply::text(text)),
            scenario => panic!("{scenario:?} cannot be simulated"),
        };
        Box::pin(async { Box::new(Running(Sim::start(options).await.unwrap())) as _ })
    }

    fn spec(&self) -> ProviderSpec {
        provider_replicate::spec()
    }

    fn provider(&self, mut settings: Settings) -> Result<Arc<dyn Provider>> {
        if let Some(policy) = self.control_tokens {
            settings = settings.with_extra("control_tokens", policy);
        }
        Ok(Arc::new(Replicate::new(settings)?))
    }

    fn model(&self, _: Capability) -> &str {
        MODEL
    }

    fn refused_param(&self) -> Option<(&'static str, Value)> {
        Some(("logit_bias", json!({ "50256": -100 })))
    }

    /// Only creating a prediction starts a call: its path names the model, its input has the rest.
    fn decode(&self, path: &str, body: Value) -> Option<Value> {
        let model = path.strip_prefix("/v1/models/")?;
        let model = model.strip_suffix("/predictions")?;
        let mut request = body["input"].clone();
        request["model"] = model.into();
        if let Some(stops) = request["stop_sequences"].as_str() {
            // The model's own stops follow those of the call.
            let stops = stops.split(',').filter(|stop| !stop.starts_with("<|"));
            request["stop"] = stops.collect();
        }
        let prompt = request["prompt"].as_str().unwrap_or_default();
        request["messages"] = turns(prompt).into();
        Some(request)
    }

    fn speaks_openai(&self) -> bool {
        false
    }

    fn has_upstream_ids(&self) -> bool {
        true
    }
}

/// The turns of a prompt in Llama 3's format, without the one that the model is to write.
fn turns(prompt: &str) -> Vec<Value> {
    let turns = prompt.split("<|start_header_id|>").skip(1);
    let turn = |turn: &str| {
        let (role, rest) = turn.split_once("<|end_header_id|>")?;
        let (text, _) = rest.split_once("<|eot_id|>")?;
        let text = text.strip_prefix("\n\n")?;
        Some(json!({ "role": role, "content": text }))
    };
    turns.filter_map(turn).collect()
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

const MODEL: &str = "meta/meta-llama-3-8b-instruct";
