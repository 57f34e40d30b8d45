//! The example reads an event stream from its standard input.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn the_example_prints_the_events_of_a_stream() {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap().parent().unwrap().join("examples");
    let example = folder.join(format!("events{}", std::env::consts::EXE_SUFFIX));
    assert!(
        example.is_file(),
        "not built: run `cargo build -p sse-codec --examples` first"
    );
    let mut example = Command::new(example)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stream =
        b": hi\n\nid: 1\nevent: output\ndata: The sky\ndata: is blue.\n\ndata: [DONE]\n\ndata: cut";
    example.stdin.take().unwrap().write_all(stream).unwrap();
    let output = example.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "(hi)\n1 output: The sky\nis blue.\n1 message: [DONE]\nincomplete: message cut\n"
    );
}
