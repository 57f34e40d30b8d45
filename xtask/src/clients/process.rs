//! Processes that end with their owner.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

/// A command for [`ChildProcess::start`]. It takes arguments and variables as usual. A shell runs the
/// program and kills it when the shell's standard input is closed.
pub(super) fn watched(program: impl AsRef<OsStr>) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", WATCH, "sh"]).arg(program);
    shell
}

// The watcher in the background does not hold standard output open, so that it ends with the program.
// The shell's standard error goes to /dev/null: otherwise it would report that the program was killed.
const WATCH: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
program=$!
exec 2>/dev/null
{ read -r _ <&3; kill -9 $program; } >/dev/null &
wait $program
"#;

/// A running program whose output is read by line. It is killed when this is dropped, and even
/// when this process is killed.
pub(crate) struct ChildProcess {
    shell: Child,
    /// Closing it kills the program.
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

/// The next output of a program.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Output {
    Line(String),
    /// The program closed its output.
    End,
    /// No line came until the deadline.
    Timeout,
}

impl ChildProcess {
    /// Starts a command of [`watched`].
    pub(crate) fn start(watched: &mut Command) -> Result<Self> {
        let mut shell = watched
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run sh")?;
        let stdin = shell.stdin.take();
        let out = shell
            .stdout
            .take()
            .ok_or_else(|| anyhow!("sh has no output"))?;
        let (sender, lines) = channel();
        // Reads all output, even if nobody uses it: otherwise the program would block on a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Ok(Self {
            shell,
            stdin,
            lines,
        })
    }

    /// The next line of output.
    pub(crate) fn line(&self, deadline: Instant) -> Output {
        match self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            Ok(line) => Output::Line(line),
            Err(RecvTimeoutError::Disconnected) => Output::End,
            Err(RecvTimeoutError::Timeout) => Output::Timeout,
        }
    }

    /// Waits for the end of the program and returns its status.
    pub(super) fn wait(&mut self) -> Result<ExitStatus> {
        // `Child::wait` would close standard input, had it not been taken out.
        Ok(self.shell.wait()?)
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // Fails only if the child was waited for before.
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn start(script: &str) -> ChildProcess {
        ChildProcess::start(watched("sh").arg("-c").arg(script)).unwrap()
    }

    #[test]
    fn a_line_the_end_and_a_timeout_are_distinguished() {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut echo = start("echo a; echo b; exit 3");
        assert_eq!(echo.line(deadline), Output::Line("a".to_owned()));
        assert_eq!(echo.line(deadline), Output::Line("b".to_owned()));
        assert_eq!(echo.line(deadline), Output::End);
        assert_eq!(echo.wait().unwrap().code(), Some(3));

        let silent = start("exec sleep 60");
        assert_eq!(silent.line(Instant::now()), Output::Timeout);
    }

    #[test]
    fn a_program_ends_with_its_owner() {
        let program = start("echo $$; exec sleep 60");
        let Output::Line(id) = program.line(Instant::now() + Duration::from_secs(60)) else {
            panic!("it did not print its id");
        };
        let process = PathBuf::from("/proc").join(id);
        assert!(process.exists() || !PathBuf::from("/proc").exists());
        drop(program);
        assert!(!process.exists());
    }
}
