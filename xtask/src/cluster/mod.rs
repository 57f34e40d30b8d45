//! `cargo xtask cluster`: three gateways over PostgreSQL and Redis, random histories, and what must
//! hold after them.

mod audit;
mod fleet;
mod load;
mod promises;
mod story;

use std::path::PathBuf;

use anyhow::{Result, bail};
use lexopt::{Arg, ValueExt};

use self::promises::Row;
use self::story::Story;
use crate::services::engine::REDIS;
use crate::services::postgres::Postgres;
use crate::{clients, tool};

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "cluster",
    usage: "[--rounds N] [--seed S] [--clients N] [--release]",
    about: "Check the ledger, budgets, limits and keys of three gateways that are killed",
    details: "\
Starts PostgreSQL, Redis, simulated upstreams and three gateways on free ports. Clients send chats, whole
and streamed, leave, try again, and repeat questions that are cached. Meanwhile, in a random order, the
upstreams fail, a gateway is killed (SIGKILL) and started again, Redis is frozen (SIGSTOP) and killed,
and PostgreSQL is restarted. Then the accounts of the clients, of the simulation and of the ledger are
compared, request by request and key by key. Prints a table, and fails if a guarantee of
crates/gateway-store/README.md or crates/llm-gateway/README.md does not hold.

  --rounds N    how often each of these happens; 3 by default, about a minute each
  --seed S      the seed of the random numbers; the history also depends on the machine's timing
  --clients N   how many clients send requests; 8 by default
  --release     use the binary that is released (profile dist)

Needs PostgreSQL and Redis (`apt-get install postgresql redis-server`). The logs are in target/cluster.",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut plan = Plan::default();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("rounds") => plan.rounds = args.value()?.parse()?,
            Arg::Long("seed") => plan.seed = args.value()?.parse()?,
            Arg::Long("clients") => plan.clients = args.value()?.parse()?,
            Arg::Long("release") => plan.release = true,
            _ => return Err(arg.unexpected().into()),
        }
    }
    if let Some(why) = missing() {
        bail!(why);
    }
    check(&plan)
}

/// What a run does.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) seed: u64,
    pub(crate) clients: usize,
    pub(crate) release: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rounds: 3,
            seed: 1,
            clients: 8,
            release: false,
        }
    }
}

/// Why the check cannot run on this machine.
pub(crate) fn missing() -> Option<String> {
    let mut missing = Vec::new();
    if !REDIS.is_installed() {
        missing.push("redis-server");
    }
    if !Postgres::is_installed() {
        missing.push("postgresql");
    }
    (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(", ")))
}

/// Runs the histories, and prints what was found.
pub(crate) fn check(plan: &Plan) -> Result<()> {
    let folder: PathBuf = tool::target()?.join("cluster");
    let binary = clients::polyllm(plan.release)?;
    let (rows, problems) = Story::begin(plan, &binary, &folder)?.tell()?;
    print!("{}", table(&rows));
    for problem in problems.iter().take(MOST_PROBLEMS) {
        println!("{problem}");
    }
    if let Some(more) = problems.len().checked_sub(MOST_PROBLEMS)
        && more > 0
    {
        println!("and {more} more");
    }
    let broken = rows.iter().filter(|row| !row.holds()).count();
    if broken > 0 {
        bail!(
            "{broken} of {} guarantees do not hold (seed {}); the logs are in {}",
            rows.len(),
            plan.seed,
            folder.display()
        );
    }
    Ok(())
}

fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.promise.len()).max().unwrap_or(0);
    let lines = rows.iter().map(|row| {
        let verdict = if row.holds() { "ok" } else { "VIOLATED" };
        format!("{:<width$}  {verdict:<8}  {}\n", row.promise, row.found)
    });
    lines.collect()
}

/// Dollars in nano-dollars.
fn nanos(dollars: f64) -> i64 {
    (dollars * 1e9).round() as i64
}

/// Problems that are printed.
const MOST_PROBLEMS: usize = 20;
