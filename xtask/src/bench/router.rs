//! The router's strategies against simulated upstreams.

use anyhow::Result;

use crate::tool;

/// Runs the simulation, which takes ten minutes of simulated time per strategy and seconds of real
/// time.
pub(super) fn run() -> Result<()> {
    tool::run(&mut tool::command(
        "cargo run --quiet -p llm-router --example strategies",
    ))
}
