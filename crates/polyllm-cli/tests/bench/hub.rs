//! Datasets of Hugging Face: its viewer, renamed datasets, the cache, and local `data_files`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use llm_sim::Timing;
use serde_json::{Value, json};

use crate::support::{Bench, MODEL};

/// A stub of the hub and of its viewer.
struct Hub {
    address: String,
    paths: mpsc::Receiver<String>,
}

/// The answers by the beginning of the path: a status and a body.
type Answers = BTreeMap<&'static str, (u16, Value)>;

impl Hub {
    fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (seen, paths) = mpsc::channel();
        // It runs until the test process ends.
        thread::spawn(move || {
            for socket in listener.incoming() {
                // A client that disconnects early is not an error of this server.
                let _ = answer(&socket.unwrap(), &answers, &seen);
            }
        });
        Self { address, paths }
    }
}

fn answer(
    mut socket: &TcpStream,
    answers: &Answers,
    seen: &mpsc::Sender<String>,
) -> std::io::Result<()> {
    let lines = BufReader::new(socket).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let first = head.first().cloned().unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let _ = seen.send(path.clone());
    let known = answers.iter().find(|(start, _)| path.starts_with(*start));
    let unknown = (404, json!({"error": "The dataset does not exist."}));
    let (status, body) = known.map_or(&unknown, |(_, answer)| answer);
    let location = match status {
        307 => format!("location: {}\r\n", body.as_str().unwrap()),
        _ => String::new(),
    };
    let host = head.iter().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("host: ")?
            .to_owned()
            .into()
    });
    let address = format!("http://{}", host.unwrap_or_default());
    let body = match body {
        Value::String(file) if *status == 200 => file.clone(),
        body => body.to_string().replace("$HUB", &address),
    };
    let answer = format!(
        "HTTP/1.1 {status} Status\r\nconnection: close\r\n{location}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(answer.as_bytes())
}

/// Runs with a dataset config; returns the prompts that were sent, or the error.
fn prompts(bench: &Bench, hub: &Hub, config: &Value, options: &str) -> Result<Vec<Value>, String> {
    let config = bench.write("config.json", &config.to_string());
    bench.sim().together().forget_requests();
    let mut command = bench.command(&format!(
        "--api-base $BASE {MODEL} --dataset-path {config} --num-concurrency 1 \
         --max-requests-per-run 4 --no-calibration {options}"
    ));
    command
        .env("HF_DATASETS_SERVER", &hub.address)
        .env("HF_ENDPOINT", &hub.address);
    let output = command.output().unwrap();
    if !output.status.success() {
        let errors = String::from_utf8(output.stderr).unwrap();
        return Err(format!("{:?}: {errors}", output.status.code()));
    }
    let requests = bench.sim().together().requests();
    Ok(requests.iter().map(|seen| seen.json()).collect())
}

fn splits(names: &[[&str; 3]]) -> Value {
    let splits = names.iter().map(
        |[dataset, config, split]| json!({"dataset": dataset, "config": config, "split": split}),
    );
    json!({"splits": splits.collect::<Vec<_>>()})
}

/// genai-bench's `huggingface_simple.json`.
fn squad() -> Value {
    json!({
        "source": {"type": "huggingface", "path": "squad", "huggingface_kwargs": {"split": "train"}},
        "prompt_column": "question",
    })
}

fn questions() -> Value {
    json!({"rows": [{"row": {"question": "Who?"}}, {"row": {"question": "Where?"}}]})
}

#[test]
fn the_viewer_is_asked_for_its_splits_first() {
    let bench = Bench::new(Timing::default());
    let hub = Hub::start(Answers::from([
        (
            "/splits?dataset=squad",
            (200, splits(&[["squad", "plain_text", "train"]])),
        ),
        ("/rows", (200, questions())),
    ]));
    for options in ["", "--task text-to-embeddings --batch-size 2"] {
        let sent = prompts(&bench, &hub, &squad(), options).unwrap();
        assert!(sent.iter().any(|body| body.to_string().contains("Who?")));
    }
    let paths: Vec<String> = hub.paths.try_iter().collect();
    let expected = [
        "/splits?dataset=squad",
        "/rows?dataset=squad&config=plain%5Ftext&split=train&offset=0&length=100",
    ];
    assert_eq!(paths, [expected, expected].concat());
}

