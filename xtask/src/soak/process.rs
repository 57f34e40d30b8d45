//! What Linux knows of a process.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

/// A running process.
#[derive(Debug)]
pub(crate) struct Process(PathBuf);

impl Process {
    pub(crate) fn new(id: &str) -> Result<Self> {
        let folder = PathBuf::from("/proc").join(id);
        fs::metadata(&folder).context("there is no /proc: this needs Linux")?;
        Ok(Self(folder))
    }

    /// Its memory (resident set size) in KiB, and the number of its threads.
    pub(crate) fn memory_and_threads(&self) -> Result<(u64, u64)> {
        let status = fs::read_to_string(self.0.join("status")).context("the gateway has ended")?;
        let number = |name| number(&status, name).with_context(|| format!("no {name} in /proc"));
        Ok((number("VmRSS:")?, number("Threads:")?))
    }

    /// The processor time of all of its threads so far.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(self.0.join("stat")).context("the gateway has ended")?;
        ticks(&stat)
            .map(|ticks| Duration::from_millis(ticks * MILLIS_PER_TICK))
            .context("no times in /proc")
    }

    /// The number of its open descriptors.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        let folder = fs::read_dir(self.0.join("fd")).context("the gateway has ended")?;
        Ok(folder.count())
    }
}

/// The number in the line that begins with a name.
fn number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The times in user code and in the kernel. The name before them may contain spaces.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let times = fields.split_whitespace().skip(11).take(2);
    times.map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// Linux counts in hundredths of a second here, on all machines (`USER_HZ`).
const MILLIS_PER_TICK: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_name() {
        let status = "Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t3\n";
        assert_eq!(number(status, "VmRSS:"), Some(1234));
        assert_eq!(number(status, "Threads:"), Some(3));
        assert_eq!(number(status, "VmSwap:"), None);
    }

    #[test]
    fn times_are_found_behind_a_name_with_spaces() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 17 0 0 20 0";
        assert_eq!(ticks(stat), Some(267));
        assert_eq!(ticks("7 (a) S 1"), Some(0));
        assert_eq!(ticks(""), None);
    }
}
