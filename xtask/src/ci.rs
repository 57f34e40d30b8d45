//! `cargo xtask ci`: every check, in the order in which mistakes are cheapest to find.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use lexopt::{Arg, ValueExt};
use serde_json::Value;

use crate::{
    Command, alone, bench, bench_truth, clients, cluster, crates, dashboard, deny, deploy,
    fixtures, fuzz, genai_bench, layers, lint, mutants, new_provider, picture, record, release,
    services, soak, tool, vectors, wasm, wheel,
};

pub(crate) const COMMAND: Command = Command {
    name: "ci",
    usage: "[--full] [--only STEP]... [--list]",
    about: "Run the checks that every change must pass",
    details: "\
This is what .ci/run and .github/workflows run. It stops at the first step that fails. The last
lines list the time of each step. A step that cannot run prints `skipped:` and the reason.

  --full        also run the slow steps, which take hours
  --only STEP   only this step, fast or slow
  --list        list the steps",
    run,
};

/// The name, description and function of a step.
type Step = (&'static str, &'static str, fn() -> Result<Done>);

/// The steps that every change must pass.
const QUICK: &[Step] = &[
    ("fmt", "the formatting of rustfmt", fmt),
    (
        "layers",
        "dependencies and conventions: cargo xtask layers",
        layers,
    ),
    ("lint", "known kinds of mistakes: cargo xtask lint", lint),
    (
        "deny",
        "licences, duplicate versions and sources of dependencies",
        deny,
    ),
    (
        "advisories",
        "no known vulnerability in a dependency",
        advisories,
    ),
    ("clippy", "no warning from rustc or clippy", clippy),
    (
        "crates",
        "how many crates the default binary compiles",
        crates,
    ),
    (
        "test",
        "cargo test --workspace, with all parts of the binary",
        test,
    ),
    (
        "services",
        "the tests that need PostgreSQL, Redis or NATS",
        services,
    ),
    ("clients", "cargo xtask clients", clients),
    ("vectors", "external test vectors, if present", vectors),
    ("docs", "no warning from rustdoc", docs),
    ("python", "cargo xtask python", python),
];

/// The steps that take too long for every change. They find what a change breaks only rarely, or
/// what has to be known before a release.
const LONG: &[Step] = &[
    ("default", "the binary without optional parts", default),
    ("features", "each feature of each crate alone", features),
    (
        "alone",
        "programs outside of the workspace: cargo xtask alone",
        alone,
    ),
    ("wasm", "layer 0 and llm-adapters for WebAssembly", wasm),
    (
        "scaffold",
        "generated providers pass clippy and the conformance suite",
        scaffold,
    ),
    ("fixtures", "cargo xtask fixtures --check", fixtures),
    (
        "recorder",
        "cargo xtask fixtures --record, against the simulation",
        recorder,
    ),
    (
        "binary",
        "the binary that is released, with all parts",
        binary,
    ),
    (
        "instructions",
        "cargo xtask bench: every subject",
        instructions,
    ),
    ("cluster", "cargo xtask cluster, two rounds", cluster),
    ("soak", "cargo xtask soak, two minutes", soak),
    ("fuzz", "cargo xtask fuzz: every fuzz target", fuzz),
    ("mutants", "cargo xtask mutants: today's sample", mutants),
    ("bench-truth", "cargo xtask bench-truth", bench_truth),
    ("genai-bench", "cargo xtask genai-bench", genai_bench),
    (
        "agents",
        "cargo xtask clients --full: agents, Codex, llmprobe",
        agents,
    ),
    (
        "proxy",
        "cargo xtask clients --proxy: litellm, langchain-openai, schemathesis",
        proxy,
    ),
    (
        "dashboard",
        "cargo xtask dashboard: the dashboard in Chromium",
        dashboard,
    ),
    ("deploy", "cargo xtask deploy", deploy),
    ("release", "cargo xtask release", release),
    ("picture", "cargo xtask picture --check", picture),
];

/// The result of a step that did not fail.
enum Done {
    Passed,
    Skipped(String),
}

