//! `cargo xtask bench-truth`: the measurements of `polyllm bench` compared with the simulation's.

mod flight;
mod jobs;
mod recorded;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use lexopt::{Arg, ValueExt};
use serde_json::Value;

use crate::clients::servers::Server;
use crate::clients::{clean, polyllm};
use crate::tool;
use recorded::{RecordedRequest, deviation, mean, quantile};

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "bench-truth",
    usage: "[--full] [--polyllm FILE] [--only NAME]",
    about: "Compare the results of `polyllm bench` with the simulation's own clock",
    details: "\
Makes a release build of polyllm, starts `polyllm sim` and `polyllm bench` as two processes, and prints
the measured values beside those recorded by the simulation, and the limit for an idle machine with two
processors. Times depend on other load of the machine and are only reported. The command fails if
values that do not depend on it are wrong: requests per second, number of requests.

  --full           also 1,024 streams, and the requests in flight by the simulation's count, at expensive
                   prompts and at 1,024 slots
  --polyllm FILE   use this binary, built with --features full, instead of a new build
  --only NAME      only the measurements whose name contains NAME: streams, jobs, rate, start, serial,
                   cpu, many-streams, flight",
    run,
};

type Measurement = fn(&Bench, &mut Table) -> Result<()>;

const QUICK: &[(&str, Measurement)] = &[
    ("streams", streams),
    ("jobs", jobs),
    ("rate", rate),
    ("start", start),
    ("serial", serial),
    ("cpu", cpu),
];

/// The measurements of `--full`.
const SLOW: &[(&str, Measurement)] = &[("many-streams", many_streams), ("flight", flight::flight)];

fn run(mut args: lexopt::Parser) -> Result<()> {
    let (mut full, mut only, mut binary) = (false, String::new(), None);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("full") => full = true,
            Arg::Long("only") => only = args.value()?.string()?,
            Arg::Long("polyllm") => binary = Some(PathBuf::from(args.value()?)),
            _ => return Err(arg.unexpected().into()),
        }
    }
    // A measurement that is named needs no --full.
    let slow = if full || !only.is_empty() { SLOW } else { &[] };
    let all = || QUICK.iter().chain(slow);
    if all().all(|(name, _)| !name.contains(&only)) {
        let names: Vec<_> = all().map(|(name, _)| *name).collect();
        let reason = format!("--only {only:?}: expected a part of {}", names.join(", "));
        return Err(lexopt::Error::Custom(reason.into()).into());
    }
    let chosen = all().filter(|(name, _)| name.contains(&only));
    measure(chosen, binary)
}

/// The quick measurements of a new build.
pub(crate) fn check() -> Result<()> {
    measure(QUICK.iter(), None)
}

fn measure<'a>(
    chosen: impl Iterator<Item = &'a (&'a str, Measurement)>,
    binary: Option<PathBuf>,
) -> Result<()> {
    let folder = tool::target()?.join("bench-truth");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let polyllm = match binary {
        Some(binary) => fs::canonicalize(binary).context("no such binary")?,
        None => polyllm(true)?,
    };
    let bench = Bench { polyllm, folder };
    let mut table = Table::default();
    println!("| {:<48} | {:>12} | {:>12} |", "what", "measured", "limit");
    println!("|:{:-<48}-|-{:->12}:|-{:->12}:|", "", "", "");
    for (_, measure) in chosen {
        measure(&bench, &mut table)?;
    }
    ensure!(table.wrong.is_empty(), "wrong: {}", table.wrong.join(", "));
    Ok(())
}

/// 256 streams at once, ten times each.
fn streams(bench: &Bench, table: &mut Table) -> Result<()> {
    let load = ["--num-concurrency", "256", "--max-requests-per-run", "2560"];
    compare_streams(bench, table, &PACE, &load)
}

