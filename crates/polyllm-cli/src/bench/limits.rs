//! Checks the numbers of options, from a command line or a leader's plan.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use llm_bench::Error;

use crate::bench::args::{Api, Bench, Load, Measurement};
use crate::bench::option_values::{SearchKind, TaskName};

/// Checks each number. Rates, scenarios, prefixes and traces have their own limits, which are
/// checked where they are used.
///
/// # Errors
/// [`Error::Usage`] with the first number that is out of range.
pub(crate) fn check(args: &Bench) -> Result<(), Error> {
    if args.api.task == TaskName::TextToSpeech {
        let reason = "speech is not supported";
        return Err(usage("--task", "text-to-speech", reason));
    }
    load(&args.load)?;
    measuring(&args.measuring)?;
    labels(&args.api)?;
    within(
        "--patience",
        args.distributed.patience.as_secs_f64(),
        0.0..=YEAR,
    )
}

fn load(load: &Load) -> Result<(), Error> {
    for slots in load.num_concurrency.iter().chain(&load.max_concurrency) {
        within("--num-concurrency", *slots, 1..=MAX_CONCURRENCY)?;
    }
    for size in &load.batch_size {
        within("--batch-size", *size, 1..=100_000)?;
    }
    if let Some(time) = load.ramp_up {
        within("--ramp-up", time.as_secs_f64(), 0.0..=YEAR)?;
    }
    if let Some(slots) = load.spawn_rate {
        within("--spawn-rate", slots, 1e-3..=1e6)?;
    }
    let max = match load.find_max_load {
        Some(SearchKind::Concurrency) => 1.0..=f64::from(MAX_CONCURRENCY),
        Some(SearchKind::Rate) => 0.1..=1e6,
        None => 0.0..=f64::MAX,
    };
    within("--search-limit", load.search_limit, max)?;
    within("--attainment", load.attainment, 1e-6..=1.0)?;
    if let Some(time) = load.max_time_per_run {
        within("--max-time-per-run", time.as_secs_f64(), 1e-3..=YEAR)?;
    }
    if let Some(requests) = load.max_requests_per_run {
        within("--max-requests-per-run", requests, 1..=1_000_000_000)?;
    }
    if let Some(errors) = load.max_errors {
        within("--max-errors", errors, 1..=1_000_000_000)?;
    }
    within("--rate-limit-retries", load.rate_limit_retries, 0..=100)?;
    within("--repeat", load.repeat, 1..=100)?;
    within("--goodput-tier", load.goodput_tier.len(), 0..=20)?;
    if let Some(cost) = load.max_cost {
        within("--max-cost", cost, 1e-9..=1e9)?;
    }
    let (input, output) = load.price.unwrap_or_default();
    within("--price", input, 0.0..=1e9)?;
    within("--price", output, 0.0..=1e9)
}

fn measuring(measuring: &Measurement) -> Result<(), Error> {
    let seconds = |name, time: Duration, min| within(name, time.as_secs_f64(), min..=YEAR);
    seconds("--timeout", measuring.timeout, 1e-3)?;
    seconds("--drain-timeout", measuring.drain_timeout, 0.0)?;
    // A higher rate would overload the API.
    seconds("--poll-interval", measuring.poll_interval, 0.01)?;
    seconds("--cold-after", measuring.cold_after, 0.0)?;
    // As in genai-bench, 0 means automatic.
    within(
        "--num-workers",
        measuring.num_workers.unwrap_or_default(),
        0..=1024,
    )?;
    let (warmup, cooldown) = (
        measuring.warmup_ratio.unwrap_or_default(),
        measuring.cooldown_ratio.unwrap_or_default(),
    );
    within("--warmup-ratio", warmup, 0.0..=1.0)?;
    within("--cooldown-ratio", cooldown, 0.0..=1.0)?;
    if warmup + cooldown >= 1.0 {
        return Err(usage(
            "--cooldown-ratio",
            cooldown,
            "expected warm-up and cool-down below 1 in total",
        ));
    }
    Ok(())
}

