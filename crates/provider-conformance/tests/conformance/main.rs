//! Tests of the conformance suite: a provider that fulfils the contract passes every check, and each
//! broken provider fails the check that its row names.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod acme;
mod mutant;
mod mutants;
mod upstream;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use llm_provider::{Capability, Provider, ProviderSpec, Result, Settings};
use provider_conformance::{CHECKS, Scenario, Simulation, Upstream};
use serde_json::{Value, json};

use crate::mutant::{Mutant, Mutation};
use crate::mutants::UNMUTATED;

#[test]
fn a_correct_provider_passes_every_check() {
    provider_conformance::run(Simulated(Mutation::Nothing));
}

#[test]
fn every_mutant_is_caught_by_the_check_that_it_names() {
    let mut survivors = Vec::new();
    for mutants in Vec::from_iter(mutants::all()).chunks(4) {
        std::thread::scope(|scope| {
            let run = |(name, check, mutation)| {
                let outcome = provider_conformance::run_check(check, Simulated(mutation));
                outcome.is_ok().then(|| format!("{name} (by {check})"))
            };
            let threads: Vec<_> = mutants
                .iter()
                .map(|&mutant| scope.spawn(move || run(mutant)))
                .collect();
            let found = threads
                .into_iter()
                .filter_map(|thread| thread.join().unwrap());
            survivors.extend(found);
        });
    }
    assert!(survivors.is_empty(), "not caught: {survivors:#?}");
}

#[test]
fn every_check_catches_a_mutant() {
    let catching: BTreeSet<&str> = mutants::all().map(|(_, check, _)| check).collect();
    let listed: BTreeSet<&str> = UNMUTATED.iter().map(|&(check, _)| check).collect();
    let all: BTreeSet<&str> = CHECKS.iter().map(|check| check.name).collect();
    let without: Vec<_> = all.difference(&catching).copied().collect();
    assert_eq!(without, Vec::from_iter(listed), "checks without a mutant");
    assert!(catching.is_subset(&all));
}

#[test]
fn the_report_has_the_name_and_requirement_of_a_failed_check() {
    let run = || {
        provider_conformance::run(Simulated(Mutation::Debug(|_| {
            "conformance-key-93b1".into()
        })))
    };
    let panic = std::panic::catch_unwind(run).unwrap_err();
    let report = panic.downcast_ref::<String>().unwrap();
    let line = "\n- secrets (the key is in one header of each request and nowhere else): Debug of";
    assert!(report.contains(line), "{report}");
}

#[test]
fn an_upstream_id_is_optional() {
    let without = Mutation::Metadata(|metadata| metadata.upstream_id = None);
    assert_eq!(
        provider_conformance::run_check("metadata", Simulated(without)),
        Ok(())
    );
}

struct Simulated(Mutation);

impl Simulation for Simulated {
    fn start(&self, scenario: Scenario) -> BoxFuture<'_, Box<dyn Upstream>> {
        Box::pin(async { Box::new(upstream::Server::start(scenario).await) as _ })
    }

    fn spec(&self) -> ProviderSpec {
        acme::spec()
    }

    fn provider(&self, settings: Settings) -> Result<Arc<dyn Provider>> {
        Ok(Arc::new(Mutant::new(settings, self.0)?))
    }

    fn model(&self, _: Capability) -> &str {
        "acme-large"
    }

    fn refused_param(&self) -> Option<(&'static str, Value)> {
        Some(("logit_bias", json!({ "50256": -100 })))
    }
}