fn run(mut args: lexopt::Parser) -> Result<()> {
    let (mut steps, mut full) = (Vec::new(), false);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("list") => {
                print!("{}", list());
                return Ok(());
            }
            Arg::Long("full") => full = true,
            Arg::Long("only") => steps.push(find(&args.value()?.string()?)?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    if steps.is_empty() {
        steps.extend(QUICK);
        steps.extend(LONG.iter().filter(|_| full));
    }
    let mut report = Report::default();
    for (name, about, check) in steps {
        println!("\n== {name}: {about}");
        let start = Instant::now();
        let result = check();
        report.add(name, &result, start.elapsed());
        if let Err(error) = result {
            print!("\n{}", report.text());
            return Err(error.context(format!("step {name} failed")));
        }
    }
    print!("\n{}", report.text());
    Ok(())
}

fn find(name: &str) -> Result<&'static Step> {
    let mut steps = QUICK.iter().chain(LONG);
    steps.find(|step| step.0 == name).ok_or_else(|| {
        let steps = QUICK.iter().chain(LONG);
        let names: Vec<_> = steps.map(|step| step.0).collect();
        let names = names.join(", ");
        lexopt::Error::from(format!("unknown step '{name}'; the steps are {names}")).into()
    })
}

fn list() -> String {
    let line = |(name, about, _): &Step| format!("{name:<WIDTH$} {about}\n");
    let quick: String = QUICK.iter().map(line).collect();
    let long: String = LONG.iter().map(line).collect();
    format!("{quick}\nwith --full:\n{long}")
}

/// The results of the steps so far.
#[derive(Default)]
struct Report {
    rows: String,
    passed: usize,
    failed: usize,
    time: Duration,
}

impl Report {
    fn add(&mut self, name: &str, result: &Result<Done>, time: Duration) {
        let outcome = match result {
            Ok(Done::Passed) => {
                self.passed += 1;
                "ok".to_owned()
            }
            Ok(Done::Skipped(reason)) => format!("skipped: {reason}"),
            Err(_) => {
                self.failed += 1;
                "FAIL".to_owned()
            }
        };
        self.time += time;
        self.rows += &format!("{name:<WIDTH$} {:>7.1} s  {outcome}\n", time.as_secs_f64());
    }

    fn text(&self) -> String {
        let Self {
            rows,
            passed,
            failed,
            time,
        } = self;
        format!(
            "{rows}{:<WIDTH$} {:>7.1} s\n{passed} passed, {failed} failed\n",
            "all",
            time.as_secs_f64()
        )
    }
}

fn fmt() -> Result<Done> {
    call("cargo fmt --all --check")
}

fn layers() -> Result<Done> {
    layers::check()?;
    Ok(Done::Passed)
}

fn lint() -> Result<Done> {
    lint::check()?;
    Ok(Done::Passed)
}

fn deny() -> Result<Done> {
    if let Some(why) = deny::missing() {
        return Ok(Done::Skipped(why));
    }
    deny::check()?;
    Ok(Done::Passed)
}

fn advisories() -> Result<Done> {
    if let Some(why) = deny::missing() {
        return Ok(Done::Skipped(why));
    }
    Ok(deny::advisories()?.map_or(Done::Passed, Done::Skipped))
}

fn clippy() -> Result<Done> {
    call("cargo clippy --workspace --all-targets --all-features -- -D warnings")
}

fn crates() -> Result<Done> {
    crates::check()?;
    Ok(Done::Passed)
}

/// Includes the optional parts of the binary, which have tests too.
fn test() -> Result<Done> {
    call("cargo test --workspace --features polyllm-cli/full")
}

/// Tests the error messages for optional parts that the binary was built without.
fn default() -> Result<Done> {
    call("cargo test -p polyllm-cli --test bench_parts --test bench_report")
}

fn services() -> Result<Done> {
    Ok(match services::check()? {
        services::Outcome::Passed => Done::Passed,
        services::Outcome::Missing(programs) => {
            Done::Skipped(format!("not installed: {}", programs.join(", ")))
        }
    })
}

/// Checks each feature alone: a build of the whole workspace unifies features, which hides that a
/// crate does not enable a feature that it needs.
fn features() -> Result<Done> {
    let metadata = tool::output(&mut tool::command(
        "cargo metadata --format-version 1 --no-deps",
    ))?;
    for line in feature_lines(&serde_json::from_str(&metadata)?) {
        println!("{line}");
        call(&line)?;
    }
    Ok(Done::Passed)
}

