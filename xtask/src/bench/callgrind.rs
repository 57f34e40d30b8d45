//! Programs under valgrind's callgrind: a gateway whose counts are taken while it runs, and programs
//! that are counted as a whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::clients::clean;
use crate::clients::servers::Server;
use crate::tool;

/// Whether valgrind and the program that controls it are on the path.
pub(super) fn is_installed() -> bool {
    tool::missing(&["valgrind", "callgrind_control"]).is_none()
}

fn require_installed() -> Result<()> {
    ensure!(
        is_installed(),
        "valgrind is missing: install the package valgrind"
    );
    Ok(())
}

/// The instructions of a program from its start to its end; `folder` takes what callgrind writes.
pub(super) fn count_program(program: &Path, args: &[&str], folder: &Path) -> Result<u64> {
    require_installed()?;
    let counts = folder.join("program.callgrind");
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(program)
        .args(args);
    tool::output(&mut command)?;
    totals(&fs::read_to_string(counts)?)
}

/// A server whose instructions are counted, until dropped.
pub(super) struct Counted {
    server: Server,
    folder: PathBuf,
}

impl Counted {
    /// Starts `polyllm` with these arguments; `folder` takes what callgrind writes.
    pub(super) fn start(polyllm: &Path, args: &[&str], folder: &Path) -> Result<Self> {
        require_installed()?;
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder)?;
        let mut command = clean(Path::new("valgrind"));
        command
            .arg("--tool=callgrind")
            .arg(format!("--vgdb-prefix={}", folder.join("vgdb").display()))
            .arg(format!(
                "--callgrind-out-file={}",
                folder.join("counts").display()
            ))
            .arg(polyllm)
            .args(args);
        let server = Server::start("gateway", &mut command, folder)?;
        Ok(Self {
            server,
            folder: folder.to_owned(),
        })
    }

    /// The address of the server, such as `127.0.0.1:4000`.
    pub(super) fn address(&self) -> Result<String> {
        let url = self.server.field("url")?;
        let address = url.trim_start_matches("http://");
        Ok(address.split('/').next().unwrap_or(address).to_owned())
    }

    /// The instructions that the server takes while `work` is done.
    pub(super) fn count(&self, work: impl FnOnce() -> Result<()>) -> Result<u64> {
        self.control("--zero")?;
        work()?;
        for dump in self.dumps()? {
            fs::remove_file(dump)?;
        }
        self.control("--dump")?;
        let dumps = self.dumps()?;
        let texts = dumps.iter().map(fs::read_to_string);
        let counts = texts.map(|text| totals(&text?));
        counts.sum()
    }

    fn control(&self, action: &str) -> Result<()> {
        let prefix = format!("--vgdb-prefix={}", self.folder.join("vgdb").display());
        let mut command = tool::command("callgrind_control");
        tool::output(command.arg(prefix).arg(action)).map(drop)
    }

    /// The files that callgrind has written.
    fn dumps(&self) -> Result<Vec<PathBuf>> {
        let files = fs::read_dir(&self.folder)?;
        let paths: Result<Vec<PathBuf>, _> = files.map(|file| Ok(file?.path())).collect();
        let is_dump = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("counts")
        };
        Ok(paths
            .map_err(|error: std::io::Error| error)?
            .into_iter()
            .filter(is_dump)
            .collect())
    }
}

/// The sum in a file of callgrind's.
fn totals(text: &str) -> Result<u64> {
    let mut lines = text.lines();
    let totals = lines.find_map(|line| {
        let (name, count) = line.split_once(':')?;
        matches!(name, "totals" | "summary").then(|| count.trim())
    });
    let totals = totals.context("callgrind wrote no total")?;
    let count = totals.split_whitespace().next().unwrap_or_default();
    count
        .parse()
        .with_context(|| format!("callgrind's total is not a number: {totals}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_a_dump_is_read() {
        let text = "version: 1\nevents: Ir\nfn=(1) main\n1 5\ntotals: 12345\n";
        assert_eq!(totals(text).unwrap(), 12345);
        assert!(totals("events: Ir\n").is_err());
    }
}
