//! Processes that end with their owner.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};

/// A running program whose output is read by line; dropping it kills it.
pub(super) struct Owned {
    child: Child,
    lines: Receiver<String>,
}

/// What a program said until a deadline.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Said {
    Line(String),
    /// It closed its output.
    End,
    /// It said nothing in time.
    Nothing,
}

impl Owned {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {program}"))?;
        let out = child
            .stdout
            .take()
            .ok_or_else(|| anyhow!("{program} has no output"))?;
        let (sender, lines) = channel();
        // It goes on reading after the last line that anybody wants, so that the program never
        // waits for a reader; it ends with the program.
        std::thread::spawn(move || {
            for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Ok(Self { child, lines })
    }

    pub(super) fn line(&self, deadline: Instant) -> Said {
        match self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            Ok(line) => Said::Line(line),
            Err(RecvTimeoutError::Disconnected) => Said::End,
            Err(RecvTimeoutError::Timeout) => Said::Nothing,
        }
    }

    pub(super) fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Both fail for a process that has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_the_end_and_silence_are_told_apart() {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut echo = Owned::start(Command::new("echo").arg("a\nb")).unwrap();
        assert_eq!(echo.line(deadline), Said::Line("a".to_owned()));
        assert_eq!(echo.line(deadline), Said::Line("b".to_owned()));
        assert_eq!(echo.line(deadline), Said::End);
        assert!(echo.wait().unwrap().success());

        let sleep = Owned::start(Command::new("sleep").arg("60")).unwrap();
        assert_eq!(sleep.line(Instant::now()), Said::Nothing);
        let id = sleep.child.id();
        drop(sleep);
        assert!(!std::path::Path::new(&format!("/proc/{id}/exe")).exists());
    }
}
