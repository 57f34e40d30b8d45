//! Export to a tracking server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use llm_sim::Timing;
use serde_json::{Value, json};

use crate::support::{Bench, MODEL};

const TOKEN: &str = "mlflow-token-very-secret";

/// What a tracking server received: the request line, the authorization and the body.
struct Seen {
    line: String,
    authorization: String,
    body: Value,
}

/// A stub of a tracking server, which answers `runs/log-batch` with this status.
fn tracking_server(batch: u16) -> (String, mpsc::Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let (seen, received) = mpsc::channel();
    // It runs until the test process ends.
    thread::spawn(move || {
        for socket in listener.incoming() {
            let _ = seen.send(answer(&socket.unwrap(), batch));
        }
    });
    (address, received)
}

fn answer(mut socket: &TcpStream, batch: u16) -> Seen {
    let mut reader = BufReader::new(socket);
    let mut head = Vec::new();
    for line in reader.by_ref().lines().map_while(Result::ok) {
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let header = |name: &str| {
        let found = head.iter().filter_map(|line| line.split_once(": "));
        let mut found = found.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map_or("", |(_, value)| value).to_owned()
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let line = head[0].clone();
    let (status, reply) = match &line {
        line if line.contains("get-by-name") => (404, json!({"message": "no such experiment"})),
        line if line.contains("experiments/create") => (200, json!({"experiment_id": "7"})),
        line if line.contains("runs/create") => (200, json!({"run": {"info": {"run_id": "abc"}}})),
        line if line.contains("log-batch") && batch != 200 => {
            (batch, json!({"message": format!("no access with {TOKEN}")}))
        }
        _ => (200, json!({})),
    };
    let reply = reply.to_string();
    let _ = write!(
        socket,
        "HTTP/1.1 {status} Status\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{reply}",
        reply.len()
    );
    Seen {
        line,
        authorization: header("authorization"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }
}

/// Measures two runs; returns standard error and the status.
fn measure(bench: &Bench, url: &str) -> (String, i32) {
    let mut command = bench.command(&format!(
        "--api-base $BASE {MODEL} --traffic-scenario 'D(5,5)' --num-concurrency 1,2 \
         --max-requests-per-run 4 --no-calibration --experiment-folder-name e \
         --mlflow {url} --mlflow-experiment 'a b'"
    ));
    let output = command
        .env("MLFLOW_TRACKING_TOKEN", TOKEN)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    (errors, output.status.code().unwrap())
}

fn value<'a>(list: &'a Value, key: &str) -> &'a Value {
    let items = list.as_array().unwrap();
    let found = items.iter().find(|item| item["key"] == key);
    &found.unwrap_or_else(|| panic!("no {key}: {list}"))["value"]
}

#[test]
fn each_run_becomes_a_run_of_mlflow() {
    let bench = Bench::new(Timing::default());
    let (url, seen) = tracking_server(200);
    let (errors, code) = measure(&bench, &url);
    assert_eq!(code, 0, "{errors}");
    let seen: Vec<Seen> = seen.try_iter().collect();
    let lines: Vec<&str> = seen.iter().map(|seen| seen.line.as_str()).collect();
    let api = "/api/2.0/mlflow";
    let post = |path: &str| format!("POST {api}/{path} HTTP/1.1");
    let run = [
        post("runs/create"),
        post("runs/log-batch"),
        post("runs/update"),
    ];
    let first = [
        format!("GET {api}/experiments/get-by-name?experiment_name=a%20b HTTP/1.1"),
        post("experiments/create"),
    ];
    assert_eq!(lines, [&first[..], &run, &run].concat());
    let bearer = format!("Bearer {TOKEN}");
    assert!(seen.iter().all(|seen| seen.authorization == bearer));
    assert_eq!(seen[1].body["name"], "a b");

    let (created, batch, ended) = (&seen[5].body, &seen[6].body, &seen[7].body);
    assert_eq!(created["experiment_id"], "7");
    assert_eq!(created["run_name"], "D(5,5) concurrency 2");
    let params = &batch["params"];
    assert_eq!(value(params, "model"), "meta-llama/Llama-2-7b-chat-hf");
    assert_eq!(value(params, "load"), "concurrency 2");
    assert_eq!(value(params, "limits.max_requests"), "4");
    let metrics = &batch["metrics"];
    assert_eq!(value(metrics, "num_completed_requests"), 4.0);
    assert!(value(metrics, "ttft_p99").as_f64().unwrap() > 0.0);
    assert!(params.as_array().unwrap().len() <= 100, "MLflow's limit");
    assert!(!batch.to_string().contains(TOKEN));
    assert_eq!(
        (&ended["run_id"], &ended["status"]),
        (&"abc".into(), &"FINISHED".into())
    );
    assert!(ended["end_time"].as_u64() >= created["start_time"].as_u64());

    // The runs of a folder can be exported later.
    let (url, seen) = tracking_server(200);
    let (_, errors, code) = bench.run(&format!("report e --mlflow {url}"));
    assert_eq!(code, 0, "{errors}");
    assert_eq!(seen.try_iter().count(), first.len() + 2 * run.len());
}

#[test]
fn a_tracking_server_that_fails_is_a_warning_after_the_report() {
    let bench = Bench::new(Timing::default());
    let (refusing, _seen) = tracking_server(403);
    for url in ["http://127.0.0.1:9", &refusing] {
        let (errors, code) = measure(&bench, url);
        assert_eq!(code, 0, "{errors}");
        assert!(
            errors.contains("warning: the runs were not exported"),
            "{errors}"
        );
        assert!(errors.contains("bench report e --mlflow"), "{errors}");
        assert!(!errors.contains(TOKEN), "{errors}");
        let folder = bench.folder.path().join("e");
        assert!(folder.join("report.html").is_file());
        std::fs::remove_dir_all(folder).unwrap();
    }
    let (errors, code) = measure(&bench, "http://me:hunter2-long@h");
    assert_eq!(code, 2, "{errors}");
    assert!(!errors.contains("hunter2"), "{errors}");
    assert!(
        !bench.folder.path().join("e").exists(),
        "nothing was measured"
    );
}
