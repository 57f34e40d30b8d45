//! `cargo xtask ci`: every check, in the order in which mistakes are cheapest to find.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use lexopt::{Arg, ValueExt};
use serde_json::Value;

use crate::{Command, clients, fixtures, layers, new_provider, tool, vectors};

pub(crate) const COMMAND: Command = Command {
    name: "ci",
    usage: "[--only STEP]... [--list]",
    about: "Run everything that has to hold before a change goes in",
    details: "\
This is what .ci/run and .github/workflows run. It stops at the first step that fails; the last
lines say what each step took. `--list` names the steps, `--only STEP` runs that one.",
    run,
};

/// A step's name, what it is about, and its work.
type Step = (&'static str, &'static str, fn() -> Result<Done>);

const STEPS: &[Step] = &[
    ("fmt", "the formatting of rustfmt", fmt),
    ("layers", "who may know whom: cargo xtask layers", layers),
    ("clippy", "no warning from rustc or clippy", clippy),
    ("test", "cargo test --workspace", test),
    ("features", "each feature of each crate alone", features),
    (
        "scaffold",
        "what cargo xtask new-provider writes works",
        scaffold,
    ),
    ("docs", "no warning from rustdoc", docs),
    ("vectors", "test vectors from elsewhere, if any", vectors),
    ("fixtures", "cargo xtask fixtures --check", fixtures),
    ("binary", "cargo build --release, as users build", binary),
    ("clients", "cargo xtask clients --release", clients),
];

enum Done {
    Passed,
    Skipped(String),
}

fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut steps = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("list") => {
                STEPS
                    .iter()
                    .for_each(|(name, about, _)| println!("{name:<10} {about}"));
                return Ok(());
            }
            Arg::Long("only") => steps.push(find(&args.value()?.string()?)?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    if steps.is_empty() {
        steps.extend(STEPS);
    }
    let mut report = Report::default();
    for (name, about, work) in steps {
        println!("\n== {name}: {about}");
        let begin = Instant::now();
        let done = work();
        report.add(name, &done, begin.elapsed());
        if let Err(error) = done {
            print!("\n{}", report.text());
            return Err(error.context(format!("step {name} failed")));
        }
    }
    print!("\n{}", report.text());
    Ok(())
}

fn find(name: &str) -> Result<&'static Step> {
    STEPS.iter().find(|step| step.0 == name).ok_or_else(|| {
        let names: Vec<_> = STEPS.iter().map(|step| step.0).collect();
        lexopt::Error::from(format!("no step '{name}'; there are {}", names.join(", "))).into()
    })
}

/// What became of the steps so far.
#[derive(Default)]
struct Report {
    rows: String,
    passed: usize,
    failed: usize,
    time: Duration,
}

impl Report {
    fn add(&mut self, name: &str, done: &Result<Done>, time: Duration) {
        let word = match done {
            Ok(Done::Passed) => {
                self.passed += 1;
                "ok".to_owned()
            }
            Ok(Done::Skipped(why)) => format!("skipped: {why}"),
            Err(_) => {
                self.failed += 1;
                "FAIL".to_owned()
            }
        };
        self.time += time;
        self.rows += &format!("{name:<10} {:>7.1} s  {word}\n", time.as_secs_f64());
    }

    fn text(&self) -> String {
        let Self {
            rows,
            passed,
            failed,
            time,
        } = self;
        format!(
            "{rows}{:<10} {:>7.1} s\n{passed} passed, {failed} failed\n",
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

fn clippy() -> Result<Done> {
    call("cargo clippy --workspace --all-targets --all-features -- -D warnings")
}

fn test() -> Result<Done> {
    call("cargo test --workspace")
}

/// The workspace's own builds unify features: a crate that forgot one is seen only alone.
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

/// Tests for the crates of layer 0, which are used on their own; for the others, that they build.
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
        if !leaf && features.is_empty() {
            continue;
        }
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

/// A new provider, written into a copy of the workspace, passes clippy and conformance.
fn scaffold() -> Result<Done> {
    new_provider::check()?;
    Ok(Done::Passed)
}

fn docs() -> Result<Done> {
    let mut doc = tool::command("cargo doc --workspace --no-deps --all-features");
    tool::run(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Done::Passed)
}

/// Vectors from elsewhere are no part of the project; the crates' tests have their own.
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
    Ok(Done::Passed)
}

fn fixtures() -> Result<Done> {
    if !fixtures::check_all()? {
        return Ok(Done::Skipped("no generators in xtask/fixtures".to_owned()));
    }
    Ok(Done::Passed)
}

fn binary() -> Result<Done> {
    call("cargo build --release")
}

fn clients() -> Result<Done> {
    clients::check("", true)?;
    Ok(Done::Passed)
}

fn call(line: &str) -> Result<Done> {
    tool::run(&mut tool::command(line))?;
    Ok(Done::Passed)
}

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
            "fmt            1.5 s  ok\n\
             vectors        0.0 s  skipped: no vectors\n\
             clippy        61.0 s  FAIL\n\
             all           62.5 s\n\
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
            ],
        );
    }

    #[test]
    fn an_unknown_step_is_misuse() {
        assert!(find("fmt").is_ok());
        assert!(find("format").is_err_and(|error| error.is::<lexopt::Error>()));
    }
}
