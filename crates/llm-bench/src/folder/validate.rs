//! Validates results from a folder or a worker.
//!
//! They may come from anyone. Their numbers are checked here, once, so that sums over requests,
//! runs and machines cannot overflow, and loops are bounded. Their texts are escaped where they are
//! shown.

use super::Results;
use crate::summary::{Aggregated, RunSummary, SummaryRow};
use crate::{Experiment, Load, Ramp, Run};

/// Checks all numbers that are added or multiplied.
pub(super) fn check(results: &Results) -> Result<(), &'static str> {
    experiment(&results.experiment)?;
    if results.runs.len() > MAX_RUNS {
        return Err("too many runs");
    }
    results.runs.iter().try_for_each(summary)
}

fn experiment(experiment: &Experiment) -> Result<(), &'static str> {
    let (scenarios, loads) = (experiment.scenarios.len(), experiment.loads.len());
    if scenarios.saturating_mul(loads) > MAX_POINTS || experiment.batch_sizes.len() > MAX_POINTS {
        return Err("too many scenarios, loads or batch sizes");
    }
    if experiment.goodput.len() + experiment.goodput_tiers.len() > 100
        || experiment.found_loads.len() > MAX_POINTS
    {
        return Err("too many objectives");
    }
    let names = [
        &experiment.name,
        &experiment.model,
        &experiment.model_label,
        &experiment.text_api,
    ];
    let lists = [
        &experiment.scenarios,
        &experiment.goodput,
        &experiment.goodput_tiers,
        &experiment.found_loads,
    ];
    names
        .into_iter()
        .chain(lists.into_iter().flatten())
        .try_for_each(|text| short(text))?;
    experiment.loads.iter().try_for_each(load)?;
    time(experiment.started_at_ms)?;
    small(experiment.machine.cpus)?;
    count(experiment.limits.max_requests)
}

fn summary(summary: &RunSummary) -> Result<(), &'static str> {
    run(&summary.run)?;
    aggregated(&summary.aggregated)?;
    summary.against.iter().try_for_each(aggregated)?;
    summary.rows.iter().try_for_each(row)
}

fn run(run: &Run) -> Result<(), &'static str> {
    short(&run.scenario)?;
    load(&run.load)?;
    small(run.batch_size)?;
    time(run.started_at_ms)?;
    for (from, to) in [run.active_ns, run.measured_ns] {
        nanoseconds(from)?;
        nanoseconds(to)?;
    }
    for series in &run.server {
        short(&series.source)?;
        short(&series.name)?;
        let is_drawn = |(at, value): &(f64, f64)| at.abs() <= 1e9 && value.abs() <= MAX_VALUE;
        if series.points.len() > MAX_READINGS || !series.points.iter().all(is_drawn) {
            return Err(OUT_OF_RANGE);
        }
    }
    let client = &run.client;
    small(client.threads)?;
    count(client.starved)?;
    count(client.skipped_prompts)?;
    let texts = client.prompt_error.iter().chain(&client.unread_metrics);
    texts.into_iter().try_for_each(|text| short(text))?;
    client.stalls.iter().try_for_each(|stall| {
        nanoseconds(stall.start_ns)?;
        nanoseconds(stall.length_ns)
    })
}

fn load(load: &Load) -> Result<(), &'static str> {
    if let Load::Rate { arrivals, ramp, .. } = load {
        short(arrivals)?;
        let is_sound = |ramp: &Ramp| {
            let numbers = [ramp.from, ramp.seconds];
            numbers.iter().all(|number| number.abs() <= MAX_VALUE)
        };
        if !ramp.iter().all(is_sound) {
            return Err(OUT_OF_RANGE);
        }
    }
    small(load.concurrency())
}

fn aggregated(numbers: &Aggregated) -> Result<(), &'static str> {
    short(&numbers.scenario)?;
    small(numbers.num_concurrency)?;
    small(numbers.batch_size)?;
    let extra = &numbers.extra;
    let outcomes = &extra.outcomes;
    let counts = [
        numbers.num_requests,
        numbers.num_completed_requests,
        numbers.num_error_requests,
        outcomes.ok,
        outcomes.rate_limited,
        outcomes.cancelled,
        extra.left_out.0,
        extra.left_out.1,
        extra.cold,
        extra.stalled,
        extra.rate_limited_attempts,
        extra.jobs.as_ref().map_or(0, |jobs| jobs.completed),
        extra.jobs.as_ref().map_or(0, |jobs| jobs.incomplete),
    ];
    counts
        .into_iter()
        .chain(outcomes.failed.values().copied())
        .chain(numbers.error_codes_frequency.values().copied())
        .chain(extra.token_sources.values().copied())
        .try_for_each(count)
}

fn row(row: &SummaryRow) -> Result<(), &'static str> {
    count(row.id)?;
    small(row.rate_limited_attempts)?;
    if let Some(part) = row.job {
        count(part.job)?;
        small(part.requests)?;
    }
    let tokens = [
        row.num_input_tokens,
        row.num_output_tokens,
        row.num_reasoning_tokens,
        row.total_tokens,
        row.cached_input_tokens,
    ];
    tokens.into_iter().flatten().try_for_each(|tokens| {
        // Millions of rows are added.
        (tokens <= 1 << 40).then_some(()).ok_or(OUT_OF_RANGE)
    })
}

/// The largest value of a server's metric.
pub(crate) const MAX_VALUE: f64 = 1e18;

/// The most values of a server's metric.
pub(crate) const MAX_READINGS: usize = 100_000;

/// A count; a thousand of them can be added.
fn count(count: u64) -> Result<(), &'static str> {
    (count <= 1 << 50).then_some(()).ok_or(OUT_OF_RANGE)
}

/// A number of slots, threads or processors; a thousand of them can be added.
fn small(number: u32) -> Result<(), &'static str> {
    (number <= 1 << 21).then_some(()).ok_or(OUT_OF_RANGE)
}

/// A text that occurs in many places of a report.
fn short(text: &str) -> Result<(), &'static str> {
    (text.len() <= 1000)
        .then_some(())
        .ok_or("a name is too long")
}

/// Milliseconds since the Unix epoch, before the year 2100; their nanoseconds fit.
fn time(ms: u64) -> Result<(), &'static str> {
    (ms < 4_102_444_800_000).then_some(()).ok_or(OUT_OF_RANGE)
}

/// Nanoseconds of a run; several can be added to those of [`time`].
fn nanoseconds(ns: u64) -> Result<(), &'static str> {
    (ns <= 1 << 60).then_some(()).ok_or(OUT_OF_RANGE)
}

/// The most runs of an experiment, and the most experiments that are read together.
pub(super) const MAX_RUNS: usize = 1000;

/// The most combinations of scenarios and loads.
const MAX_POINTS: usize = 100_000;

const OUT_OF_RANGE: &str = "a number is out of range";
