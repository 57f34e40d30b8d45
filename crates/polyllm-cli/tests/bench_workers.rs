//! `polyllm bench worker` and its leader as processes.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::process::{Child, Command, Stdio};

use common::{polyllm, run};
use llm_sim::{Sim, SimOptions};
use tempfile::{TempDir, tempdir};
use tokio::runtime::Runtime;

const SECRET: &str = "the secret of these tests, for nothing else";

const KEY: &str = "tgp_v1_canary-of-the-worker";

/// Two simulated upstreams, a session, and a folder that is deleted on drop.
struct Machines {
    runtime: Runtime,
    /// The upstream that the worker allows, and another.
    sims: Option<(Sim, Sim)>,
    folder: TempDir,
    session: String,
}

impl Machines {
    fn new(name: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let sim = || runtime.block_on(Sim::start(SimOptions::default())).unwrap();
        let sims = Some((sim(), sim()));
        let session = format!("{name}-{}", std::process::id());
        let folder = tempdir().unwrap();
        fs::create_dir(folder.path().join("open")).unwrap();
        Self {
            runtime,
            sims,
            folder,
            session,
        }
    }

    fn sims(&self) -> (&Sim, &Sim) {
        let (allowed, other) = self.sims.as_ref().unwrap();
        (allowed, other)
    }

    fn command(&self, options: &str) -> Command {
        let coordinator = std::env::var("LLM_BENCH_REDIS").unwrap();
        let options: Vec<&str> = options.split_whitespace().collect();
        let (subcommand, options) = match options.as_slice() {
            ["worker", rest @ ..] => (&["bench", "worker"][..], rest),
            rest => (&["bench"][..], rest),
        };
        let mut command = polyllm(&[subcommand, options].concat());
        command
            .args(["--coordinator", &coordinator, "--session", &self.session])
            .current_dir(&self.folder)
            .env("POLYLLM_BENCH_SECRET", SECRET);
        command
    }

