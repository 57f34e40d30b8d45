//! Runs histories of the gateway in simulation.

use anyhow::Result;
use lexopt::Arg;

use crate::{Command, tool};

pub(crate) const COMMAND: Command = Command {
    name: "simulate",
    usage: "[--seeds N] [--seed S]",
    about: "Runs random histories of the gateway in simulation, and checks its guarantees",
    details: "A seed determines a whole history: requests, failures of upstreams, outages of the database,\n\
              clients that leave, and gateways that are restarted or killed. A history that breaks a\n\
              guarantee is printed.\n\n  \
              --seeds N  how many histories to run; 2000 by default\n  \
              --seed S   the first seed; with --seeds missing, only this one, twice, to see that both\n             \
              histories are the same\n\n\
              The tests run a hundred seeds. The simulation is in\n\
              crates/polyllm-cli/tests/gateway/simulation.",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let (mut seeds, mut first) = (None, None);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("seeds") => seeds = Some(number(&mut args)?),
            Arg::Long("seed") => first = Some(number(&mut args)?),
            other => return Err(other.unexpected().into()),
        }
    }
    let count = seeds.unwrap_or(match first {
        Some(_) => 1,
        None => USUAL,
    });
    let mut test = tool::command(
        "cargo test -p polyllm-cli --features full --test gateway -- simulation:: --nocapture",
    );
    test.env("POLYLLM_SIMULATION_SEEDS", count.to_string());
    test.env("POLYLLM_SIMULATION_FIRST", first.unwrap_or(0).to_string());
    tool::run(&mut test)
}

fn number(args: &mut lexopt::Parser) -> Result<u64> {
    use lexopt::ValueExt as _;

    Ok(args.value()?.parse()?)
}

/// How many histories are run by default.
const USUAL: u64 = 2_000;
