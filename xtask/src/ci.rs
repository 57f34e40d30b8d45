//! `cargo xtask ci`: every check, in the order in which mistakes are cheapest to find.

mod steps;

use std::time::{Duration, Instant};

use anyhow::Result;
use lexopt::{Arg, ValueExt};

use self::steps::{LONG, QUICK, Step};
use crate::Command;

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
    for step in steps {
        let Step { name, about, .. } = step;
        println!("\n== {name}: {about}");
        let start = Instant::now();
        let result = step.run();
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
    steps.find(|step| step.name == name).ok_or_else(|| {
        let steps = QUICK.iter().chain(LONG);
        let names: Vec<_> = steps.map(|step| step.name).collect();
        let names = names.join(", ");
        lexopt::Error::from(format!("unknown step '{name}'; the steps are {names}")).into()
    })
}

fn list() -> String {
    let line = |step: &Step| format!("{:<WIDTH$} {}\n", step.name, step.about);
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

/// The width of a step's name in lists.
const WIDTH: usize = 12;

#[cfg(test)]
mod tests {
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
