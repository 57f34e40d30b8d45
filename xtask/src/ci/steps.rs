//! The steps of `cargo xtask ci`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::Done;
use crate::{
    alone, bench, bench_truth, clients, cluster, crates, dashboard, deny, deploy, fixtures, fuzz,
    genai_bench, layers, lint, mutants, new_provider, outage, picture, record, release, services,
    soak, tool, vectors, wasm, wheel,
};

/// A check of the project.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    check: Check,
}

enum Check {
    Line(&'static str),
    Always(fn() -> Result<()>),
    /// A check that runs unless there is a reason against it on this machine.
    Unless(fn() -> Option<String>, fn() -> Result<()>),
    /// A check that finds out itself whether it can run.
    Done(fn() -> Result<Done>),
}

/// The steps that every change must pass.
pub(super) const QUICK: &[Step] = &[
    line(
        "fmt",
        "the formatting of rustfmt",
        "cargo fmt --all --check",
    ),
    always(
        "layers",
        "dependencies and conventions: cargo xtask layers",
        layers::check,
    ),
    always(
        "lint",
        "known kinds of mistakes: cargo xtask lint",
        lint::check,
    ),
    unless(
        "deny",
        "licences, duplicate versions and sources of dependencies",
        deny::missing,
        deny::check,
    ),
    done(
        "advisories",
        "no known vulnerability in a dependency",
        advisories,
    ),
    line(
        "clippy",
        "no warning from rustc or clippy",
        "cargo clippy --workspace --all-targets --all-features -- -D warnings",
    ),
    always(
        "crates",
        "how many crates the default binary compiles",
        crates::check,
    ),
    line(
        "test",
        // Optional parts of the binary have tests, too.
        "cargo test --workspace, with all parts of the binary",
        "cargo test --workspace --features polyllm-cli/full",
    ),
    done(
        "services",
        "the tests that need PostgreSQL, Redis or NATS",
        services,
    ),
    always("clients", "cargo xtask clients", || {
        clients::check(clients::Suite::Quick, "", false)
    }),
    done("vectors", "external test vectors, if present", vectors),
    always("docs", "no warning from rustdoc", docs),
    unless("python", "cargo xtask python", python_missing, || {
        wheel::check(false, true)
    }),
];

/// The steps that take too long for every change. They find what a change breaks only rarely, or
/// what has to be known before a release.
pub(super) const LONG: &[Step] = &[
    line(
        "default",
        // Tests the error messages for optional parts that the binary was built without.
        "the binary without optional parts",
        "cargo test -p polyllm-cli --test bench_parts --test bench_report",
    ),
    always("features", "each feature of each crate alone", features),
    always(
        "alone",
        "programs outside of the workspace: cargo xtask alone",
        alone::check,
    ),
    unless(
        "wasm",
        "layer 0 and llm-adapters for WebAssembly",
        wasm::missing,
        wasm::check,
    ),
    always(
        "scaffold",
        "generated providers pass clippy and the conformance suite",
        new_provider::check,
    ),
    done("fixtures", "cargo xtask fixtures --check", fixtures),
    unless(
        "recorder",
        "cargo xtask fixtures --record, against the simulation",
        record::missing,
        record::check,
    ),
    line(
        "binary",
        "the binary that is released, with all parts",
        "cargo build --profile dist --features full",
    ),
    unless(
        "instructions",
        "cargo xtask bench: every subject",
        valgrind_missing,
        bench::check,
    ),
    unless(
        "cluster",
        "cargo xtask cluster, two rounds",
        cluster::missing,
        cluster,
    ),
    always("soak", "cargo xtask soak, two minutes", || {
        soak::check(Duration::from_secs(120), false, false)
    }),
    unless(
        "outage",
        "cargo xtask outage, Redis frozen for 15 seconds",
        outage::missing,
        || outage::check(Duration::from_secs(15), false, false),
    ),
    unless(
        "fuzz",
        "cargo xtask fuzz: every fuzz target",
        fuzz::missing,
        fuzz,
    ),
    unless(
        "mutants",
        "cargo xtask mutants: today's sample",
        mutants::missing,
        || mutants::check(mutants::of_today()?),
    ),
    always("bench-truth", "cargo xtask bench-truth", bench_truth::check),
    done("genai-bench", "cargo xtask genai-bench", genai_bench),
    always(
        "agents",
        "cargo xtask clients --full: agents, Codex, llmprobe",
        || clients::check(clients::Suite::Full, "", true),
    ),
    always(
        "proxy",
        "cargo xtask clients --proxy: litellm, langchain-openai, schemathesis",
        || clients::check(clients::Suite::Proxy, "", false),
    ),
    unless(
        "dashboard",
        "cargo xtask dashboard: the dashboard and a report of the benchmark in Chromium",
        dashboard::missing,
        dashboard::check,
    ),
    unless(
        "deploy",
        "cargo xtask deploy",
        deploy::missing,
        deploy::check,
    ),
    unless(
        "release",
        "cargo xtask release",
        release::missing_program,
        || release::check(false),
    ),
    unless(
        "picture",
        "cargo xtask picture --check",
        picture::missing,
        picture::check,
    ),
];

impl Step {
    pub(super) fn run(&self) -> Result<Done> {
        match self.check {
            Check::Line(line) => call(line)?,
            Check::Always(check) => check()?,
            Check::Unless(missing, check) => match missing() {
                Some(reason) => return Ok(Done::Skipped(reason)),
                None => check()?,
            },
            Check::Done(check) => return check(),
        }
        Ok(Done::Passed)
    }
}

const fn line(name: &'static str, about: &'static str, line: &'static str) -> Step {
    let check = Check::Line(line);
    Step { name, about, check }
}

const fn always(name: &'static str, about: &'static str, check: fn() -> Result<()>) -> Step {
    let check = Check::Always(check);
    Step { name, about, check }
}

const fn unless(
    name: &'static str,
    about: &'static str,
    missing: fn() -> Option<String>,
    check: fn() -> Result<()>,
) -> Step {
    let check = Check::Unless(missing, check);
    Step { name, about, check }
}

const fn done(name: &'static str, about: &'static str, check: fn() -> Result<Done>) -> Step {
    let check = Check::Done(check);
    Step { name, about, check }
}

fn advisories() -> Result<Done> {
    if let Some(why) = deny::missing() {
        return Ok(Done::Skipped(why));
    }
    Ok(deny::advisories()?.map_or(Done::Passed, Done::Skipped))
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
fn features() -> Result<()> {
    let metadata = tool::output(&mut tool::command(
        "cargo metadata --format-version 1 --no-deps",
    ))?;
    for line in feature_lines(&serde_json::from_str(&metadata)?) {
        println!("{line}");
        call(&line)?;
    }
    Ok(())
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

fn docs() -> Result<()> {
    let mut doc = tool::command("cargo doc --workspace --no-deps --all-features");
    tool::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

fn python_missing() -> Option<String> {
    (!wheel::is_possible()).then(|| "no supported Python is installed".to_owned())
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

fn valgrind_missing() -> Option<String> {
    (!bench::is_possible()).then(|| "valgrind is not installed".to_owned())
}

fn cluster() -> Result<()> {
    cluster::check(&cluster::Plan {
        rounds: 2,
        ..cluster::Plan::default()
    })
}

fn fuzz() -> Result<()> {
    fuzz::check(FUZZ_SECONDS, "").map(drop)
}

fn genai_bench() -> Result<Done> {
    if !genai_bench::is_installed()? {
        let reason = "genai-bench (1.3 GB) is not installed: run `cargo xtask genai-bench`";
        return Ok(Done::Skipped(reason.to_owned()));
    }
    genai_bench::check()?;
    Ok(Done::Passed)
}

fn call(line: &str) -> Result<()> {
    tool::run(&mut tool::command(line))
}

/// The tests that read the folder `POLYLLM_SHARED`.
const EXTERNAL: [&str; 3] = [
    "cargo test -p llm-types --test samples -- --ignored",
    "cargo test -p prompt-templates --all-features --test vectors -- --ignored",
    "cargo test -p sse-codec --test vectors -- --ignored",
];

const FUZZ_SECONDS: u32 = 120;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
}
