//! `cargo xtask fuzz`: every fuzz target, for a bounded time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use anyhow::{Context, Result, bail};
use lexopt::{Arg, ValueExt};
use serde_json::Value;

use crate::{Command, tool};

pub(crate) const COMMAND: Command = Command {
    name: "fuzz",
    usage: "[--seconds N] [--only NAME]",
    about: "Run the fuzz targets",
    details: "\
Builds each crates/*/fuzz with libFuzzer's instrumentation and runs its targets. Needs a C++
compiler, but neither a nightly toolchain nor cargo-fuzz. A failing input is written to
target/fuzz/CRATE-TARGET. To reproduce the failure, pass that file to the program named in the last
lines.

  --seconds N   the run time of each target; 60 by default
  --only NAME   the targets whose CRATE/TARGET contains NAME",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let (mut seconds, mut only) = (60, String::new());
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("seconds") => seconds = args.value()?.parse()?,
            Arg::Long("only") => only = args.value()?.string()?,
            _ => return Err(arg.unexpected().into()),
        }
    }
    if let Some(why) = missing() {
        bail!("{why}");
    }
    let count = check(seconds, &only)?;
    if count == 0 && !only.is_empty() {
        return Err(lexopt::Error::from(format!("no fuzz target contains '{only}'")).into());
    }
    println!("{count} fuzz targets found no failure");
    Ok(())
}

/// The reason why the targets cannot be built on this machine, or `None`.
pub(crate) fn missing() -> Option<String> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let version = tool::output(Process::new(&compiler).arg("--version"));
    version
        .is_err()
        .then(|| format!("libFuzzer needs a C++ compiler, and {compiler} cannot be run"))
}

/// Runs the targets whose name contains `only`, and returns their number.
pub(crate) fn check(seconds: u32, only: &str) -> Result<usize> {
    let folders = folders(&tool::root())?;
    let mut count = 0;
    for folder in &folders {
        let mut targets = targets(folder)?;
        targets.retain(|target| target.to_string().contains(only));
        for target in &targets {
            println!("{target}, {seconds} s");
            fuzz(folder, target, seconds).with_context(|| format!("the fuzz target {target}"))?;
        }
        count += targets.len();
    }
    Ok(count)
}

/// Every folder with fuzz targets.
fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root.join("crates"))? {
        let folder = entry?.path().join("fuzz");
        if folder.join("Cargo.toml").is_file() {
            folders.push(folder);
        }
    }
    folders.sort();
    Ok(folders)
}

/// A fuzz target.
#[derive(Debug, Eq, PartialEq)]
struct Target {
    /// The crate that is fuzzed, such as `sse-codec`.
    package: String,
    name: String,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.package, self.name)
    }
}

fn targets(folder: &Path) -> Result<Vec<Target>> {
    let line = "cargo metadata --format-version 1 --no-deps";
    let metadata = tool::output(tool::command(line).current_dir(folder))?;
    let package = folder.parent().and_then(Path::file_name);
    let package = package.unwrap_or_default().to_string_lossy();
    Ok(programs(&serde_json::from_str(&metadata)?, &package))
}

fn programs(metadata: &Value, package: &str) -> Vec<Target> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages.flat_map(|package| package["targets"].as_array().into_iter().flatten());
    targets
        .filter(|target| target["kind"][0] == "bin")
        .filter_map(|target| target["name"].as_str())
        .map(|name| Target {
            package: package.to_owned(),
            name: name.to_owned(),
        })
        .collect()
}

fn fuzz(folder: &Path, target: &Target, seconds: u32) -> Result<()> {
    let (host, built) = (host()?, tool::target()?.join("fuzz"));
    let Target { package, name } = target;
    let line = format!("cargo build --release --bin {name} --target {host}");
    let mut build = tool::command(&line);
    // The flags of cargo-fuzz, without the sanitizers, which need a nightly compiler. With `--target`,
    // Cargo does not apply the flags to build scripts.
    build
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", &built)
        .env("RUSTFLAGS", FLAGS);
    tool::run(&mut build)?;

    let work = built.join(format!("{package}-{name}"));
    let corpus = work.join("corpus");
    fs::create_dir_all(&corpus)?;
    let program = built.join(&host).join("release").join(name);
    let mut process = Process::new(program);
    process
        .arg(format!("-max_total_time={seconds}"))
        .args(LIMITS)
        .arg(format!("-artifact_prefix={}/", work.display()))
        .arg(&corpus)
        .current_dir(&work);
    // libFuzzer reads this corpus, but writes only into the first.
    let seeds = folder.join("corpus").join(name);
    if seeds.is_dir() {
        process.arg(seeds);
    }
    tool::run(&mut process)
}

/// The target triple of this machine.
fn host() -> Result<String> {
    let version = tool::output(&mut tool::command("rustc -vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc names no host")
}

const FLAGS: &str = "--cfg fuzzing -Cdebug-assertions -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table";

/// The limits for one input: 10 s and 2 GiB.
const LIMITS: [&str; 4] = [
    "-timeout=10",
    "-rss_limit_mb=2048",
    "-verbosity=0",
    "-print_final_stats=1",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fuzz_crates_are_discovered() {
        let root = tool::scratch("fuzz");
        for path in [
            "crates/b/fuzz",
            "crates/a/fuzz",
            "crates/c/src",
            "crates/d/fuzz",
        ] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in ["crates/b/fuzz", "crates/a/fuzz", "crates/c"] {
            fs::write(root.join(path).join("Cargo.toml"), "").unwrap();
        }
        let expected = ["crates/a/fuzz", "crates/b/fuzz"].map(|path| root.join(path));
        assert_eq!(folders(&root).unwrap(), expected);
    }

    #[test]
    fn every_program_of_a_fuzz_crate_is_a_target() {
        let metadata = json!({ "packages": [{ "targets": [
            { "kind": ["bin"], "name": "decode" },
            { "kind": ["lib"], "name": "shared" },
            { "kind": ["bin"], "name": "encode" },
        ]}]});
        let names: Vec<_> = programs(&metadata, "sse-codec")
            .iter()
            .map(Target::to_string)
            .collect();
        assert_eq!(names, ["sse-codec/decode", "sse-codec/encode"]);
    }
}
