//! The loads of a sweep.

use anyhow::Result;
use llm_bench::{LoadSpec, RateProfile, Task};

use super::DEFAULT_TIME;
use crate::bench::args::Load as LoadArgs;
use crate::bench::option_values::{Rate, SearchKind};
use crate::output::{Colour, note};

pub(super) fn loads(args: &LoadArgs, task: Task) -> Result<Vec<LoadSpec>> {
    if let Some(kind) = args.find_max_load {
        // The search starts here and chooses the others.
        let first = match kind {
            SearchKind::Concurrency => LoadSpec::Concurrency(1),
            SearchKind::Rate => rate(args, Rate { from: 1.0, to: 1.0 })?,
        };
        return Ok(vec![first]);
    }
    if args.trace.is_some() && args.num_concurrency.is_empty() {
        return Ok(vec![LoadSpec::Concurrency(1)]);
    }
    if !args.request_rate.is_empty() {
        return args
            .request_rate
            .iter()
            .map(|given| rate(args, *given))
            .collect();
    }
    let slots = match (args.num_concurrency.as_slice(), task.has_batches()) {
        ([], true) => &[1][..],
        ([], false) => &[1, 2, 4, 8, 16, 32, 64, 128, 256],
        (given, _) => given,
    };
    Ok(slots.iter().copied().map(LoadSpec::Concurrency).collect())
}

/// A rising rate rises over the ramp, else over the whole run. A constant rate rises from zero over
/// the ramp.
pub(super) fn rate(args: &LoadArgs, Rate { from, to }: Rate) -> Result<LoadSpec> {
    let whole = args.max_time_per_run.unwrap_or(DEFAULT_TIME);
    let profile = match args.ramp_up {
        Some(ramp) if from == to => RateProfile::ramp(0.0, to, ramp.as_secs_f64())?,
        ramp => RateProfile::ramp(from, to, ramp.unwrap_or(whole).as_secs_f64())?,
    };
    Ok(LoadSpec::Rate {
        per_second: to,
        profile,
        arrivals: args.arrivals,
        max_concurrency: args.max_concurrency,
    })
}

pub(super) fn batch_sizes(args: &LoadArgs, task: Task) -> Vec<u32> {
    if !task.has_batches() {
        if !args.batch_size.is_empty() {
            let text = format!("--batch-size has no effect on {task}");
            note("note", Colour::Yellow, text);
        }
        return vec![1];
    }
    if args.batch_size.is_empty() {
        vec![1, 2, 4, 8, 24, 48, 96]
    } else {
        args.batch_size.clone()
    }
}
