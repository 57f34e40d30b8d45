//! What Linux knows of a process.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// A running process.
#[derive(Debug)]
pub(super) struct Process(PathBuf);

impl Process {
    pub(super) fn new(id: &str) -> Result<Self> {
        let folder = PathBuf::from("/proc").join(id);
        fs::metadata(&folder).context("there is no /proc: a soak needs Linux")?;
        Ok(Self(folder))
    }

    /// Its memory (resident set size) in KiB, and the number of its threads.
    pub(super) fn memory_and_threads(&self) -> Result<(u64, u64)> {
        let status = fs::read_to_string(self.0.join("status")).context("the gateway has ended")?;
        let number = |name| number(&status, name).with_context(|| format!("no {name} in /proc"));
        Ok((number("VmRSS:")?, number("Threads:")?))
    }

    /// The number of its open descriptors.
    pub(super) fn descriptors(&self) -> Result<usize> {
        let folder = fs::read_dir(self.0.join("fd")).context("the gateway has ended")?;
        Ok(folder.count())
    }
}

/// The number in the line that begins with a name.
fn number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

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
}
