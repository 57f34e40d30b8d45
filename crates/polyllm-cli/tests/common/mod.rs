//! Runs the binary in tests.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::process::{Command, Output, Stdio};

pub(crate) fn polyllm(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyllm"));
    command.args(arguments).stdin(Stdio::null());
    // Removes keys and addresses in the environment of the tests.
    for spec in ::polyllm::registry().specs() {
        for variable in spec.settings().iter().flat_map(|setting| setting.variables) {
            command.env_remove(variable);
        }
    }
    let is_otel = |name: &std::ffi::OsString| name.to_string_lossy().starts_with("OTEL_");
    for variable in std::env::vars_os().map(|(name, _)| name).filter(is_otel) {
        command.env_remove(variable);
    }
    for variable in ["LITELLM_MASTER_KEY", "POLYLLM_LOG"] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command. Returns standard output, standard error and the exit status.
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
        "colour codes in a pipe"
    );
    (stdout, stderr, status.code().unwrap())
}