/// The crates of layer 0, which are used on their own, are tested; the others are only checked.
fn feature_lines(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut lines = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let features = package["features"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys());
        let features: Vec<_> = features.filter(|feature| *feature != "default").collect();
        let leaf = layers::is_leaf(name);
        let verb = if leaf { "test --quiet" } else { "check" };
        let bare = format!("cargo {verb} -p {name} --no-default-features");
        lines.push(bare.clone());
        lines.extend(
            features
                .iter()
                .map(|feature| format!("{bare} --features {feature}")),
        );
        if leaf && features.len() > 1 {
            lines.push(format!("cargo {verb} -p {name} --all-features"));
        }
    }
    lines
}

fn alone() -> Result<Done> {
    alone::check()?;
    Ok(Done::Passed)
}

fn wasm() -> Result<Done> {
    if let Some(why) = wasm::missing() {
        return Ok(Done::Skipped(why));
    }
    wasm::check()?;
    Ok(Done::Passed)
}

/// A new provider, written into a copy of the workspace, passes clippy and conformance.
fn scaffold() -> Result<Done> {
    new_provider::check()?;
    Ok(Done::Passed)
}

fn python() -> Result<Done> {
    if !wheel::is_possible() {
        return Ok(Done::Skipped("no supported Python is installed".to_owned()));
    }
    wheel::check(false, true)?;
    Ok(Done::Passed)
}

fn docs() -> Result<Done> {
    let mut doc = tool::command("cargo doc --workspace --no-deps --all-features");
    tool::run(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Done::Passed)
}

/// External vectors are not part of the repository. The tests that need them are `#[ignore]`d.
fn vectors() -> Result<Done> {
    let shared = std::env::var_os("POLYLLM_SHARED").map(PathBuf::from);
    let folder = shared
        .unwrap_or_else(|| tool::root().join("../shared"))
        .join("vectors");
    if !folder.is_dir() {
        return Ok(Done::Skipped(
            "no ../shared/vectors, and POLYLLM_SHARED is not set".to_owned(),
        ));
    }
    vectors::check(&folder, Some(&tool::root().join("xtask/vectors/known.txt")))?;
    for line in EXTERNAL {
        let mut test = tool::command(line);
        tool::run(test.env("POLYLLM_SHARED", folder.parent().unwrap_or(&folder)))?;
    }
    Ok(Done::Passed)
}

fn fixtures() -> Result<Done> {
    if !fixtures::check_all()? {
        return Ok(Done::Skipped("no generators in xtask/fixtures".to_owned()));
    }
    Ok(Done::Passed)
}

fn recorder() -> Result<Done> {
    if let Some(why) = record::missing() {
        return Ok(Done::Skipped(why));
    }
    record::check()?;
    Ok(Done::Passed)
}

fn binary() -> Result<Done> {
    call("cargo build --profile dist --features full")
}

fn clients() -> Result<Done> {
    clients::check(clients::Suite::Quick, "", false)?;
    Ok(Done::Passed)
}

fn agents() -> Result<Done> {
    clients::check(clients::Suite::Full, "", true)?;
    Ok(Done::Passed)
}

fn proxy() -> Result<Done> {
    clients::check(clients::Suite::Proxy, "", false)?;
    Ok(Done::Passed)
}

fn dashboard() -> Result<Done> {
    if let Some(why) = dashboard::missing() {
        return Ok(Done::Skipped(why));
    }
    dashboard::check()?;
    Ok(Done::Passed)
}

fn deploy() -> Result<Done> {
    if let Some(why) = deploy::missing() {
        return Ok(Done::Skipped(why));
    }
    deploy::check()?;
    Ok(Done::Passed)
}

fn cluster() -> Result<Done> {
    if let Some(why) = cluster::missing() {
        return Ok(Done::Skipped(why));
    }
    cluster::check(&cluster::Plan {
        rounds: 2,
        ..cluster::Plan::default()
    })?;
    Ok(Done::Passed)
}

fn soak() -> Result<Done> {
    soak::check(Duration::from_secs(120), false, false)?;
    Ok(Done::Passed)
}

fn picture() -> Result<Done> {
    if let Some(why) = picture::missing() {
        return Ok(Done::Skipped(why));
    }
    picture::check()?;
    Ok(Done::Passed)
}