/// 1,024 streams, four times each: as many requests as the simulation remembers. On two processors, both
/// programs together can neither exchange 1,024 requests at one moment nor 50,000 tokens per second
/// without delays, so the streams start one after the other, at the pace of a large model.
fn many_streams(bench: &Bench, table: &mut Table) -> Result<()> {
    let load = [
        "--num-concurrency",
        "1024",
        "--max-requests-per-run",
        "4096",
    ];
    let load = [&load[..], &["--ramp-up", "4s"]].concat();
    compare_streams(bench, table, &SLOW_PACE, &load)
}

fn compare_streams(bench: &Bench, table: &mut Table, pace: &[&str], load: &[&str]) -> Result<()> {
    let sim = bench.sim(pace)?;
    let results = bench.run(&sim, &format!("streams-{}", load[1]), load)?;
    let seen = RecordedRequest::all(&sim)?;
    let requests = (results.ttft.len() as f64, seen.len() as f64);
    table.require("requests", requests.0, requests.1, 0.0);

    let ttft: Vec<_> = seen.iter().filter_map(RecordedRequest::ttft).collect();
    let late: Vec<_> = seen
        .iter()
        .filter_map(RecordedRequest::first_late)
        .collect();
    table.report("the simulation's first token, late, mean", mean(&late));
    let (mean_off, p99_off) = (
        (mean(&results.ttft) - mean(&ttft)).abs(),
        (quantile(&results.ttft, 0.99) - quantile(&ttft, 0.99)).abs(),
    );
    table.report("true time to first token, mean", mean(&ttft));
    table.time("time to first token, mean, off by", mean_off, 0.0015);
    table.time("time to first token, p99, off by", p99_off, 0.004);

    let tpot: Vec<_> = seen.iter().filter_map(RecordedRequest::tpot).collect();
    let stats = &results.aggregated["stats"]["tpot"]["mean"];
    let measured = stats.as_f64().context("no time per output token")?;
    table.ratio("time per output token", measured, mean(&tpot), 0.003);

    let measured = results.aggregated["requests_per_second"].as_f64();
    let measured = measured.context("no requests per second")?;
    table.require(
        "requests per second",
        measured,
        RecordedRequest::per_second(&seen),
        0.01,
    );
    Ok(())
}

/// Fifty jobs of agents: everything that is reported of them, computed again from the raw lines by other code.
fn jobs(bench: &Bench, table: &mut Table) -> Result<()> {
    let trace = bench.folder.join("agents.jsonl");
    let mut generate = Command::new(&bench.polyllm);
    generate.args(["bench", "trace", "generate", "--jobs", "50", "--seed", "1"]);
    generate.args(["--turns", "6", "-o"]).arg(&trace);
    tool::output(generate.stdout(Stdio::piped()))?;
    let sim = bench.sim(&["--first-token", "20ms", "--token", "1ms"])?;
    let mut replay = bench.command(&sim, "jobs");
    replay.arg("--trace").arg(&trace);
    replay.args(["--num-concurrency", "8", "--trace-speed", "10"]);
    tool::output(replay.stdout(Stdio::piped()))?;
    let results = Results::read(&bench.folder.join("jobs"), "jobs")?;
    let planned = jobs::PlannedJobs::read(&trace)?;
    let seen = jobs::SeenJobs::of(&results.records)?;
    table.require("jobs", seen.jobs() as f64, 50.0, 0.0);
    let requests = results.records.len() as f64;
    table.require("requests of jobs", requests, planned.requests as f64, 0.0);
    let early = seen.early(&planned, 10.0)?;
    table.require(
        "turns before their tools and helpers",
        early as f64 + 1.0,
        1.0,
        0.0,
    );
    for (metric, values) in seen.metrics() {
        let stats = &results.aggregated["stats"][metric];
        for (name, truth) in [
            ("mean", mean(&values)),
            ("p50", quantile(&values, 0.5)),
            ("p99", quantile(&values, 0.99)),
        ] {
            let measured = stats[name].as_f64();
            let measured = measured.with_context(|| format!("no {metric} {name}"))?;
            table.require(&format!("{metric}, {name}"), measured, truth, 1e-5);
        }
    }
    Ok(())
}

