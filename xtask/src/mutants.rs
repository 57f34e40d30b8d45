//! `cargo xtask mutants`: cargo-mutants over the providers.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use lexopt::{Arg, ValueExt};

use crate::{Command, tool};

pub(crate) const COMMAND: Command = Command {
    name: "mutants",
    usage: "[--shard K/N]",
    about: "Check that a test fails for each change of the providers' code",
    details: "\
Runs cargo-mutants over the crates provider-openai, provider-replicate and provider-together, each
with its own tests. A mutant that no test catches is printed. All mutants take hours, so a run tests
a shard of them: by default one of 30, chosen by the date.

  --shard K/N   every Nth mutant, starting with the Kth, from 0; 0/1 is all of them

A mutant that behaves like the original is excluded in .cargo/mutants.toml, with the reason.
Results are in target/mutants/CRATE/mutants.out.",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut shard = of_today()?;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("shard") => shard = Shard::parse(&args.value()?.string()?)?,
            _ => return Err(arg.unexpected().into()),
        }
    }
    if let Some(why) = missing() {
        bail!("{why}");
    }
    check(shard)
}

/// Every `count`th mutant, starting with `first`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Shard {
    first: u64,
    count: u64,
}

impl Shard {
    fn parse(text: &str) -> Result<Self> {
        let parts = text.split_once('/');
        let numbers =
            parts.and_then(|(first, count)| Some((first.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((first, count)) if first < count => Ok(Self { first, count }),
            _ => Err(lexopt::Error::from(format!("'{text}' is not a shard such as 0/30")).into()),
        }
    }
}

/// The shard of today: a different one each day.
pub(crate) fn of_today() -> Result<Shard> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let days = now.context("the clock is before 1970")?.as_secs() / (24 * 3600);
    Ok(Shard {
        first: days % SHARDS,
        count: SHARDS,
    })
}

/// The reason why cargo-mutants cannot run on this machine, or `None`.
pub(crate) fn missing() -> Option<String> {
    let version = tool::output(&mut tool::command("cargo mutants --version"));
    version
        .is_err()
        .then(|| "cargo-mutants is not installed: `cargo install cargo-mutants`".to_owned())
}

/// Fails if more mutants survive than allowed.
pub(crate) fn check(shard: Shard) -> Result<()> {
    let (mut caught, mut missed) = (0, Vec::new());
    for package in PACKAGES {
        let results = test(package, shard)?;
        caught += results.caught.len();
        missed.extend(results.missed);
    }
    println!("{caught} mutants were caught, {} were not", missed.len());
    judge(caught, &missed)
}

/// The mutants of a crate that its tests caught, and the others.
struct Results {
    caught: Vec<String>,
    missed: Vec<String>,
}

/// Runs the tests of a crate on its own mutants. A change costs only a build of that crate.
fn test(package: &str, Shard { first, count }: Shard) -> Result<Results> {
    let target = tool::target()?;
    let output = target.join("mutants").join(package);
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    let mut mutants = tool::command("cargo mutants --jobs 1 --timeout 300");
    mutants
        .args(["--package", package, "--test-package", package])
        .args(["--sharding", "round-robin"])
        .arg(format!("--shard={first}/{count}"))
        .arg("--output")
        .arg(&output)
        .env("CARGO_TARGET_DIR", target.join("mutants").join("build"))
        // Tests need no debug information.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("PROPTEST_CASES", "16");
    // The exit status does not distinguish missed mutants from timeouts; the lists do.
    let outcome = tool::run(&mut mutants);
    let lists = output.join("mutants.out");
    let lines = |list: &str| -> Result<Vec<String>> {
        let text = fs::read_to_string(lists.join(list));
        let text = text.with_context(|| format!("cargo mutants wrote no {list} for {package}"));
        Ok(text?.lines().map(str::to_owned).collect())
    };
    let (caught, missed) = (lines("caught.txt")?, lines("missed.txt")?);
    if caught.is_empty() && missed.is_empty() {
        outcome?;
    }
    Ok(Results { caught, missed })
}

fn judge(caught: usize, missed: &[String]) -> Result<()> {
    let tried = caught + missed.len();
    if missed.len() * 100 > tried * MAX_SURVIVING_PERCENT {
        bail!(
            "more than {MAX_SURVIVING_PERCENT} % of {tried} mutants survive:\n{}",
            missed.join("\n")
        );
    }
    Ok(())
}

/// `provider-conformance` is missing: tests with broken providers cover it.
const PACKAGES: [&str; 3] = ["provider-openai", "provider-replicate", "provider-together"];
const SHARDS: u64 = 30;
/// The percentage of a shard that may survive.
const MAX_SURVIVING_PERCENT: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_a_part_of_a_whole() {
        let shard = Shard {
            first: 2,
            count: 30,
        };
        assert_eq!(Shard::parse("2/30").unwrap(), shard);
        for bad in ["", "2", "30/30", "1/0", "a/b", "-1/3"] {
            let error = Shard::parse(bad).unwrap_err();
            assert!(error.is::<lexopt::Error>(), "{bad}");
        }
        assert!(of_today().unwrap().first < SHARDS);
    }

    #[test]
    fn too_many_survivors_are_an_error() {
        let missed = |count| vec!["src/a.rs:1:1: replace f".to_owned(); count];
        assert!(judge(8, &missed(2)).is_ok());
        let error = judge(7, &missed(2)).unwrap_err().to_string();
        assert!(
            error.contains("of 9 mutants") && error.contains("src/a.rs"),
            "{error}"
        );
    }
}
