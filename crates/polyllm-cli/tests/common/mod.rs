//! Runs the binary in tests.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::process::{Command, Output, Stdio};

/// The environment variables that may contain keys or addresses.
const VARIABLES: [&str; 14] = [
    "OPENAI_API_KEY",
    "OPENAI_API_BASE",
    "OPENAI_BASE_URL",
    "TOGETHERAI_API_KEY",
    "TOGETHER_API_KEY",
    "TOGETHER_AI_API_KEY",
    "TOGETHER_AI_TOKEN",
    "TOGETHER_AI_API_BASE",
    "TOGETHER_BASE_URL",
    "REPLICATE_API_KEY",
    "REPLICATE_API_TOKEN",
    "REPLICATE_BASE_URL",
    "REPLICATE_API_BASE",
    "POLYLLM_LOG",
];

pub(crate) fn polyllm(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyllm"));
    command.args(arguments).stdin(Stdio::null());
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// Standard output, standard error and status.
pub(crate) fn run(command: &mut Command) -> (String, String, i32) {
    let Output {
        stdout,
        stderr,
        status,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert!(
        !format!("{stdout}{stderr}").contains('\u{1b}'),
        "no colour in a pipe"
    );
    (stdout, stderr, status.code().unwrap())
}
