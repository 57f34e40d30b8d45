//! `polyllm bench` against simulated upstreams.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use llm_sim::{FaultRule, Faults, Sim, SimOptions, Timing};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio::runtime::Runtime;

const KEY: &str = "tgp_v1_very-secret";

/// A simulation, and a folder that is deleted on drop.
struct Bench {
    runtime: Runtime,
    sim: Option<Sim>,
    folder: TempDir,
}

impl Bench {
    fn new(timing: Timing) -> Self {
        let runtime = Runtime::new().unwrap();
        let options = SimOptions::default().with_timing(timing);
        let sim = runtime.block_on(Sim::start(options)).unwrap();
        Self {
            runtime,
            sim: Some(sim),
            folder: tempdir().unwrap(),
        }
    }

    fn sim(&self) -> &Sim {
        self.sim.as_ref().unwrap()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// `polyllm bench` in the folder. The shell is replaced by it, so that signals reach it.
    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new("bash");
        let bench = format!("exec {} bench {arguments}", env!("CARGO_BIN_EXE_polyllm"));
        command
            .args(["-c", &bench])
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        for variable in [
            "TOGETHERAI_API_KEY",
            "TOGETHER_BASE_URL",
            "MODEL_API_KEY",
            "POLYLLM_LOG",
        ] {
            command.env_remove(variable);
        }
        command
            .env("TOGETHER_API_KEY", KEY)
            .env("BASE", self.sim().together_url());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &str) -> (String, String, i32) {
        let Output {
            stdout,
            stderr,
            status,
        } = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(stdout), text(stderr), status.code().unwrap())
    }

    /// Runs with `name` as the results' folder; must succeed.
    #[track_caller]
    fn measure(&self, name: &str, arguments: &str) -> Vec<Value> {
        let (_, errors, code) = self.run(&format!(
            "--api-base $BASE --experiment-folder-name {name} --no-calibration {arguments}"
        ));
        assert_eq!(code, 0, "{errors}");
        runs(&self.folder.path().join(name))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(sim) = self.sim.take() {
            self.runtime.block_on(sim.shutdown());
        }
    }
}

/// The files of an experiment's runs, by name.
fn runs(folder: &Path) -> Vec<Value> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_run = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.ends_with(".json") && name != "experiment_metadata.json"
    };
    let mut files: Vec<_> = files.filter(is_run).collect();
    files.sort();
    let read = |path: &PathBuf| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    files.iter().map(read).collect()
}

fn number(run: &Value, field: &str) -> f64 {
    run["aggregated_metrics"][field].as_f64().unwrap()
}

const MODEL: &str = "--api-model-name meta-llama/Llama-2-7b-chat-hf";

#[test]
fn the_documented_commands_run_as_printed() {
    let bench = Bench::new(Timing::default());
    let prompts = bench.write(
        "dataset.json",
        r#"["Hello?", "How are you?", "Why is the sky blue?"]"#,
    );
    let image = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==";
    let config = json!({
        "source": {"type": "file", "path": bench.write("images.jsonl", &json!({"q": "What is it?", "i": image}).to_string())},
        "prompt_column": "q",
        "image_column": "i",
    });
    let images = bench.write("config_images.json", &config.to_string());
    for (task, options) in [
        (
            "text-to-text",
            format!("--num-concurrency 1,2,4,8 --batch-size 1,2,4 --dataset-path {prompts}"),
        ),
        (
            "text-to-embeddings",
            format!("--num-concurrency 1,2 --batch-size 1,2,8 --dataset-path {prompts}"),
        ),
        (
            "image-text-to-text",
            format!("--num-concurrency 1,2,4 --batch-size 1,2 --dataset-path {images}"),
        ),
    ] {
        let (out, errors, code) = bench.run(&format!(
            "--api-backend together \\\n --api-base $BASE \\\n --api-key $TOGETHER_API_KEY \\\n \
             {MODEL} \\\n --task {task} \\\n {options} --experiment-folder-name {task} \
             --max-requests-per-run 20"
        ));
        assert_eq!(code, 0, "{task}: {errors}");
        assert!(out.contains("Report: "), "{out}");
    }
    let folder = |task| runs(&bench.folder.path().join(task));
    assert_eq!(folder("text-to-text").len(), 4);
    assert_eq!(
        folder("text-to-embeddings").len(),
        6,
        "every concurrency with every batch size"
    );
    assert_eq!(folder("image-text-to-text").len(), 3);
}

