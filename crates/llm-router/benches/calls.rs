//! The time of a call through a router whose provider replies immediately, in groups of several
//! sizes: `cargo bench -p llm-router --bench calls`.
#![allow(clippy::print_stdout, reason = "a benchmark reports")]

mod immediate;

use std::process::ExitCode;
use std::time::Instant;

use llm_provider::Provider;
use llm_router::Router;

use self::immediate::{deployments, immediate, run};

fn main() -> ExitCode {
    let mut is_served = measure("without a router", &*immediate());
    for count in GROUPS {
        let router = Router::new(deployments(count));
        is_served &= measure(&format!("group of {count}"), &router);
    }
    if is_served {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Prints the time of a call; `false` if a call was refused.
fn measure(name: &str, provider: &dyn Provider) -> bool {
    run(provider, WARM_UP);
    let start = Instant::now();
    let is_served = run(provider, CALLS);
    println!(
        "{name}: {} ns per call",
        start.elapsed().as_nanos() / CALLS as u128
    );
    is_served
}

const WARM_UP: usize = 10_000;
const CALLS: usize = 200_000;
const GROUPS: [usize; 3] = [1, 100, 10_000];
