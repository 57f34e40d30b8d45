//! Measures a server, or the simulation if there is no address, and prints the statistics:
//!
//! ```text
//! cargo run --release -p llm-bench --example measure -- [BASE [CONCURRENCY [REQUESTS [TOKENS]]]]
//! ```
//!
//! A concurrency such as `100/s` is an open loop.

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::env;
use std::time::Duration;

use llm_bench::stats::Statistic;
use llm_bench::summary::{Metric, RunSummary};
use llm_bench::{
    ArrivalProcess, Backend, Experiment, LoadSpec, RateProfile, Run, RunLimits, RunSettings,
    Runner, ServerTarget, Task, TrafficScenario, Workload,
};
use llm_sim::{Sim, SimOptions, Timing};
use tokio::sync::watch;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = env::args().skip(1);
    let timing = Timing::default()
        .with_first_token(Duration::from_millis(50))
        .with_token(Duration::from_millis(10))
        .with_precise(true);
    let sim = Sim::start(SimOptions::default().with_timing(timing)).await?;
    let base = args.next().unwrap_or_else(|| sim.together_url().to_owned());
    let load = args.next().unwrap_or_else(|| "8".to_owned());
    let requests = args.next().map_or(Ok(80), |text| text.parse())?;
    let tokens = args.next().map_or(Ok(100), |text| text.parse::<u64>())?;

    let target = ServerTarget::new(Backend::OpenAi, &base, Some("Bearer any".parse()?))?;
    let workload = Workload::new(Task::TextToText, Backend::OpenAi, MODEL)?;
    let scenario: TrafficScenario = format!("D(100,{tokens})").parse()?;
    let load = match load.strip_suffix("/s") {
        Some(rate) => LoadSpec::Rate {
            per_second: rate.parse()?,
            profile: RateProfile::steady(rate.parse()?)?,
            arrivals: ArrivalProcess::Constant,
            max_concurrency: None,
        },
        None => LoadSpec::Concurrency(load.parse()?),
    };
    let mut limits = RunLimits::default();
    limits.max_requests = requests;
    limits.max_seconds = 600.0;
    let spec = workload.run(0, scenario, load, 1, limits)?;

    let (_interrupt, interrupts) = watch::channel(0);
    let runner = Runner::new(RunSettings::new(target, MODEL), interrupts);
    let run = runner.run(spec, &mut ()).await?;
    print_client(&run);

    print_numbers(&RunSummary::new(&Experiment::default(), &run));
    sim.shutdown().await;
    Ok(())
}

/// Prints the statistics; the crate `bench-report` writes reports.
fn print_numbers(summary: &RunSummary) {
    let numbers = &summary.aggregated;
    println!(
        "completed: {}, errors: {}, requests per second: {:.1}",
        numbers.num_completed_requests, numbers.num_error_requests, numbers.requests_per_second
    );
    for (name, metric) in [("TTFT", Metric::Ttft), ("TPOT", Metric::Tpot)] {
        let ms = |p| {
            let seconds = numbers.get(Statistic::Percentile(p), metric);
            seconds.unwrap_or(f64::NAN) * 1e3
        };
        let (median, p99) = (ms(50.0), ms(99.0));
        println!("{name} (ms): p50 {median:.2}, p99 {p99:.2}");
    }
}

/// Prints the health of the client and the accuracy of an open loop.
fn print_client(run: &Run) {
    let requests = run.records.len() as f64;
    let cpu = run.client.cpu_seconds.unwrap_or(f64::NAN);
    println!(
        "CPU seconds: {cpu}, requests per CPU second: {:.0}",
        requests / cpu
    );
    let ms = |nanos: u64| nanos as f64 / 1e6;
    let (median, p99, max) = run.client.timer_late_ns;
    println!(
        "timer delay (ms): p50 {:.3}, p99 {:.3}, max {:.3}",
        ms(median),
        ms(p99),
        ms(max)
    );
    println!(
        "stalls: {}, starved: {}",
        run.client.stalls.len(),
        run.client.starved
    );
    let late = run.records.iter();
    let late = late.filter_map(|record| Some(record.dispatched_ns - record.scheduled_ns?));
    let mut late: Vec<_> = late.collect();
    late.sort_unstable();
    if let Some(max) = late.last() {
        let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize];
        let (median, p99) = (ms(at(0.5)), ms(at(0.99)));
        println!(
            "dispatch delay (ms): p50 {median:.3}, p99 {p99:.3}, max {:.3}",
            ms(*max)
        );
        let starts: Vec<_> = run
            .records
            .iter()
            .map(|record| ms(record.dispatched_ns))
            .collect();
        let gaps: Vec<_> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        println!(
            "gaps between dispatches (ms): mean {mean:.3}, deviation {:.3}",
            variance.sqrt()
        );
    }
}

const MODEL: &str = "mock/model";
