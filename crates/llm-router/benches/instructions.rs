//! The work whose instructions `cargo xtask bench llm-router` counts: calls through a group of 100
//! deployments with every limit, whose provider replies immediately.
//!
//! Without arguments, it prints the name of each case and its number of calls. With a name and a
//! number, it makes so many passes.
#![allow(clippy::print_stdout, reason = "a benchmark reports")]

mod immediate;

use std::process::ExitCode;

use llm_router::{Router, STRATEGIES, strategy};

use self::immediate::{deployments, immediate, run};

fn main() -> ExitCode {
    // `cargo bench` adds options.
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let [name, passes] = &args[..] else {
        for name in STRATEGIES.iter().chain([&DIRECT]) {
            println!("{name}\t{CALLS}");
        }
        return ExitCode::SUCCESS;
    };
    let Ok(passes) = passes.parse::<usize>() else {
        return ExitCode::FAILURE;
    };
    // Which deployments are drawn is the same in each run.
    fastrand::seed(1);
    let is_served = match router(name) {
        Some(router) => run(&router, passes * CALLS),
        None if name == DIRECT => run(&*immediate(), passes * CALLS),
        None => false,
    };
    if is_served {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A group of 100 deployments; `None` if the strategy is unknown.
fn router(name: &str) -> Option<Router> {
    let router = Router::builder()
        .with_deployments(deployments(100))
        .with_strategy(strategy(name)?);
    router.build().ok()
}

const CALLS: usize = 100;
/// The same calls without a router.
const DIRECT: &str = "direct";
