//! The tests that need PostgreSQL, Redis or NATS, which are otherwise ignored.

pub(crate) mod engine;
pub(crate) mod postgres;

use anyhow::Result;

use self::engine::{Engine, NATS, REDIS};
use self::postgres::Postgres;
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
        .into_iter()
        .filter(|engine| given(engine).is_none() && !engine.is_installed())
        .map(|engine| engine.program)
        .collect();
    if std::env::var_os(postgres::VARIABLE).is_none() && !Postgres::is_installed() {
        missing.push("postgresql");
    }
    if !missing.is_empty() {
        return Ok(Outcome::Missing(missing));
    }
    let started = ENGINES.into_iter().filter(|engine| given(engine).is_none());
    let started = started.map(|engine| Ok((engine.variable, engine.start()?)));
    let started = started.collect::<Result<Vec<_>>>()?;
    let postgres = match std::env::var(postgres::VARIABLE) {
        Ok(_) => None,
        Err(_) => Some(Postgres::start()?),
    };
    for line in LINES {
        let mut test = tool::command(line);
        if let Some(postgres) = &postgres {
            test.env(postgres::VARIABLE, postgres.url());
        }
        for (variable, running) in &started {
            test.env(variable, running.url());
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

const ENGINES: [&Engine; 2] = [&REDIS, &NATS];

/// The server that the environment names.
fn given(engine: &Engine) -> Option<std::ffi::OsString> {
    std::env::var_os(engine.variable)
}
