//! Measurements of the simulation.

use std::fs;
use std::time::Duration;

use llm_sim::Timing;
use serde_json::{Value, json};

use crate::support::{Bench, MODEL, number, runs};

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
    let found = "meet the objectives is at least 4, the --search-limit";
    assert!(errors.contains(found), "{errors}");
    let folder = bench.folder.path().join("e");
    assert_eq!(runs(&folder).len(), 3);
    let metadata = fs::read_to_string(folder.join("experiment_metadata.json")).unwrap();
    assert!(metadata.contains(found), "{metadata}");
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
fn headers_are_sent_and_not_written() {
    let bench = Bench::new(Timing::default());
    bench.measure(
        "e",
        &format!(
            "--api-backend vllm {MODEL} --api-key x --header 'x-team=secret-of-team' \
             --header X-Other=2 --traffic-scenario 'D(5,2)' --num-concurrency 1 \
             --max-requests-per-run 2"
        ),
    );
    let seen = &bench.sim().together().requests()[0];
    assert_eq!(seen.header("x-team"), Some("secret-of-team"));
    assert_eq!(seen.header("x-other"), Some("2"));
    let metadata = bench.folder.path().join("e/experiment_metadata.json");
    let metadata = fs::read_to_string(metadata).unwrap();
    assert!(!metadata.contains("secret-of-team"), "{metadata}");
    assert!(metadata.contains("\"api_backend\": \"vllm\""), "{metadata}");
    let (_, errors, code) = bench.run(&format!("--api-base $BASE {MODEL} --header host=x"));
    assert_eq!(code, 2, "{errors}");
}