#[test]
fn a_renamed_dataset_is_followed() {
    let bench = Bench::new(Timing::default());
    let hub = Hub::start(Answers::from([
        (
            "/api/datasets/squad",
            (307, json!("/api/datasets/rajpurkar/squad")),
        ),
        (
            "/api/datasets/rajpurkar/squad",
            (200, json!({"id": "rajpurkar/squad"})),
        ),
        (
            "/splits?dataset=rajpurkar%2Fsquad",
            (200, splits(&[["rajpurkar/squad", "plain_text", "train"]])),
        ),
        ("/rows?dataset=rajpurkar%2Fsquad", (200, questions())),
    ]));
    let sent = prompts(&bench, &hub, &squad(), "").unwrap();
    assert_eq!(sent.len(), 4);
    let wrong = json!({"source": {"type": "huggingface", "path": "rajpurkar/squad",
        "huggingface_kwargs": {"name": "no-config"}}});
    let error = prompts(&bench, &hub, &wrong, "").unwrap_err();
    assert!(error.contains("the configs are plain_text"), "{error}");
    let unknown = json!({"source": {"type": "huggingface", "path": "no/such"}});
    let error = prompts(&bench, &hub, &unknown, "").unwrap_err();
    assert!(error.starts_with("Some(2)"), "a misuse: {error}");
}

#[test]
fn images_of_the_viewer_are_sent_as_data() {
    let bench = Bench::new(Timing::default());
    let name = "lmms-lab/llava-bench-in-the-wild";
    let image = |src: &str| json!({"question": "What?", "image": {"src": src}});
    let rows = [image("$HUB/assets/x.gif"), image("https://h/x.jpg")];
    let hub = Hub::start(Answers::from([
        ("/splits", (200, splits(&[[name, "default", "train"]]))),
        (
            "/rows",
            (200, json!({"rows": rows.map(|row| json!({ "row": row }))})),
        ),
        ("/assets/x.gif", (200, json!("GIF89a\u{1}\0\u{1}\0"))),
    ]));
    let config = json!({
        "source": {"type": "huggingface", "path": name, "huggingface_kwargs": {"split": "train"}},
        "prompt_column": "question", "image_column": "image",
    });
    let sent = prompts(&bench, &hub, &config, "--task image-text-to-text").unwrap();
    let has = |address: &str| sent.iter().any(|sent| sent.to_string().contains(address));
    assert!(has("data:image/gif;base64,R0lGODlhAQABAA=="), "{sent:?}");
    // An address of the dataset's own.
    assert!(has("https://h/x.jpg"), "{sent:?}");
    assert!(!has("/assets/"), "{sent:?}");
}

#[test]
fn without_network_the_cache_is_read_or_the_error_says_how_to_fill_it() {
    let bench = Bench::new(Timing::default());
    let offline = Hub {
        address: "http://127.0.0.1:9".to_owned(),
        paths: mpsc::channel().1,
    };
    let error = prompts(&bench, &offline, &squad(), "").unwrap_err();
    assert!(
        error.contains("hf download --repo-type dataset squad"),
        "{error}"
    );
    assert!(error.starts_with("Some(1)"), "no misuse: {error}");
    let snapshot = "huggingface/hub/datasets--squad/snapshots/abc/plain_text";
    let snapshot = bench.folder.path().join(snapshot);
    fs::create_dir_all(&snapshot).unwrap();
    fs::write(snapshot.join("train-00000.parquet"), b"PAR1").unwrap();
    let error = prompts(&bench, &offline, &squad(), "").unwrap_err();
    assert!(error.contains("neither JSON, CSV nor text"), "{error}");
    fs::write(snapshot.join("train.jsonl"), "{\"question\": \"Why?\"}\n").unwrap();
    let sent = prompts(&bench, &offline, &squad(), "").unwrap();
    assert_eq!(sent[0]["messages"][0]["content"], "Why?");
}

#[test]
fn data_files_of_a_config_are_local() {
    let bench = Bench::new(Timing::default());
    let offline = Hub {
        address: "http://127.0.0.1:9".to_owned(),
        paths: mpsc::channel().1,
    };
    bench.write("lines.json", "{\"q\": \"One?\"}\n{\"q\": \"Two?\"}\n");
    let config = |files: Value| {
        json!({"source": {"type": "huggingface", "path": "json",
            "huggingface_kwargs": {"data_files": files, "split": "train"}}, "prompt_column": "q"})
    };
    for files in [
        json!("lines.json"),
        json!(["lines.json"]),
        json!({"train": "lines.json"}),
    ] {
        let sent = prompts(&bench, &offline, &config(files), "").unwrap();
        let sent = sent[0]["messages"][0]["content"].as_str().unwrap();
        assert!(["One?", "Two?"].contains(&sent), "{sent}");
    }
    let error = prompts(&bench, &offline, &config(json!("https://h/x.json")), "").unwrap_err();
    assert!(error.contains("download it first"), "{error}");
    let error = prompts(&bench, &offline, &config(json!({"test": "x"})), "").unwrap_err();
    assert!(error.contains("it has test"), "{error}");
}