#[test]
fn no_file_and_no_output_contains_the_key() {
    let bench = Bench::new(Timing::default());
    let (out, errors, _) = bench.run(&format!(
        "--api-base $BASE --api-key {KEY} {MODEL} --traffic-scenario 'D(5,5)' --num-concurrency 1 \
         --max-requests-per-run 3 --experiment-folder-name e --additional-request-params '{{\"user\":\"me\"}}'"
    ));
    assert!(!format!("{out}{errors}").contains(KEY));
    let mut files = 0;
    for entry in fs::read_dir(bench.folder.path().join("e")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let hidden = !String::from_utf8_lossy(&bytes).contains(KEY);
        assert!(hidden);
        files += 1;
    }
    assert!(files > 5, "{files}");
    let metadata =
        fs::read_to_string(bench.folder.path().join("e/experiment_metadata.json")).unwrap();
    assert!(metadata.contains("--api-key ***"), "{metadata}");
}

#[test]
fn rate_limited_requests_are_reported() {
    let bench = Bench::new(Timing::default());
    let fault: Faults = "status=429".parse().unwrap();
    bench
        .sim()
        .together()
        .inject(FaultRule::from(fault).times(23));
    let runs = bench.measure(
        "e",
        &format!(
            "{MODEL} --traffic-scenario 'D(5,5)' --num-concurrency 4 --max-requests-per-run 87"
        ),
    );
    assert_eq!(number(&runs[0], "num_error_requests"), 23.0);
    assert_eq!(number(&runs[0], "num_completed_requests"), 64.0);
    assert!((number(&runs[0], "error_rate") - 23.0 / 87.0).abs() < 1e-9);
    let report = fs::read_to_string(bench.folder.path().join("e/report.md")).unwrap();
    assert!(report.contains("26.4"), "{report}");
}

#[test]
fn failures_are_explained_and_reported() {
    let bench = Bench::new(Timing::default());
    let common = "--traffic-scenario 'D(5,5)' --num-concurrency 1,2 --experiment-folder-name";
    for (arguments, said) in [
        (
            format!("--api-base http://127.0.0.1:9 {MODEL} {common} a"),
            "cannot connect",
        ),
        (
            format!("--api-base $BASE --api-key invalid-key {MODEL} {common} b"),
            "key was rejected",
        ),
        (
            format!("--api-base $BASE --api-model-name no-such/model {common} c"),
            "unknown",
        ),
    ] {
        let (_, errors, code) = bench.run(&arguments);
        assert_eq!(code, 1, "{errors}");
        assert!(errors.contains(said), "{said}: {errors}");
    }
    for folder in ["a", "b", "c"] {
        assert!(
            bench
                .folder
                .path()
                .join(folder)
                .join("report.html")
                .exists()
        );
        assert_eq!(
            runs(&bench.folder.path().join(folder)).len(),
            2,
            "no run stops the others"
        );
    }
}

#[test]
fn an_invalid_dataset_is_an_error_with_file_and_line() {
    let bench = Bench::new(Timing::default());
    for (name, text, said) in [
        ("empty.txt", "\n\n", "expected at least one"),
        (
            "broken.json",
            "[\"a\",\n \"b\"\n \"c\"]",
            "broken.json:3: expected a list",
        ),
        (
            "kind.json",
            "[\"a\",\n 7]",
            "kind.json:2: expected a string or an object",
        ),
        (
            "line.jsonl",
            "{\"prompt\":\"a\"}\n{\"prompt\":\n",
            "line.jsonl:2: expected a JSON",
        ),
        (
            "column.csv",
            "a,b\n1,2\n",
            "column.csv:2: expected one of prompt",
        ),
        (
            "ragged.csv",
            "prompt,b\n1,2\n3\n",
            "ragged.csv:3: invalid CSV",
        ),
        ("file.xls", "x", "expected a file that ends with"),
        ("latin.txt", "ok\n\u{e9}", ""),
    ] {
        let path = bench.write(name, text);
        if said.is_empty() {
            fs::write(&path, b"ok\n\xe9").unwrap();
        }
        let (_, errors, code) =
            bench.run(&format!("--api-base $BASE {MODEL} --dataset-path {path}"));
        assert_eq!(code, 1, "{name}: {errors}");
        let said = if said.is_empty() {
            "latin.txt:2: invalid UTF-8"
        } else {
            said
        };
        assert!(errors.contains(said), "{said}: {errors}");
    }
    for (scenario, said) in [
        ("D(0,5)", "at least 1"),
        ("X(1)", "at the start"),
        ("E(5)", "does not fit text-to-text"),
        ("dataset", "needs --dataset-path"),
        ("D(99999999999,5)", "at most 10,000,000"),
        ("I(99999,99999)", "1 to 8192 pixels"),
    ] {
        let (_, errors, code) = bench.run(&format!(
            "--api-base $BASE {MODEL} --traffic-scenario '{scenario}'"
        ));
        assert_eq!(code, 2, "{errors}");
        assert!(errors.contains(said), "{said}: {errors}");
    }
}

