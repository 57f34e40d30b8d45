//! `polyllm bench` with a tokenizer, against a server without usage.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use common::{polyllm, run};
use serde_json::{Value, json};

/// A stream of three words in two chunks, without usage.
const ANSWER: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one two\"}}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" three\"},\"finish_reason\":\"stop\"}]}\n\n\
    data: [DONE]\n\n";

/// A server: receives the bodies of its requests, and its address.
fn server() -> (String, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (seen, bodies) = mpsc::channel();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let (socket, seen) = (socket.unwrap(), seen.clone());
            // The thread ends with its connection.
            thread::spawn(move || while answer(&socket, &seen).is_some() {});
        }
    });
    (address, bodies)
}

fn answer(mut socket: &TcpStream, seen: &mpsc::Sender<Value>) -> Option<()> {
    let mut reader = BufReader::new(socket);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line == "\r\n" {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    seen.send(serde_json::from_slice(&body).ok()?).ok()?;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n",
        ANSWER.len()
    );
    socket.write_all((head + ANSWER).as_bytes()).ok()
}

#[test]
#[cfg_attr(not(feature = "bench-tokenizer"), ignore = "needs --features full")]
fn a_tokenizer_counts_tokens_without_usage() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-tokenizer");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    // Every word is one unknown token.
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"?": 0}, "unk_token": "?"},
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let (base, bodies) = server();

    for (name, options, output, source) in [
        ("counted", &["--model-tokenizer", "."][..], 3, "tokenizer"),
        // One token per chunk, as there is nothing better.
        ("estimated", &[], 2, "estimate"),
    ] {
        let mut bench = polyllm(&["bench", "--api-backend", "openai", "--api-base", &base]);
        bench
            .args([
                "--api-key",
                "k",
                "--api-model-name",
                "m",
                "--no-calibration",
            ])
            .args(["--traffic-scenario", "D(20,10)", "--num-concurrency", "1"])
            .args(["--max-requests-per-run", "3"])
            .args(["--experiment-folder-name", name])
            .args(options)
            .current_dir(&folder);
        let (_, errors, status) = run(&mut bench);
        assert_eq!(status, 0, "{errors}");
        let files = fs::read_dir(folder.join(name)).unwrap();
        let mut files = files.map(|file| file.unwrap().path());
        let records = files.find(|file| file.extension().is_some_and(|end| end == "jsonl"));
        let records = fs::read_to_string(records.unwrap()).unwrap();
        assert_eq!(records.lines().count(), 3);
        for record in records.lines() {
            let record: Value = serde_json::from_str(record).unwrap();
            let tokens = &record["tokens"];
            assert_eq!(tokens["output"], output, "{tokens}");
            assert_eq!(tokens["output_source"], source, "{tokens}");
            assert_eq!(tokens["input_source"], source, "{tokens}");
            let sent = bodies.recv().unwrap();
            let prompt = sent["messages"][0]["content"].as_str().unwrap();
            if source == "tokenizer" {
                assert_eq!(tokens["input"], 20, "{prompt}");
                assert_eq!(prompt.split_whitespace().count(), 20, "{prompt}");
            }
        }
    }
}