/// Labels become part of the folder's name.
fn labels(api: &Api) -> Result<(), Error> {
    let labels = [
        ("--api-model-name", &api.api_model_name),
        ("--model", &api.model_label),
        ("--server-engine", &api.server_engine),
        ("--server-version", &api.server_version),
        ("--server-gpu-type", &api.server_gpu_type),
    ];
    if api.api_model_name.as_deref() == Some("") {
        return Err(usage(
            "--api-model-name",
            "",
            "expected the name of a model",
        ));
    }
    for (option, label) in labels {
        if let Some(label) = label.as_ref().filter(|label| label.len() > 256) {
            return Err(usage(option, label, "expected at most 256 bytes"));
        }
    }
    Ok(())
}

fn within<T: PartialOrd + Display>(
    option: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), Error> {
    // NaN is in no range.
    if range.contains(&value) {
        return Ok(());
    }
    let reason = format!("expected {} to {}", range.start(), range.end());
    Err(usage(option, value, reason))
}

fn usage(option: &'static str, value: impl Display, reason: impl Into<String>) -> Error {
    let value = value.to_string();
    Error::Usage {
        option,
        value: llm_provider::text::excerpt(&value).into_owned(),
        reason: reason.into(),
    }
}

pub(crate) const MAX_CONCURRENCY: u32 = 65_536;

/// In seconds: longer than any benchmark, and within the range of timers.
const YEAR: f64 = 365.0 * 24.0 * 3600.0;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn bench(options: &str) -> Option<Bench> {
        let line = format!("polyllm bench --api-model-name m {options}");
        match Args::try_parse_from(line.split_whitespace()).ok()?.command {
            Command::Bench(bench) => Some(*bench),
            _ => None,
        }
    }

    #[test]
    fn usual_numbers_are_accepted() {
        for options in [
            "",
            "--num-concurrency 1,65536 --num-workers 0 --max-time-per-run 10",
            "--warmup-ratio 0.1 --cooldown-ratio 0.1 --timeout 1h --drain-timeout 0s",
            "--find-max-load rate --goodput ttft:1s --search-limit 0.5",
            "--price 0,0.6 --max-cost 5 --spawn-rate 10",
        ] {
            check(&bench(options).unwrap()).unwrap();
        }
    }

    #[test]
    fn numbers_out_of_range_are_usage_errors() {
        for options in [
            "--task text-to-speech",
            "--num-concurrency 65537",
            "--num-concurrency 0",
            "--max-concurrency 4294967295",
            "--batch-size 100001",
            "--ramp-up 2years",
            "--spawn-rate nan",
            "--spawn-rate=-1",
            "--spawn-rate 1e300",
            "--find-max-load concurrency --goodput ttft:1s --search-limit inf",
            "--find-max-load concurrency --goodput ttft:1s --search-limit 65537",
            "--find-max-load rate --goodput ttft:1s --search-limit nan",
            "--find-max-load rate --goodput ttft:1s --search-limit 0",
            "--find-max-load rate --goodput ttft:1s --attainment nan",
            "--find-max-load rate --goodput ttft:1s --attainment 1.1",
            "--max-time-per-run 0",
            "--max-time-per-run nan",
            "--max-time-per-run 1e300",
            "--max-requests-per-run 18446744073709551615",
            "--price 1,1 --max-cost nan",
            "--price 1,1 --max-cost=-1",
            "--price nan,1",
            "--price 1,inf",
            "--price=-1,1",
            "--timeout 0s",
            "--timeout 18446744073709551615s",
            "--drain-timeout 500000000000years",
            "--drain-timeout 500000000years",
            "--poll-interval 0s",
            "--num-workers 4294967295",
            "--warmup-ratio nan",
            "--warmup-ratio 0.5 --cooldown-ratio 0.5",
            "--patience 18446744073709551615s",
            "--patience 1000000years",
        ] {
            // Some are already rejected by the command line parser.
            let refused = bench(options).is_none_or(|bench| check(&bench).is_err());
            assert!(refused, "{options}");
        }
        let long = format!("--server-engine {}", "x".repeat(257));
        let error = check(&bench(&long).unwrap()).unwrap_err().to_string();
        assert!(error.len() < 400, "{error}");
    }
}
