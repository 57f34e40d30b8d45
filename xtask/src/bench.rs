//! `cargo xtask bench`: instruction counts, which a busy machine does not change.

mod callgrind;
mod gateway;
mod leaf;
mod limits;
mod load;
mod router;
mod upstream;

use std::path::PathBuf;

use anyhow::Result;
use lexopt::{Arg, ValueExt};

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "bench",
    usage: "gateway|sse-codec|prompt-templates|llm-router|router [--polyllm FILE] [--against FILE] [--json]",
    about: "Count instructions, and compare them with their limits",
    details: "\
Counts instructions (user code, without the kernel) under valgrind's callgrind. Counts hardly depend
on other load of the machine. The command fails if a count exceeds its limit in
xtask/src/bench/limits.rs.

  gateway            the gateway's process per request, per stream of 64 chunks, for a prompt of
                     256 KiB and for 64 embeddings, for messages and responses that are translated to
                     chats, and for counts of the tokens of 100 kB, in front of an upstream that replies
                     immediately
  sse-codec          decoding and encoding, per event: crates/sse-codec/benches/instructions.rs
  prompt-templates   rendering, per prompt: crates/prompt-templates/benches/instructions.rs
  llm-router         a call among 100 deployments with limits, by strategy, and without a router:
                     crates/llm-router/benches/instructions.rs
  router             no instructions: simulates the strategies on a clock of its own, and prints
                     latencies, errors and cached tokens: crates/llm-router/examples/strategies.rs

  --json             print a line of JSON per count
  --polyllm FILE     gateway: use this binary instead of a new build (profile dist)
  --against FILE     gateway: also measure another binary, such as that of an earlier commit",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut options = Options::default();
    let mut subject = None;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("polyllm") => options.polyllm = Some(PathBuf::from(args.value()?)),
            Arg::Long("against") => options.against = Some(PathBuf::from(args.value()?)),
            Arg::Long("json") => options.json = true,
            Arg::Value(value) if subject.is_none() => subject = Some(value.string()?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let Some(subject) = subject else {
        return Err(
            lexopt::Error::from("bench needs a subject: see `cargo xtask help bench`").into(),
        );
    };
    if let Some(leaf) = leaf::ALL.iter().find(|leaf| leaf.package == subject) {
        if options.polyllm.is_some() || options.against.is_some() {
            let message = "--polyllm and --against are for the gateway only";
            return Err(lexopt::Error::from(message).into());
        }
        return leaf.run(options.json);
    }
    if subject == "router" {
        return router::run();
    }
    if subject == "gateway" {
        return gateway::run(&options);
    }
    let packages: Vec<_> = leaf::ALL.iter().map(|leaf| leaf.package).collect();
    let message = format!(
        "'{subject}' cannot be measured: expected gateway, router, {}",
        packages.join(" or ")
    );
    Err(lexopt::Error::from(message).into())
}

/// The options of the command line.
#[derive(Default)]
struct Options {
    polyllm: Option<PathBuf>,
    against: Option<PathBuf>,
    json: bool,
}

/// Counts the instructions of new builds; fails if one is above its limit.
pub(crate) fn check() -> Result<()> {
    for leaf in &leaf::ALL {
        leaf.run(false)?;
    }
    gateway::run(&Options::default())
}

/// Whether the counts can be taken on this machine.
pub(crate) fn is_possible() -> bool {
    callgrind::is_installed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_subject_or_a_wrong_option_is_a_usage_error() {
        for arguments in [
            &["unknown"][..],
            &[],
            &["sse-codec", "--against", "polyllm"],
            &["gateway", "sse-codec"],
        ] {
            let error = run(lexopt::Parser::from_args(arguments)).unwrap_err();
            assert!(error.is::<lexopt::Error>(), "{arguments:?}: {error}");
        }
    }
}
