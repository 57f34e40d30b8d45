//! The provider contract, against the simulated Together.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::net::SocketAddr;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use llm_provider::{
    Capability, ErrorKind, Provider, ProviderSpec, Result, Settings, settings_table,
};
use llm_sim::{Fault, Sim, SimOptions, SimReply};
use prompt_templates::Family;
use provider_conformance::{Scenario, Simulation, Upstream};
use provider_together::Together;
use serde_json::{Value, json};

#[test]
fn the_readme_lists_the_settings() {
    let table = settings_table(provider_together::spec().specific_settings());
    assert!(include_str!("../README.md").contains(&table), "{table}");
}

#[test]
fn together_keeps_the_contract() {
    provider_conformance::run(Simulated::default());
}

#[test]
fn chats_that_are_sent_as_prompts_keep_the_contract() {
    for check in [
        "answers",
        "cancelling",
        "control_tokens",
        "errors",
        "messages",
        "metadata",
        "midstream_errors",
        "model_name",
        "streams",
        "timeouts",
        "token_limit",
        "unicode",
        "usage",
    ] {
        let outcome = provider_conformance::run_check(
            check,
            Simulated {
                by_prompt: true,
                ..Simulated::default()
            },
        );
        assert_eq!(outcome, Ok(()), "{check}");
    }
}

#[test]
fn kept_control_tokens_fail_their_check() {
    let keeps = Simulated {
        by_prompt: true,
        control_tokens: Some("keep"),
    };
    let why = provider_conformance::run_check("control_tokens", keeps).unwrap_err();
    assert!(why.contains("forged turns"), "{why}");
}

#[derive(Default)]
struct Simulated {
    /// Whether chats are rendered by a template.
    by_prompt: bool,
    control_tokens: Option<&'static str>,
}

impl Simulation for Simulated {
    fn start(&self, scenario: Scenario) -> BoxFuture<'_, Box<dyn Upstream>> {
        let options = SimOptions::default();
        let options = match scenario {
            Scenario::Echo => options,
            // After a stream's first chunk, and before a plain answer's end.
            Scenario::Endless => options.with_fault(Fault::HangAfter(350)),
            Scenario::FailMidway(text) => options
                .with_reply(SimReply::text(text))
                .with_fault(Fault::ErrorAfter(3)),
            Scenario::Refuse(status) => options.with_fault(Fault::Status(status)),
            Scenario::Reply(text) => options.with_reply(SimReply::text(text)),
            scenario => panic!("{scenario:?} cannot be simulated"),
        };
        Box::pin(async { Box::new(Running(Sim::start(options).await.unwrap())) as _ })
    }

    fn spec(&self) -> ProviderSpec {
        provider_together::spec()
    }

    fn provider(&self, mut settings: Settings) -> Result<Arc<dyn Provider>> {
        if let Some(policy) = self.control_tokens {
            settings = settings.with_extra("control_tokens", policy);
        }
        let mut provider = Together::new(settings)?;
        if self.by_prompt {
            provider = provider.with_template("*", Family::CHATML);
        }
        Ok(Arc::new(provider))
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
            // Together's table of errors has no other reason for it.
            403 => ErrorKind::ContextWindow,
            _ => ErrorKind::from_status(status.try_into().unwrap()),
        }
    }

    fn refused_param(&self) -> Option<(&'static str, Value)> {
        Some((
            "web_search_options",
            json!({ "search_context_size": "low" }),
        ))
    }

    fn decode(&self, path: &str, mut body: Value) -> Option<Value> {
        if self.by_prompt && path.ends_with("/completions") {
            body["messages"] = turns(body["prompt"].as_str().unwrap_or_default()).into();
        }
        Some(body)
    }

    fn speaks_openai(&self) -> bool {
        !self.by_prompt
    }

    fn has_upstream_ids(&self) -> bool {
        true
    }
}

/// The turns of a prompt in ChatML, without the one that the model is to write.
fn turns(prompt: &str) -> Vec<Value> {
    let turns = prompt.split("<|im_start|>").skip(1);
    let turn = |turn: &str| {
        let (turn, _) = turn.split_once("<|im_end|>")?;
        let (role, text) = turn.split_once('\n')?;
        Some(json!({ "role": role, "content": text }))
    };
    turns.filter_map(turn).collect()
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
