//! `cargo xtask soak`: a gateway under half of its maximum load for minutes, with faults upstream.

mod load;
pub(crate) mod process;
mod report;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lexopt::{Arg, ValueExt};
use serde_json::json;

use self::load::{Load, Pace};
use self::process::Process;
use self::report::{Report, Sample};
use crate::clients::servers::Server;
use crate::clients::{self, clean};
use crate::http::{self, Request};
use crate::tool;

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "soak",
    usage: "[--minutes N] [--json] [--release]",
    about: "Load a gateway for minutes, and look for errors and leaks",
    details: "\
Starts simulated upstreams and a gateway with keys, limits and spend in SQLite. Measures for 5 seconds
how many requests the gateway serves, and then sends half as many: whole and streamed chats, clients that
leave, and requests whose upstreams fail or break off. Reads the gateway's memory, descriptors and threads
from /proc. Fails if a request fails that has no fault, if the memory grows, or if descriptors, threads or
calls are left when the load is gone.

  --minutes N  how long; 10 by default
  --json       print the result in JSON
  --release    use the binary that is released (profile dist)

The progress is on standard error, the logs are in target/soak.",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let (mut minutes, mut is_json, mut release) = (10.0, false, false);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("minutes") => minutes = args.value()?.parse()?,
            Arg::Long("json") => is_json = true,
            Arg::Long("release") => release = true,
            _ => return Err(arg.unexpected().into()),
        }
    }
    let time = Duration::try_from_secs_f64(minutes * 60.0)
        .map_err(|_| lexopt::Error::from("--minutes: give a positive number"))?;
    check(time, is_json, release)
}

/// Loads a gateway for this time, and prints what was found.
pub(crate) fn check(time: Duration, is_json: bool, release: bool) -> Result<()> {
    let binary = clients::polyllm(release)?;
    let folder = tool::target()?.join("soak");
    let report = soak(&binary, &folder, time)?;
    match is_json {
        true => println!("{}", report.json()),
        false => print!("{}", report.text()),
    }
    let problems = report.problems();
    if !problems.is_empty() {
        bail!(
            "{}; the logs are in {}",
            problems.join("; "),
            folder.display()
        );
    }
    Ok(())
}

fn soak(binary: &Path, folder: &Path, time: Duration) -> Result<Report> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut sim = clean(binary);
    let sim = Server::start("sim", sim.args(["sim", "--json", "--instant"]), folder)?;
    let config = folder.join("config.yaml");
    fs::write(&config, config_of(&sim.field("together")?))?;
    let mut serve = clean(binary);
    serve.args(["serve", "--json", "--port", "0", "--config"]);
    let gateway = Server::start("gateway", serve.arg(&config), folder)?;
    let process = Process::new(&gateway.field("pid")?)?;
    let url = gateway.field("url")?;
    let address = url
        .split_once("://")
        .map_or(url.as_str(), |(_, place)| place);
    let limits = json!({ "rpm_limit": 100_000_000, "max_budget": 1e9 }).to_string();
    let made = http::json(address, Request::new("POST /key/generate", MASTER, &limits))?;
    let key = made["key"].as_str().context("no key was generated")?;

    let measured = Load::start(address, key, Pace::Unlimited);
    thread::sleep(MEASURED);
    let measured = measured.stop();
    let most = measured.requests as f64 / MEASURED.as_secs_f64();
    let rate = most / 2.0;
    eprintln!(
        "at most {most:.0} requests per second; now {rate:.0} for {} s",
        time.as_secs()
    );
    thread::sleep(SETTLED);
    let idle = Sample::of(&process, Duration::ZERO)?;

    let (begin, mut samples) = (Instant::now(), Vec::new());
    let load = Load::start(address, key, Pace::PerSecond(rate));
    let mut told = Instant::now();
    while begin.elapsed() < time {
        thread::sleep(Duration::from_millis(500));
        let sample = Sample::of(&process, begin.elapsed())?;
        if told.elapsed() > TOLD {
            told = Instant::now();
            eprintln!("{sample}, {} requests", load.requests());
        }
        samples.push(sample);
    }
    let totals = load.stop();
    thread::sleep(SETTLED);
    let metrics = Request::new("GET /metrics", MASTER, "").send(address)?;
    Ok(Report {
        time: begin.elapsed(),
        most,
        rate,
        totals,
        idle,
        samples,
        rest: Sample::of(&process, begin.elapsed())?,
        in_flight: in_flight(&metrics.body).context("the metrics have no calls in flight")?,
    })
}

/// The calls in flight of all deployments.
fn in_flight(metrics: &str) -> Option<f64> {
    let gauges = metrics
        .lines()
        .filter(|line| line.starts_with("polyllm_deployment_in_flight{"));
    let values: Option<Vec<f64>> = gauges
        .map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    values
        .filter(|values| !values.is_empty())
        .map(|values| values.iter().sum())
}

/// Two deployments; without cooldowns, a call fails only if its own attempts did.
fn config_of(sim: &str) -> String {
    let deployment = |id: &str| {
        format!(
            "  - model_name: chat\n    litellm_params:\n      \
             model: together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo\n      api_base: {sim}\n      \
             api_key: account-{id}\n      input_cost_per_token: 0.001\n      \
             output_cost_per_token: 0.002\n    model_info: {{id: {id}}}\n"
        )
    };
    format!(
        "model_list:\n{}{}router_settings:\n  num_retries: 1\n  disable_cooldowns: true\n\
         general_settings:\n  master_key: {MASTER}\n",
        deployment("one"),
        deployment("other"),
    )
}

const MASTER: &str = "sk-soak-master-key";
/// How long the maximum rate is measured.
const MEASURED: Duration = Duration::from_secs(5);
/// How long the gateway rests before its descriptors are counted.
const SETTLED: Duration = Duration::from_secs(3);
/// How often the progress is printed.
const TOLD: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_in_flight_are_summed() {
        let text =
            "polyllm_deployment_in_flight{id=\"a\"} 1\npolyllm_deployment_in_flight{id=\"b\"} 2\n";
        assert_eq!(in_flight(text), Some(3.0));
        assert_eq!(in_flight("polyllm_requests_total 1\n"), None);
    }
}