    /// A worker that allows one address and one folder.
    fn worker(&self) -> Child {
        let base = self.sims().0.together_url();
        let options = format!(
            "worker --name w1 --experiment-base-dir w --allow-folder open \
             --allow-base together={base}"
        );
        let mut command = self.command(&options);
        command
            .env("TOGETHER_API_KEY", KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// The standard error and the statuses of leader and worker.
    fn measure(&self, options: &str) -> (String, i32, String, i32) {
        let worker = self.worker();
        let leader = format!(
            "--workers 1 --patience 30s --api-model-name meta-llama/Llama-2-7b-chat-hf \
             --max-requests-per-run 4 --no-calibration {options}"
        );
        let (_, leader_said, leader) = run(&mut self.command(&leader));
        let worker = worker.wait_with_output().unwrap();
        let worker_said = String::from_utf8(worker.stderr).unwrap();
        (
            leader_said,
            leader,
            worker_said,
            worker.status.code().unwrap(),
        )
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        if let Some((one, two)) = self.sims.take() {
            self.runtime.block_on(one.shutdown());
            self.runtime.block_on(two.shutdown());
        }
    }
}

#[test]
#[cfg_attr(not(feature = "bench-redis"), ignore = "needs --features full")]
fn leader_and_worker_need_a_secret() {
    // Nothing is contacted, so no engine is needed.
    let nowhere = ["--coordinator", "redis://127.0.0.1:9"];
    for options in [
        &["bench", "worker"][..],
        &["bench", "--workers", "1", "--api-model-name", "m"],
    ] {
        let mut command = polyllm(&[options, &nowhere].concat());
        let (_, errors, status) = run(command.env_remove("POLYLLM_BENCH_SECRET"));
        assert_eq!(status, 2, "{errors}");
        for part in [
            "POLYLLM_BENCH_SECRET",
            "--secret-file",
            "openssl rand -hex 32",
        ] {
            assert!(errors.contains(part), "{errors}");
        }
        let mut command = polyllm(&[options, &nowhere].concat());
        let (_, errors, status) = run(command.env("POLYLLM_BENCH_SECRET", "short"));
        assert_eq!(status, 2, "{errors}");
        assert!(errors.contains("32 to 1024 characters"), "{errors}");
    }
}

#[test]
#[ignore = "needs a Redis that LLM_BENCH_REDIS names"]
fn a_worker_measures_an_allowed_address() {
    let machines = Machines::new("allowed");
    fs::write(
        machines.folder.path().join("open/prompts.txt"),
        "Who?\nWhere?\n",
    )
    .unwrap();
    let base = machines.sims().0.together_url();
    let (leader_said, leader, worker_said, worker) = machines.measure(&format!(
        "--api-base {base} --dataset-path open/prompts.txt --num-concurrency 1 \
         --experiment-folder-name joined"
    ));
    assert_eq!((leader, worker), (0, 0), "{leader_said}\n{worker_said}");
    let seen = machines.sims().0.together().requests();
    assert_eq!(seen.len(), 4);
    let page = fs::read_to_string(machines.folder.path().join("joined/report.html")).unwrap();
    assert!(page.contains("--workers 1") && !page.contains("canary"));
}

#[test]
#[ignore = "needs a Redis that LLM_BENCH_REDIS names"]
fn a_worker_sends_nothing_to_other_addresses() {
    let machines = Machines::new("foreign");
    let (allowed, other) = machines.sims();
    let (allowed_base, other_base) = (allowed.together_url(), other.together_url());
    for options in [
        format!("--api-base {other_base}"),
        format!("--api-base {allowed_base} --against {other_base}"),
        // Another API's key would be sent there.
        format!("--api-backend openai --api-base {allowed_base}"),
        // Without an address, it is Together's own.
        String::new(),
    ] {
        let (leader_said, leader, worker_said, worker) = machines.measure(&options);
        assert_eq!((leader, worker), (1, 1), "{leader_said}\n{worker_said}");
        for said in [leader_said, worker_said] {
            assert!(said.contains("--allow-base"), "{options}: {said}");
            assert!(!said.contains("canary"), "{said}");
        }
    }
    assert_eq!(other.together().request_count(), 0);
    assert_eq!(allowed.together().request_count(), 0);
}

#[test]
#[ignore = "needs a Redis that LLM_BENCH_REDIS names"]
fn a_worker_reads_nothing_outside_its_folders() {
    let machines = Machines::new("folders");
    fs::write(machines.folder.path().join("private.txt"), "canary\n").unwrap();
    let link = machines.folder.path().join("open/link.txt");
    std::os::unix::fs::symlink(machines.folder.path().join("private.txt"), link).unwrap();
    let base = machines.sims().0.together_url();
    for option in [
        "--dataset-path private.txt",
        "--dataset-path open/../private.txt",
        "--dataset-path open/link.txt",
        "--dataset-path /etc/passwd",
        "--dataset-config private.txt",
        "--trace private.txt",
        "--model-tokenizer private.txt",
        "--dataset-path squad",
    ] {
        // A build without the feature refuses the option itself.
        if option.starts_with("--model-tokenizer") && !cfg!(feature = "bench-tokenizer") {
            continue;
        }
        let options = format!("--api-base {base} {option}");
        let (leader_said, leader, worker_said, worker) = machines.measure(&options);
        assert_eq!((leader, worker), (1, 1), "{leader_said}\n{worker_said}");
        for said in [leader_said, worker_said] {
            assert!(said.contains("--allow-"), "{option}: {said}");
            assert!(!said.contains("canary"), "{said}");
        }
    }
    assert_eq!(machines.sims().0.together().request_count(), 0);
}

#[test]
#[ignore = "needs a Redis that LLM_BENCH_REDIS names"]
fn leader_and_workers_with_different_secrets_do_not_connect() {
    let machines = Machines::new("secrets");
    let file = machines.folder.path().join("secret");
    fs::write(&file, "another secret, which somebody else knows\n").unwrap();
    let mut worker = machines.worker();
    let leader = "--workers 1 --patience 3s --api-model-name m --secret-file secret";
    let (_, said, status) = run(&mut machines.command(leader));
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("0 of 1 worker joined"), "{said}");
    assert!(worker.try_wait().unwrap().is_none(), "it goes on waiting");
    worker.kill().unwrap();
    worker.wait().unwrap();
}
