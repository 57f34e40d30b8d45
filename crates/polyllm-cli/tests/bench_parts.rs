//! `polyllm bench` with and without its optional features.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use common::{polyllm, run};
use llm_sim::{Sim, SimOptions};

const INSTALL: &str = "`cargo install --path crates/polyllm-cli --features full` adds it";

/// Options and the feature that they need.
const CASES: [(&str, &str); 6] = [
    ("--model-tokenizer tokenizer.json", "bench-tokenizer"),
    (
        "--task image-text-to-text --traffic-scenario I(64,64)",
        "bench-images",
    ),
    // The default scenarios of the task are images.
    ("--task image-text-to-text", "bench-images"),
    (
        "--calibrate --model-tokenizer tokenizer.json",
        "bench-tokenizer",
    ),
    (
        "--workers 1 --coordinator nats://me:hunter2@127.0.0.1:9",
        "bench-nats",
    ),
    (
        "--workers 1 --coordinator redis://me:hunter2@127.0.0.1:9",
        "bench-redis",
    ),
];

#[track_caller]
fn check_missing(arguments: &str, feature: &str) {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let (out, errors, status) = run(&mut polyllm(&words));
    assert_eq!((status, out.as_str()), (2, ""), "{arguments}: {errors}");
    let needs = format!("needs the feature {feature}, which is not part of this build; {INSTALL}");
    assert!(errors.contains(&needs), "{arguments}: {errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(!errors.contains("hunter2"), "{errors}");
}

#[test]
#[cfg_attr(feature = "full", ignore = "this build has all features")]
fn a_missing_feature_is_an_error_and_nothing_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    for (options, feature) in CASES {
        check_missing(
            &format!(
                "bench --api-backend openai --api-base {base} --api-key k --api-model-name m \
                 {options}"
            ),
            feature,
        );
    }
    listener.set_nonblocking(true).unwrap();
    let connection = listener.accept();
    assert!(connection.is_err(), "a connection was opened");
}

#[test]
#[cfg_attr(feature = "full", ignore = "this build has all features")]
fn a_worker_without_the_engine_reports_the_missing_feature() {
    for (scheme, feature) in [("nats", "bench-nats"), ("redis", "bench-redis")] {
        check_missing(
            &format!("bench worker --coordinator {scheme}://me:hunter2@127.0.0.1:9"),
            feature,
        );
    }
}

#[test]
#[cfg_attr(not(feature = "bench-images"), ignore = "needs --features full")]
fn image_scenarios_send_images() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-images");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sim = runtime.block_on(Sim::start(SimOptions::default())).unwrap();
    let mut bench = polyllm(&["bench", "--api-base", sim.together_url()]);
    bench
        .args(["--api-key", "k", "--api-model-name", "m/n"])
        .args(["--task", "image-text-to-text", "--no-calibration"])
        .args(["--traffic-scenario", "I(64,64)", "--num-concurrency", "1"])
        .args(["--max-requests-per-run", "3", "--json"])
        .current_dir(&folder);
    let (out, errors, status) = run(&mut bench);
    assert_eq!(status, 0, "{errors}");
    let line: serde_json::Value = serde_json::from_str(out.trim()).unwrap();
    assert_eq!(line["scenario"], "I(64,64)");
    assert_eq!(line["num_completed_requests"], 3, "{line}");
    runtime.block_on(sim.shutdown());
}
