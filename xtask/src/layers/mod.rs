//! `cargo xtask layers`: the invariants in ARCHITECTURE.md and the conventions of the repository.

mod conventions;
mod dependencies;
mod facts;
mod sources;

use anyhow::{Result, bail};

use crate::Command;
use facts::Facts;

pub(crate) use dependencies::is_leaf;
pub(crate) use facts::{File, files};
pub(crate) use sources::code;

pub(crate) const COMMAND: Command = Command {
    name: "layers",
    usage: "",
    about: "Check the dependencies between crates, and the repository's conventions",
    details: "\
Reads `cargo metadata`, `cargo tree` and the files that are tracked or would be added by git. Each rule
prints `ok    RULE` or `FAIL  RULE: WHERE: WHAT TO DO`. The layers are a table in
xtask/src/layers/dependencies.rs: add new crates there.",
    run,
};

/// A place where a rule is violated, and how to fix it.
#[derive(Debug, Eq, PartialEq)]
struct Violation {
    at: String,
    fix: String,
}

impl Violation {
    fn new(at: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            fix: fix.into(),
        }
    }
}

type Rule = (&'static str, fn(&Facts) -> Vec<Violation>);

const RULES: &[Rule] = &[
    (
        "dependencies point to lower layers",
        dependencies::point_to_lower_layers,
    ),
    (
        "layer 0 depends on no runtime and no HTTP",
        dependencies::layer_0_without_network,
    ),
    (
        "llm-provider and llm-router depend on no HTTP client and no TLS",
        dependencies::contract_without_http,
    ),
    (
        "the conformance suite is for tests only",
        dependencies::conformance_is_for_tests,
    ),
    (
        "prompt-templates has no dependencies without features",
        dependencies::templates_without_dependencies,
    ),
    (
        "no build of polyllm contains the simulation",
        dependencies::library_without_simulation,
    ),
    (
        "llm-router and llm-gateway name no provider",
        sources::router_and_gateway_name_no_provider,
    ),
    (
        "a provider names no router",
        sources::provider_names_no_router,
    ),
    ("only servers open listening sockets", sources::sockets),
    (
        "environment variables are read in the documented places",
        sources::environment,
    ),
    (
        "the top level has only the listed entries",
        conventions::top_level,
    ),
    (
        "no paths of one machine, no unfinished work",
        conventions::leftovers,
    ),
    (
        "the README of every crate has an example, the Rust version and the features",
        conventions::readmes,
    ),
    (
        "every package inherits the workspace's lints",
        conventions::lints,
    ),
    ("no source file is over 600 lines", conventions::long_files),
];

fn run(mut args: lexopt::Parser) -> Result<()> {
    if let Some(arg) = args.next()? {
        return Err(arg.unexpected().into());
    }
    check()
}

/// Prints the result of each rule, and fails if one is violated.
pub(crate) fn check() -> Result<()> {
    let facts = Facts::collect()?;
    let mut violated = 0;
    for (name, rule) in RULES {
        let violations = rule(&facts);
        if violations.is_empty() {
            println!("ok    {name}");
        }
        for Violation { at, fix } in &violations {
            println!("FAIL  {name}: {at}: {fix}");
        }
        violated += usize::from(!violations.is_empty());
    }
    if violated > 0 {
        bail!("{violated} of {} rules violated", RULES.len());
    }
    Ok(())
}