/// An open loop, beside a thread that only waits for the same times.
fn rate(bench: &Bench, table: &mut Table) -> Result<()> {
    let sim = bench.sim(&PACE)?;
    let own = timer_wakeups(1500, Duration::from_millis(10));
    let load = ["--request-rate", "100", "--max-requests-per-run", "1500"];
    let results = bench.run(&sim, "rate", &load)?;
    let seen = RecordedRequest::all(&sim)?;
    let Ok(own) = own.join() else {
        bail!("the timers of the machine were not measured");
    };
    let mut received: Vec<_> = seen.iter().map(|seen| seen.received).collect();
    received.sort_by(f64::total_cmp);
    let own = gap_deviation(&own);
    table.report("100/s: the machine's own deviation", own);
    let beyond = (gap_deviation(&received) - own).max(0.0);
    table.time("100/s: deviation between arrivals beyond it", beyond, 0.001);
    let late = quantile(&results.late, 0.99);
    table.time("100/s: dispatch late, p99", late, 0.003);
    let last = received.len().saturating_sub(1);
    let span = received.last().zip(received.first());
    let span = span.map_or(f64::NAN, |(last, first)| last - first);
    table.require(
        "100/s: requests per second",
        last as f64 / span,
        100.0,
        0.01,
    );
    Ok(())
}

/// From the start of the process to the first request.
fn start(bench: &Bench, table: &mut Table) -> Result<()> {
    let mut waits = Vec::new();
    for number in 0..5 {
        let sim = bench.sim(&PACE)?;
        let begun = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        let load = ["--num-concurrency", "1", "--max-requests-per-run", "1"];
        bench.run(&sim, &format!("start-{number}"), &load)?;
        let seen = RecordedRequest::all(&sim)?;
        let first = seen.first().context("no request was seen")?;
        waits.push(first.received - begun);
    }
    let median = quantile(&waits, 0.5);
    table.time("start to first request, median of 5", median, 0.050);
    Ok(())
}

/// Ten requests of 1.04 s, one after the other.
fn serial(bench: &Bench, table: &mut Table) -> Result<()> {
    let sim = bench.sim(&PACE)?;
    let begun = Instant::now();
    let load = ["--num-concurrency", "1", "--max-requests-per-run", "10"];
    bench.run(&sim, "serial", &load)?;
    let took = begun.elapsed().as_secs_f64();
    table.time("10 requests of 1.04 s, with report", took, 11.0);
    Ok(())
}

/// Requests per second of the client's processor time.
fn cpu(bench: &Bench, table: &mut Table) -> Result<()> {
    let sim = bench.sim(&["--instant"])?;
    let load = ["--num-concurrency", "64", "--max-requests-per-run", "6000"];
    let results = bench.run(&sim, "cpu", &load)?;
    let cpu = results.client["cpu_seconds"].as_f64();
    let cpu = cpu.context("no processor time on this system")?;
    let each = results.ttft.len() as f64 / cpu;
    table.row(
        "streamed requests of 100 chunks per CPU second",
        format!("{each:.0}"),
        "4000",
        each >= 4000.0,
    );
    Ok(())
}

/// The binary and the folder of results.
struct Bench {
    polyllm: PathBuf,
    folder: PathBuf,
}

/// The results of a run of `polyllm bench`.
struct Results {
    aggregated: Value,
    client: Value,
    /// Seconds, of each request.
    ttft: Vec<f64>,
    late: Vec<f64>,
    /// The raw lines.
    records: Vec<Value>,
}

impl Bench {
    fn sim(&self, pace: &[&str]) -> Result<Server> {
        let mut sim = clean(&self.polyllm);
        Server::start("sim", sim.args(["sim", "--json"]).args(pace), &self.folder)
    }

    fn run(&self, sim: &Server, name: &str, load: &[&str]) -> Result<Results> {
        let mut command = self.command(sim, name);
        command
            .args(["--traffic-scenario", "D(100,100)"])
            .args(load);
        tool::output(command.stdout(Stdio::piped()))?;
        Results::read(&self.folder.join(name), "D100_100")
    }