#[test]
fn numbers_out_of_range_are_usage_errors_and_nothing_is_sent() {
    let bench = Bench::new(Timing::default());
    for (options, said) in [
        ("--request-rate 1e300", "requests per second"),
        ("--request-rate nan", "requests per second"),
        ("--request-rate 5 --arrivals gamma:1e-300", "a shape"),
        ("--drain-timeout 500000000000years", "--drain-timeout"),
        (
            "--max-requests-per-run 18446744073709551615",
            "--max-requests-per-run",
        ),
        ("--num-workers 4294967295", "--num-workers"),
        ("--timeout 0s", "--timeout"),
        ("--traffic-scenario 'D(99999999999,5)'", "10,000,000"),
        ("--price nan,1", "--price"),
        (
            "--traffic-scenario 'D(10,5)' --prefix-len 18446744073709551615",
            "--prefix-len",
        ),
        (
            "--traffic-scenario 'D(10,5)' --prefix-ratio nan",
            "--prefix-ratio",
        ),
        (
            "--task text-to-embeddings --batch-size 100000 --traffic-scenario 'E(1000)'",
            "10000000",
        ),
        (
            "--api-backend replicate --api-key r8_x --api-model-name '../account?x=/y'",
            "owner/name",
        ),
    ] {
        let model = if options.contains("--api-model-name") {
            ""
        } else {
            MODEL
        };
        let (_, errors, code) = bench.run(&format!("--api-base $BASE {model} {options}"));
        assert_eq!(code, 2, "{options}: {errors}");
        assert!(errors.contains(said), "{options}: {errors}");
    }
    assert_eq!(bench.sim().together().request_count(), 0);
}

#[cfg(unix)]
#[test]
fn ctrl_c_drains_and_writes_the_report() {
    stopped_by("INT");
}

#[cfg(unix)]
#[test]
fn a_request_to_terminate_drains_and_writes_the_report() {
    stopped_by("TERM");
}

/// Stops a benchmark with a signal in its first run.
#[cfg(unix)]
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
}

#[test]
fn json_prints_a_line_per_run() {
    let bench = Bench::new(Timing::default());
    let (out, _, code) = bench.run(&format!(
        "--json --api-base $BASE {MODEL} --traffic-scenario 'D(5,5),D(9,2)' --num-concurrency 1 \
         --num-concurrency 2 --max-requests-per-run 8 --experiment-folder-name e"
    ));
    assert_eq!(code, 0);
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line["num_completed_requests"] == 8));
}

