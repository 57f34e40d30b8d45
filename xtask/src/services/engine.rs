//! Servers without files: Redis and NATS.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::tool;

/// A kind of server.
pub(crate) struct Engine {
    /// The environment variable with the URL of a server that already runs.
    pub(super) variable: &'static str,
    scheme: &'static str,
    pub(super) program: &'static str,
    /// The arguments before the port.
    arguments: &'static [&'static str],
}

pub(crate) static REDIS: Engine = Engine {
    variable: "LLM_BENCH_REDIS",
    scheme: "redis",
    program: "redis-server",
    arguments: &["--bind", "127.0.0.1", "--save", "", "--port"],
};

pub(super) static NATS: Engine = Engine {
    variable: "LLM_BENCH_NATS",
    scheme: "nats",
    program: "nats-server",
    arguments: &["--addr", "127.0.0.1", "--port"],
};

/// A server that was started here. It is killed when this is dropped.
pub(crate) struct Running {
    engine: &'static Engine,
    port: u16,
    server: Child,
}

impl Engine {
    pub(crate) fn is_installed(&self) -> bool {
        tool::find(self.program).is_some()
    }

    /// Starts a server on a free port, and waits until it listens.
    pub(crate) fn start(&'static self) -> Result<Running> {
        // Another process may take the free port first: then the server ends, and another port is
        // tried.
        for _ in 0..ATTEMPTS {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                .local_addr()?
                .port();
            if let Some(running) = self.start_on(port)? {
                return Ok(running);
            }
        }
        bail!("{} ended before it listened", self.program);
    }

    /// Starts the server; `None` if it ended.
    fn start_on(&'static self, port: u16) -> Result<Option<Running>> {
        let mut command = Command::new(self.program);
        command
            .args(self.arguments)
            .arg(port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = command
            .spawn()
            .with_context(|| format!("cannot run {}", self.program))?;
        let mut running = Running {
            engine: self,
            port,
            server,
        };
        let begin = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if begin.elapsed() > START_TIMEOUT {
                bail!("{} does not listen on port {port}", self.program);
            }
            thread::sleep(Duration::from_millis(50));
        }
        // A server that could not bind the port ends: then another process has answered.
        thread::sleep(Duration::from_millis(50));
        Ok(running.server.try_wait()?.is_none().then_some(running))
    }
}

impl Running {
    pub(crate) fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.engine.scheme, self.port)
    }

    /// Stops the server with `STOP`, or lets it go on with `CONT`: its connections stay open, and
    /// nothing answers.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let id = self.server.id().to_string();
        tool::run(Command::new("kill").args([format!("-{name}"), id]))
    }

    /// Kills the server. Its data are lost.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.server.kill()?;
        self.server.wait()?;
        Ok(())
    }

    /// Starts a killed server again on the same port.
    pub(crate) fn restart(&mut self) -> Result<()> {
        let Engine { program, .. } = self.engine;
        let again = self.engine.start_on(self.port)?;
        *self = again.with_context(|| format!("{program} did not start again"))?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has already ended.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// How often a server is started on another port.
const ATTEMPTS: u32 = 5;
const START_TIMEOUT: Duration = Duration::from_secs(60);
