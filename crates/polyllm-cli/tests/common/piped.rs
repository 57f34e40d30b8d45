//! Runs the binary with text on standard input.

use std::io::Write;
use std::process::Stdio;

use crate::common::polyllm;

/// Runs the binary with `text` on standard input. Returns standard output, standard error and the exit
/// status.
pub(crate) fn run_piped(arguments: &[&str], text: &str) -> (String, String, i32) {
    let mut command = polyllm(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    (stdout, stderr, output.status.code().unwrap())
}