fn release() -> Result<Done> {
    if let Some(why) = release::missing_program() {
        return Ok(Done::Skipped(why));
    }
    release::check(false)?;
    Ok(Done::Passed)
}

fn fuzz() -> Result<Done> {
    if let Some(why) = fuzz::missing() {
        return Ok(Done::Skipped(why));
    }
    match fuzz::check(FUZZ_SECONDS, "")? {
        0 => Ok(Done::Skipped("no crates/*/fuzz".to_owned())),
        _ => Ok(Done::Passed),
    }
}

fn mutants() -> Result<Done> {
    if let Some(why) = mutants::missing() {
        return Ok(Done::Skipped(why));
    }
    mutants::check(mutants::of_today()?)?;
    Ok(Done::Passed)
}

fn bench_truth() -> Result<Done> {
    bench_truth::check()?;
    Ok(Done::Passed)
}

fn genai_bench() -> Result<Done> {
    if !genai_bench::is_installed()? {
        let reason = "genai-bench (1.3 GB) is not installed: run `cargo xtask genai-bench`";
        return Ok(Done::Skipped(reason.to_owned()));
    }
    genai_bench::check()?;
    Ok(Done::Passed)
}

fn instructions() -> Result<Done> {
    if !bench::is_possible() {
        return Ok(Done::Skipped("valgrind is not installed".to_owned()));
    }
    bench::check()?;
    Ok(Done::Passed)
}

fn call(line: &str) -> Result<Done> {
    tool::run(&mut tool::command(line))?;
    Ok(Done::Passed)
}

/// The tests that read the folder `POLYLLM_SHARED`.
const EXTERNAL: [&str; 3] = [
    "cargo test -p llm-types --test samples -- --ignored",
    "cargo test -p prompt-templates --all-features --test vectors -- --ignored",
    "cargo test -p sse-codec --test vectors -- --ignored",
];

/// The width of a step's name in lists.
const WIDTH: usize = 12;
const FUZZ_SECONDS: u32 = 120;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_report_counts_and_names() {
        let mut report = Report::default();
        report.add("fmt", &Ok(Done::Passed), Duration::from_millis(1500));
        report.add(
            "vectors",
            &Ok(Done::Skipped("no vectors".to_owned())),
            Duration::ZERO,
        );
        report.add(
            "clippy",
            &Err(anyhow::anyhow!("no")),
            Duration::from_secs(61),
        );
        assert_eq!(
            report.text(),
            "fmt              1.5 s  ok\n\
             vectors          0.0 s  skipped: no vectors\n\
             clippy          61.0 s  FAIL\n\
             all             62.5 s\n\
             1 passed, 1 failed\n",
        );
    }

    #[test]
    fn leaves_are_tested_and_others_checked_with_each_feature() {
        let metadata = json!({"packages": [
            {"name": "llm-types", "features": {}},
            {"name": "sse-codec", "features": {"encode": [], "stream": []}},
            {"name": "polyllm", "features": {"default": ["router"], "router": []}},
            {"name": "llm-router", "features": {}},
        ]});
        assert_eq!(
            feature_lines(&metadata),
            [
                "cargo test --quiet -p llm-types --no-default-features",
                "cargo test --quiet -p sse-codec --no-default-features",
                "cargo test --quiet -p sse-codec --no-default-features --features encode",
                "cargo test --quiet -p sse-codec --no-default-features --features stream",
                "cargo test --quiet -p sse-codec --all-features",
                "cargo check -p polyllm --no-default-features",
                "cargo check -p polyllm --no-default-features --features router",
                "cargo check -p llm-router --no-default-features",
            ],
        );
    }

    #[test]
    fn long_steps_are_listed_apart() {
        let list = list();
        let (quick, long) = list.split_once("with --full:").unwrap();
        assert!(quick.contains("lint ") && !quick.contains("fuzz"), "{list}");
        for step in ["fuzz ", "mutants ", "bench-truth ", "genai-bench "] {
            assert!(long.contains(step), "{list}");
        }
    }

    #[test]
    fn an_unknown_step_is_a_usage_error() {
        assert!(find("fmt").is_ok());
        assert!(find("fuzz").is_ok());
        assert!(find("format").is_err_and(|error| error.is::<lexopt::Error>()));
    }
}