    /// `polyllm bench` without a load.
    fn command(&self, sim: &Server, name: &str) -> Command {
        let mut command = Command::new(&self.polyllm);
        command
            .args(["bench", "--api-backend", "together", "--api-key", "any"])
            .args(["--api-base", &sim.field("together").unwrap_or_default()])
            .args(["--api-model-name", "simulated/llama-3-8b"])
            .args(["--task", "text-to-text"])
            .args(["--experiment-folder-name", name, "--experiment-base-dir"])
            .arg(&self.folder);
        command
    }
}

impl Results {
    fn read(folder: &Path, scenario: &str) -> Result<Self> {
        let find = |end: &str| -> Result<String> {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name.starts_with(scenario) && name.ends_with(end) {
                    return Ok(fs::read_to_string(&path)?);
                }
            }
            bail!("no {end} in {}", folder.display())
        };
        let mut run: Value = serde_json::from_str(&find(".json")?)?;
        let (mut ttft, mut late, mut records) = (Vec::new(), Vec::new(), Vec::new());
        for line in find(".jsonl")?.lines() {
            let record: Value = serde_json::from_str(line)?;
            let at = |name: &str| record[name].as_f64();
            let dispatched = at("dispatched_ns").context("a record without a dispatch")?;
            ttft.extend(at("first_token_ns").map(|first| (first - dispatched) / 1e9));
            late.extend(at("scheduled_ns").map(|scheduled| (dispatched - scheduled) / 1e9));
            records.push(record);
        }
        Ok(Self {
            aggregated: run["aggregated_metrics"].take(),
            client: run["polyllm"]["run"]["client"].take(),
            ttft,
            late,
            records,
        })
    }
}

/// Prints a line for each thing measured.
#[derive(Default)]
struct Table {
    /// Deviations that load does not explain.
    wrong: Vec<String>,
}

impl Table {
    fn report(&self, what: &str, seconds: f64) {
        self.row(what, format!("{:.3} ms", seconds * 1e3), "", true);
    }

    fn time(&self, what: &str, seconds: f64, limit: f64) {
        let (measured, limit_ms) = (seconds * 1e3, limit * 1e3);
        let limit_text = format!("{limit_ms} ms");
        self.row(
            what,
            format!("{measured:.3} ms"),
            &limit_text,
            seconds <= limit,
        );
    }

    /// `measured` may differ from `truth` by this share of it.
    fn ratio(&self, what: &str, measured: f64, truth: f64, limit: f64) -> bool {
        let off = (measured / truth - 1.0).abs();
        let good = off <= limit;
        let limit = format!("{} %", limit * 100.0);
        let name = format!("{what}, off by");
        self.row(&name, format!("{:.3} %", off * 100.0), &limit, good);
        good
    }

    /// Like [`ratio`](Self::ratio); a deviation is a failure, because load does not explain it.
    fn require(&mut self, what: &str, measured: f64, truth: f64, limit: f64) {
        if !self.ratio(what, measured, truth, limit) {
            self.wrong
                .push(format!("{what} {measured} instead of {truth}"));
        }
    }

    fn row(&self, what: &str, measured: String, limit: &str, good: bool) {
        let mark = if good { "" } else { "  beyond" };
        println!("| {what:<48} | {measured:>12} | {limit:>12} |{mark}");
    }
}

/// The times, in seconds, at which a sleeping thread woke.
fn timer_wakeups(count: u32, gap: Duration) -> JoinHandle<Vec<f64>> {
    thread::spawn(move || {
        let begun = Instant::now();
        let wake = |number| {
            thread::sleep((gap * number).saturating_sub(begun.elapsed()));
            begun.elapsed().as_secs_f64()
        };
        (1..=count).map(wake).collect()
    })
}

fn gap_deviation(times: &[f64]) -> f64 {
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    deviation(&gaps)
}

const PACE: [&str; 4] = ["--first-token", "50ms", "--token", "10ms"];
const SLOW_PACE: [&str; 4] = ["--first-token", "50ms", "--token", "40ms"];
