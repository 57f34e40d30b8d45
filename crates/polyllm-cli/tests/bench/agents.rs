//! Jobs of agents: generated, recorded, replayed and reported.

use std::fs;
use std::time::Duration;

use llm_sim::Timing;
use serde_json::{Value, json};

use crate::support::{Bench, MODEL, number, runs};

#[test]
fn a_generated_trace_is_replayed_and_reported() {
    let bench = Bench::new(Timing::default().with_first_token(Duration::from_millis(2)));
    let options = "--jobs 4 --turns 3 --seed 7 --system-tokens 600 --helpers 0.5";
    let (_, errors, code) = bench.run(&format!("trace generate {options} -o agents.jsonl"));
    assert_eq!(code, 0, "{errors}");
    let text = fs::read_to_string(bench.folder.path().join("agents.jsonl")).unwrap();
    let (again, _, _) = bench.run(&format!("trace generate {options}"));
    assert_eq!(text, again, "a seed has always the same trace");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let requests: usize = lines
        .iter()
        .map(|line| line["turns"].as_array().unwrap().len())
        .sum();

    let found = bench.measure(
        "jobs",
        &format!(
            "{MODEL} --trace agents.jsonl --num-concurrency 2 --goodput-tier gold=ttft:9s \
             --goodput-tier none=e2e:1us --repeat 2 --trace-speed 20"
        ),
    );
    assert_eq!(found.len(), 2, "two repeats");
    for run in &found {
        assert_eq!(number(run, "num_completed_requests"), requests as f64);
        let numbers = &run["aggregated_metrics"];
        assert_eq!(numbers["extra"]["jobs"]["completed"], 4);
        let shares: Vec<_> = (0..2)
            .map(|tier| numbers["extra"]["goodput_tiers"][tier]["share"].clone())
            .collect();
        assert_eq!(shares, [1.0, 0.0]);
        assert!(numbers["stats"]["job_time"]["mean"].as_f64().unwrap() > 0.0);
        assert!(numbers["stats"]["ttfo"]["mean"].as_f64().unwrap() > 0.0);
    }
    let report = fs::read_to_string(bench.folder.path().join("jobs/report.md")).unwrap();
    for expected in ["## Jobs", "## Repeats", "the tier gold"] {
        assert!(report.contains(expected), "{expected}: {report}");
    }
    let page = fs::read_to_string(bench.folder.path().join("jobs/report.html")).unwrap();
    assert!(page.contains("4 jobs completed, 0 did not"));
}

#[test]
fn a_log_becomes_a_trace_without_names() {
    let bench = Bench::new(Timing::default());
    let record = |start: &str, end: &str, input: u64| {
        json!({"request_id": "r", "session_id": "ann's", "user": "ann", "api_key": "h",
               "startTime": start, "endTime": end, "prompt_tokens": input,
               "completion_tokens": 4, "status": "success", "call_type": "chat"})
    };
    let log = json!([
        record("2026-11-22T08:00:00.000Z", "2026-11-22T08:00:01.000Z", 50),
        record("2026-11-22T08:00:01.500Z", "2026-11-22T08:00:02.000Z", 80),
    ]);
    bench.write("log.json", &log.to_string());
    let (trace, errors, code) = bench.run("trace record log.json");
    assert_eq!(code, 0, "{errors}");
    assert!(!trace.contains("ann"), "{trace}");
    let line: Value = serde_json::from_str(&trace).unwrap();
    assert_eq!(line["turns"][1]["delay"], 500.0);
    assert_eq!(line["turns"][1]["input_length"], 80 - 54);
    let (_, errors, code) = bench.run("trace record missing.json");
    assert_eq!(code, 2, "{errors}");
}

#[test]
fn a_trace_without_times_needs_a_concurrency() {
    let bench = Bench::new(Timing::default());
    bench.write(
        "t.jsonl",
        r#"{"turns": [{"text": "x", "output_length": 3}]}"#,
    );
    let (_, errors, code) = bench.run(&format!("--api-base $BASE {MODEL} --trace t.jsonl"));
    assert_eq!(code, 2, "{errors}");
    assert!(errors.contains("--num-concurrency"), "{errors}");
    assert!(runs_of(&bench).is_empty());
}

#[test]
fn several_addresses_and_models_share_the_load() {
    let bench = Bench::new(Timing::default());
    let base = bench.sim().together_url();
    let (_, errors, code) = bench.run(&format!(
        "--api-base {base}=3,{base}/v1 --api-model-name openai/gpt-oss-20b=1,meta-llama/Llama-2-7b-chat-hf=3 \
         --traffic-scenario 'D(9,3)' --num-concurrency 2 --max-requests-per-run 40 --no-calibration \
         --experiment-folder-name m"
    ));
    assert_eq!(code, 0, "{errors}");
    let run = &runs(&bench.folder.path().join("m"))[0];
    let rows = run["individual_request_metrics"].as_array().unwrap();
    let count = |field: &str| rows.iter().filter(|row| row[field] == 1).count();
    assert!((9..=11).contains(&count("target")), "{}", count("target"));
    assert!((29..=31).contains(&count("model")), "{}", count("model"));
    let bodies = bench.sim().together().requests();
    let models = bodies
        .iter()
        .filter(|seen| seen.json()["model"] == "openai/gpt-oss-20b");
    assert_eq!(models.count(), 40 - count("model"));
    for options in [
        "--api-base http://h=0,http://i --api-model-name m",
        "--api-base $BASE --api-model-name m,=2",
    ] {
        let (_, errors, code) = bench.run(options);
        assert_eq!(code, 2, "{options}: {errors}");
    }
}

fn runs_of(bench: &Bench) -> Vec<Value> {
    let entries = fs::read_dir(bench.folder.path()).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path());
    folders
        .filter(|path| path.is_dir())
        .flat_map(|path| runs(&path))
        .collect()
}
