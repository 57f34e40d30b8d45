//! The tests that need PostgreSQL, Redis or NATS, which are otherwise ignored.

mod postgres;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::tool;

/// The result of the tests.
pub(crate) enum Outcome {
    Passed,
    /// These programs are not installed.
    Missing(Vec<&'static str>),
}

/// Runs the tests with the servers that `LLM_BENCH_REDIS`, `LLM_BENCH_NATS` and
/// `GATEWAY_STORE_POSTGRES` name. Without these variables, starts servers that end with the tests.
pub(crate) fn check() -> Result<Outcome> {
    let mut missing: Vec<_> = ENGINES
        .iter()
        .filter(|engine| engine.given().is_none() && !engine.is_installed())
        .map(|engine| engine.program)
        .collect();
    if !postgres::is_available() {
        missing.push("postgresql");
    }
    if !missing.is_empty() {
        return Ok(Outcome::Missing(missing));
    }
    let running = ENGINES
        .iter()
        .map(Engine::start)
        .collect::<Result<Vec<_>>>()?;
    let postgres = postgres::start()?;
    for line in LINES {
        let mut test = tool::command(line);
        test.env(postgres::VARIABLE, postgres.url());
        for (engine, running) in ENGINES.iter().zip(&running) {
            test.env(engine.variable, &running.url);
        }
        tool::run(&mut test)?;
    }
    Ok(Outcome::Passed)
}

/// Not all ignored tests of the workspace: others are ignored for other reasons.
const LINES: [&str; 5] = [
    "cargo test -p gateway-store --features postgres -- --ignored",
    "cargo test -p llm-gateway --features postgres --test it stored -- --ignored",
    // Its tests start servers of their own, which they freeze and kill.
    "cargo test -p llm-router --features redis --lib redis -- --ignored",
    "cargo test -p llm-bench --all-features --lib coordinator -- --ignored",
    "cargo test -p polyllm-cli --features full --test bench_workers --test serve -- --ignored",
];

struct Engine {
    variable: &'static str,
    scheme: &'static str,
    program: &'static str,
    /// The arguments before the port.
    arguments: &'static [&'static str],
}

const ENGINES: [Engine; 2] = [
    Engine {
        variable: "LLM_BENCH_REDIS",
        scheme: "redis",
        program: "redis-server",
        arguments: &["--bind", "127.0.0.1", "--save", "", "--port"],
    },
    Engine {
        variable: "LLM_BENCH_NATS",
        scheme: "nats",
        program: "nats-server",
        arguments: &["--addr", "127.0.0.1", "--port"],
    },
];

struct Running {
    url: String,
    server: Option<Child>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // Fails if it has already ended.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Engine {
    fn given(&self) -> Option<String> {
        std::env::var(self.variable).ok()
    }

    fn is_installed(&self) -> bool {
        let mut version = std::process::Command::new(self.program);
        let version = version.arg("--version").stdout(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    }

    fn start(&self) -> Result<Running> {
        if let Some(url) = self.given() {
            return Ok(Running { url, server: None });
        }
        // Another process may take the free port first: then the server ends, and another port is
        // tried.
        for _ in 0..ATTEMPTS {
            if let Some(running) = self.start_on_free_port()? {
                return Ok(running);
            }
        }
        bail!("{} ended before it listened", self.program);
    }

    /// Starts the server; `None` if it ended.
    fn start_on_free_port(&self) -> Result<Option<Running>> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let mut command = std::process::Command::new(self.program);
        command
            .args(self.arguments)
            .arg(port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = command
            .spawn()
            .with_context(|| format!("cannot run {}", self.program))?;
        let mut running = Running {
            url: format!("{}://127.0.0.1:{port}", self.scheme),
            server: Some(server),
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
        let ended = running
            .server
            .as_mut()
            .map(Child::try_wait)
            .transpose()?
            .flatten();
        Ok(ended.is_none().then_some(running))
    }
}

/// How often a server is started on another port.
const ATTEMPTS: u32 = 5;
const START_TIMEOUT: Duration = Duration::from_secs(60);
