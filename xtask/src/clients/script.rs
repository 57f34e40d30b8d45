//! Running a script of checks and counting what it prints.

use std::ops::AddAssign;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::process::{ChildProcess, Output};

/// The numbers of checks that passed and failed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Runs a script, prints its output, and counts the lines that begin with `ok` and `FAIL`.
///
/// A script that crashes, hangs or checks nothing counts as one failed check.
pub(crate) fn run(name: &str, command: &mut Command) -> Result<Tally> {
    run_within(name, command, TIME_LIMIT)
}

fn run_within(name: &str, command: &mut Command, limit: Duration) -> Result<Tally> {
    let deadline = Instant::now() + limit;
    let mut tally = Tally::default();
    let failed = |tally: &mut Tally, reason: &str| {
        println!("FAIL  {name}: {reason}");
        tally.failed += 1;
    };
    let mut script = ChildProcess::start(command)?;
    loop {
        match script.line(deadline) {
            Output::Line(line) => {
                println!("{line}");
                tally.passed += usize::from(line.starts_with("ok "));
                tally.failed += usize::from(line.starts_with("FAIL "));
            }
            Output::End => break,
            Output::Timeout => {
                let reason = format!("still runs after {} seconds", limit.as_secs());
                failed(&mut tally, &reason);
                return Ok(tally);
            }
        }
    }
    let status = script.wait()?;
    if !status.success() && tally.failed == 0 {
        failed(&mut tally, &format!("ended with {status}"));
    } else if tally == Tally::default() {
        failed(&mut tally, "checked nothing");
    }
    Ok(tally)
}

/// The longest run time of a script.
const TIME_LIMIT: Duration = Duration::from_secs(180);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::process::watched;

    #[track_caller]
    fn check(shell: &str, passed: usize, failed: usize) {
        check_within(Duration::from_secs(60), shell, passed, failed);
    }

    #[track_caller]
    fn check_within(limit: Duration, shell: &str, passed: usize, failed: usize) {
        let mut command = watched("sh");
        let tally = run_within("test", command.arg("-c").arg(shell), limit);
        assert_eq!(tally.unwrap(), Tally { passed, failed });
    }

    #[test]
    fn checks_are_counted() {
        check("echo 'ok    a'; echo 'FAIL  b'; echo note; exit 1", 1, 1);
        check("echo 'ok    a'", 1, 0);
    }

    #[test]
    fn a_script_that_crashes_hangs_or_checks_nothing_has_failed() {
        check("echo 'ok    a'; exit 3", 1, 1);
        check("true", 0, 1);
        check_within(Duration::ZERO, "exec sleep 60", 0, 1);
    }
}
