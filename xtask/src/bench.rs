//! `cargo xtask bench`: instruction counts, which a busy machine does not change.

mod callgrind;
mod gateway;
mod load;
mod upstream;

use std::path::PathBuf;

use anyhow::Result;
use lexopt::{Arg, ValueExt};

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "bench",
    usage: "gateway [--polyllm FILE] [--against FILE] [--json]",
    about: "Count the instructions of requests through the gateway",
    details: "\
Runs the gateway under valgrind's callgrind, in front of an upstream that replies immediately, and
counts the instructions of its process (user code, without the kernel) per request, per stream of
64 chunks, for a prompt of 256 KiB and for 64 embeddings. Counts hardly depend on other load of
the machine. The command fails if a count exceeds its limit.

  --polyllm FILE   use this binary instead of a new release build
  --against FILE   also measure another binary, such as that of an earlier commit
  --json           print a line of JSON per count",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut options = Options::default();
    let mut what = None;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("polyllm") => options.polyllm = Some(PathBuf::from(args.value()?)),
            Arg::Long("against") => options.against = Some(PathBuf::from(args.value()?)),
            Arg::Long("json") => options.json = true,
            Arg::Value(value) if what.is_none() => what = Some(value.string()?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    match what.as_deref() {
        Some("gateway") => gateway::run(&options),
        Some(other) => {
            let message = format!("nothing to measure is called '{other}'; there is gateway");
            Err(lexopt::Error::from(message).into())
        }
        None => Err(lexopt::Error::from("what to measure is missing; there is gateway").into()),
    }
}

/// What the command line asks for.
#[derive(Default)]
struct Options {
    polyllm: Option<PathBuf>,
    against: Option<PathBuf>,
    json: bool,
}

/// Counts the instructions of a new release build; fails when one is above its limit.
pub(crate) fn check() -> Result<()> {
    gateway::run(&Options::default())
}

/// Whether the counts can be taken on this machine.
pub(crate) fn is_possible() -> bool {
    callgrind::is_installed()
}
