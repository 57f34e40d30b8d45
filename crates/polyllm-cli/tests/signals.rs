//! Signals end commands gracefully: predictions are cancelled and reports written.

#![cfg(unix)]
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "other tests need more of it")]
mod common;
#[cfg(target_os = "linux")]
#[path = "common/terminal.rs"]
mod terminal;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use llm_sim::{Sim, SimOptions, Timing};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::common::polyllm;

const LLAMA: &str = "replicate/meta/meta-llama-3-8b-instruct";

/// A simulation whose predictions run until they are cancelled.
async fn endless() -> Sim {
    let timing = Timing::default()
        .with_first_token(Duration::from_millis(5))
        .with_token(Duration::from_secs(600));
    start(timing).await
}

async fn start(timing: Timing) -> Sim {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Sim::start(SimOptions::default().with_timing(timing))
        .await
        .unwrap()
}

/// The binary, with `sim` as both providers. It ends at a hangup, also if the tests ignore hangups.
fn with(sim: &Sim, arguments: &[&str]) -> Command {
    let direct = directly(sim, arguments);
    match cfg!(target_os = "linux") {
        true => through(&["env", "--default-signal=HUP"], &direct),
        false => direct,
    }
}

fn directly(sim: &Sim, arguments: &[&str]) -> Command {
    let mut command = polyllm(arguments);
    command
        .env("REPLICATE_API_TOKEN", "key-of-the-test")
        .env("REPLICATE_BASE_URL", sim.replicate_url())
        .env("TOGETHERAI_API_KEY", "key-of-the-test")
        .env("TOGETHER_BASE_URL", sim.together_url())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Starts a command by another one.
fn through(starter: &[&str], direct: &Command) -> Command {
    let mut command = Command::new(starter[0]);
    command
        .args(&starter[1..])
        .arg(direct.get_program())
        .args(direct.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in direct.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn send(signal: &str, child: &Child) {
    let kill = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
}

/// Status, standard output and standard error.
async fn end(child: Child) -> (Option<i32>, String, String) {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = output.await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

const BENCH: [&str; 11] = [
    "bench",
    "--api-model-name",
    "openai/gpt-oss-20b",
    "--task",
    "text-to-text",
    "--traffic-scenario",
    "D(10,10)",
    "--no-calibration",
    "--experiment-folder-name",
    "e",
    "--api-base",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_cancels_the_prediction_as_sigterm_does() {
    for signal in ["-HUP", "-TERM", "-INT"] {
        for arguments in [
            &["chat", "-m", LLAMA, "Hi"][..],
            &["chat", "-m", LLAMA, "--no-stream", "Hi"],
            &["complete", "-m", LLAMA, "Hi"],
        ] {
            let sim = endless().await;
            let child = with(&sim, arguments).spawn().unwrap();
            let replicate = sim.replicate();
            replicate.counts_until(|counts| counts.running() == 1).await;
            send(signal, &child);
            let (status, _, error) = end(child).await;
            assert_eq!(status, Some(130), "{signal} {arguments:?}: {error}");
            let counts = replicate.counts();
            assert_eq!(counts.running(), 0, "{signal} {arguments:?}: {counts:?}");
            assert_eq!(counts.canceled + counts.aborted, 1, "{counts:?}");
            sim.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_ends_the_wait_for_a_prediction_gracefully() {
    for cancel in [false, true] {
        let sim = endless().await;
        let create = reqwest::Client::new()
            .post(format!(
                "{}/v1/models/meta/meta-llama-3-8b-instruct/predictions",
                sim.replicate_url()
            ))
            .bearer_auth("key-of-the-test")
            .json(&json!({ "input": { "prompt": "Hi" } }));
        let created: Value = create.send().await.unwrap().json().await.unwrap();
        let id = created["id"].as_str().unwrap();
        let mut arguments = vec!["replicate", "predictions", "wait", id];
        arguments.extend(cancel.then_some("--cancel-on-interrupt"));
        let child = with(&sim, &arguments).spawn().unwrap();
        let path = format!("/v1/predictions/{id}");
        let replicate = sim.replicate();
        replicate
            .requests_until(|seen| seen.iter().any(|request| request.path == path))
            .await;
        send("-HUP", &child);
        let (status, _, error) = end(child).await;
        assert_eq!(status, Some(130), "{error}");
        assert_eq!(replicate.counts().running(), usize::from(!cancel));
        let hint = if cancel {
            "was cancelled"
        } else {
            "predictions cancel"
        };
        assert!(error.contains(hint), "{error}");
        sim.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_makes_bench_write_its_report() {
    let sim = start(Timing::default().with_first_token(Duration::from_millis(40))).await;
    let folder = tempdir().unwrap();
    let url = sim.together_url().to_owned();
    let mut bench = with(&sim, &[&BENCH[..], &[&url]].concat());
    let child = bench.current_dir(folder.path()).spawn().unwrap();
    sim.together().requests_until(|seen| seen.len() > 20).await;
    send("-HUP", &child);
    let (status, _, error) = end(child).await;
    assert_eq!(status, Some(130), "{error}");
    assert!(folder.path().join("e/report.html").exists());
    sim.shutdown().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bench_writes_its_report_after_the_terminal_is_closed() {
    let sim = start(Timing::default().with_first_token(Duration::from_millis(40))).await;
    let folder = tempdir().unwrap();
    let url = sim.together_url().to_owned();
    let mut bench = with(&sim, &[&BENCH[..], &[&url]].concat());
    bench.current_dir(folder.path());
    let mut script = terminal::on_terminal(&bench);
    let mut terminal = script.stdout(Stdio::null()).spawn().unwrap();
    sim.together().requests_until(|seen| seen.len() > 20).await;
    // The kernel sends SIGHUP, and every write to the terminal fails.
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    let report = folder.path().join("e/report.html");
    for _ in 0..600 {
        if report.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(report.exists());
    sim.shutdown().await;
}

/// `nohup` and `trap '' HUP` start a command with the signal ignored.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_started_with_ignored_hangups_continues() {
    let sim = start(
        Timing::default()
            .with_first_token(Duration::from_millis(5))
            .with_token(Duration::from_millis(50)),
    )
    .await;
    let ignore = ["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""];
    let direct = directly(&sim, &["chat", "-m", LLAMA, "Hi"]);
    let child = through(&ignore, &direct).spawn().unwrap();
    let replicate = sim.replicate();
    replicate.counts_until(|counts| counts.running() == 1).await;
    send("-HUP", &child);
    let (status, said, error) = end(child).await;
    assert_eq!((status, error.as_str()), (Some(0), ""));
    assert!(said.contains("simulated"), "{said}");
    sim.shutdown().await;
}
