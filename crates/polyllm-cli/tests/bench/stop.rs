//! Signals end a benchmark.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use llm_sim::Timing;

use crate::support::{Bench, MODEL, number, runs};

#[test]
fn ctrl_c_drains_and_writes_the_report() {
    stopped_by("INT");
}

#[test]
fn a_request_to_terminate_drains_and_writes_the_report() {
    stopped_by("TERM");
}

/// Stops a benchmark with a signal in its first run.
#[track_caller]
fn stopped_by(signal: &str) {
    let bench = Bench::new(Timing::default().with_first_token(Duration::from_millis(40)));
    let mut child = bench
        .command(&format!(
            "--api-base $BASE {MODEL} --task text-to-text --experiment-folder-name e"
        ))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let seen = bench.sim().together();
    bench
        .runtime
        .block_on(seen.requests_until(|seen| seen.len() > 20));
    let killed = Command::new("kill")
        .args([&format!("-{signal}"), &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let status = child.wait().unwrap();
    let mut errors = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .unwrap();
    assert_eq!(status.code(), Some(130), "{errors}");
    assert!(errors.contains("stopping"), "{errors}");
    let runs = runs(&bench.folder.path().join("e"));
    assert!(number(&runs[0], "num_completed_requests") > 3.0);
    assert!(bench.folder.path().join("e/report.html").exists());
    // The calibration follows the load; it must not delay the end of an interrupted one.
    let bias = &runs[0]["polyllm"]["run"]["bias"];
    assert!(bias.is_null(), "{bias}");
}
