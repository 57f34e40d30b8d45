//! Runs the binary in tests.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::process::{Command, Output, Stdio};

pub(crate) fn polyllm(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyllm"));
    command.args(arguments).stdin(Stdio::null());
    // Keys and addresses of the machine that runs the tests.
    for spec in ::polyllm::registry().specs() {
        for variable in spec.settings().iter().flat_map(|setting| setting.variables) {
            command.env_remove(variable);
        }
    }
    command.env_remove("POLYLLM_LOG");
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
