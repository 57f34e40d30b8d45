//! `cargo xtask layers`: the invariants of the plan, checked.

mod arrows;
mod facts;
mod house;
mod sources;

use anyhow::{Result, bail};

use crate::Command;
use facts::Facts;

pub(crate) use arrows::is_leaf;
pub(crate) use facts::{File, files};
pub(crate) use sources::code;

pub(crate) const COMMAND: Command = Command {
    name: "layers",
    usage: "",
    about: "Check the dependencies between crates, and the repository's conventions",
    details: "\
Reads `cargo metadata`, `cargo tree` and the files that are tracked or would be added by git. Each rule
prints `ok    RULE` or `FAIL  RULE: WHERE: WHAT TO DO`. The layers are a table in
xtask/src/layers/arrows.rs: add new crates there.",
    run,
};

/// One place where a rule is broken, and how to mend it.
#[derive(Debug, Eq, PartialEq)]
struct Breach {
    at: String,
    mend: String,
}

impl Breach {
    fn new(at: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            mend: mend.into(),
        }
    }
}

type Rule = (&'static str, fn(&Facts) -> Vec<Breach>);

const RULES: &[Rule] = &[
    ("arrows point down only", arrows::point_down),
    (
        "layer 0 knows no runtime and no HTTP",
        arrows::leaves_know_no_network,
    ),
    (
        "llm-provider and llm-router know no HTTP client and no TLS",
        arrows::contract_knows_no_http,
    ),
    (
        "the conformance suite is for tests only",
        arrows::conformance_is_for_tests,
    ),
    (
        "prompt-templates stands alone without features",
        arrows::templates_stand_alone,
    ),
    (
        "a library user does not link the simulation",
        arrows::library_without_simulation,
    ),
    (
        "llm-router and llm-gateway name no provider",
        sources::router_and_gateway_name_no_provider,
    ),
    (
        "a provider names no router",
        sources::provider_names_no_router,
    ),
    (
        "listening sockets are opened by servers only",
        sources::sockets,
    ),
    (
        "environment variables are read in documented places only",
        sources::environment,
    ),
    ("the top level holds what the plan says", house::top_level),
    ("no machine's paths, no leftovers", house::leftovers),
    ("every crate has a README with an example", house::readmes),
    ("every package inherits the workspace's lints", house::lints),
    ("no source file is over 600 lines", house::long_files),
];

fn run(mut args: lexopt::Parser) -> Result<()> {
    if let Some(arg) = args.next()? {
        return Err(arg.unexpected().into());
    }
    check()
}

/// Prints what became of each rule.
pub(crate) fn check() -> Result<()> {
    let facts = Facts::gather()?;
    let mut broken = 0;
    for (name, rule) in RULES {
        let breaches = rule(&facts);
        if breaches.is_empty() {
            println!("ok    {name}");
        }
        for Breach { at, mend } in &breaches {
            println!("FAIL  {name}: {at}: {mend}");
        }
        broken += usize::from(!breaches.is_empty());
    }
    if broken > 0 {
        bail!("{broken} of {} rules broken", RULES.len());
    }
    Ok(())
}