#[test]
fn traces_and_conversations_are_replayed() {
    let bench = Bench::new(Timing::default());
    let line = |at: u64, hashes: Value| json!({"timestamp": at, "input_length": 700, "output_length": 4, "hash_ids": hashes});
    let text = [
        line(0, json!([1, 2])),
        line(50, json!([1, 3])),
        line(100, json!([4, 5])),
    ];
    let text: Vec<_> = text.iter().map(Value::to_string).collect();
    let trace = bench.write("trace.jsonl", &text.join("\n"));
    let runs = bench.measure("trace", &format!("{MODEL} --trace {trace} --trace-speed 2"));
    assert_eq!(number(&runs[0], "num_completed_requests"), 3.0);
    let prompts: Vec<String> = bench
        .sim()
        .together()
        .requests()
        .iter()
        .map(|seen| {
            seen.json()["messages"][0]["content"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        prompts[0][..2000],
        prompts[1][..2000],
        "equal blocks are equal text"
    );
    assert_ne!(prompts[0][..2000], prompts[2][..2000]);

    bench.sim().together().forget_requests();
    let said = json!({"messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "as recorded"},
        {"role": "user", "content": "Two?"},
    ]});
    let chats = bench.write("chats.jsonl", &said.to_string());
    bench.measure(
        "chats",
        &format!("{MODEL} --dataset-path {chats} --num-concurrency 1 --max-requests-per-run 2"),
    );
    let last = bench.sim().together().requests().last().unwrap().json();
    let roles: Vec<_> = last["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["role"].clone())
        .collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    assert_ne!(last["messages"][2]["content"], "as recorded");
}

#[test]
fn replicate_and_a_gateway_are_measured() {
    let bench = Bench::new(Timing::default().with_queue(Duration::from_millis(20)));
    let base = bench.sim().replicate_url().to_owned();
    let (_, errors, code) = bench.run(&format!(
        "--api-backend replicate --api-base {base} --api-key r8_x --api-model-name meta/meta-llama-3-8b-instruct \
         --traffic-scenario 'D(9,5)' --num-concurrency 2 --max-requests-per-run 6 --experiment-folder-name r"
    ));
    assert_eq!(code, 0, "{errors}");
    let run = &runs(&bench.folder.path().join("r"))[0];
    assert_eq!(number(run, "num_completed_requests"), 6.0);
    let (_, errors, code) = bench.run(&format!(
        "--api-backend openai --api-base $BASE/v1 --api-key x {MODEL} --against $BASE \
         --traffic-scenario 'D(9,5)' --num-concurrency 2 --max-requests-per-run 6 --experiment-folder-name o"
    ));
    assert_eq!(code, 0, "{errors}");
    assert_eq!(bench.sim().together().request_count(), 12);
}

#[test]
fn the_highest_load_is_searched() {
    let bench = Bench::new(Timing::default().with_first_token(Duration::from_millis(5)));
    let (_, errors, code) = bench.run(&format!(
        "--api-base $BASE {MODEL} --traffic-scenario 'D(5,2)' --find-max-load concurrency \
         --search-limit 4 --goodput ttft:5s --max-requests-per-run 8 --experiment-folder-name e"
    ));
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains("meet the objectives is 4"), "{errors}");
    assert_eq!(runs(&bench.folder.path().join("e")).len(), 3);
}

#[test]
fn the_cost_limit_ends_the_benchmark() {
    let bench = Bench::new(Timing::default());
    let runs = bench.measure(
        "e",
        &format!(
            "{MODEL} --traffic-scenario 'D(100,100)' --num-concurrency 1,2 --price 1000,1000 \
             --max-cost 1 --max-requests-per-run 500"
        ),
    );
    assert_eq!(runs.len(), 1);
    let done = number(&runs[0], "num_completed_requests");
    assert!((4.0..=9.0).contains(&done), "{done}");
}

#[test]
fn a_dataset_is_read_from_the_hub() {
    let bench = Bench::new(Timing::default());
    let hub = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", hub.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut socket, _) = hub.accept().unwrap();
        let head = BufReader::new(&socket).lines().map(Result::unwrap);
        let head: Vec<_> = head.take_while(|line| !line.is_empty()).collect();
        let body =
            json!({"rows": [{"row": {"question": "Who?"}}, {"row": {"question": "Where?"}}]})
                .to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(answer.as_bytes()).unwrap();
        head.join("\n")
    });
    let config = bench.write(
        "huggingface_simple.json",
        r#"{"source":{"type":"huggingface","path":"squad","huggingface_kwargs":{"split":"train"}},"prompt_column":"question"}"#,
    );
    let output = bench
        .command(&format!(
            "--api-base $BASE {MODEL} --dataset-path {config} --num-concurrency 1 --max-requests-per-run 4 --experiment-folder-name e"
        ))
        .env("HF_DATASETS_SERVER", address)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let asked = serving.join().unwrap();
    assert!(
        asked.starts_with("GET /rows?dataset=squad&config=default&split=train&offset=0"),
        "{asked}"
    );
    let prompt = &bench.sim().together().requests()[0].json()["messages"][0]["content"];
    assert!(prompt == "Who?" || prompt == "Where?", "{prompt}");
}
