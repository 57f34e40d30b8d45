//! Runs against hostile servers.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use http::HeaderValue;
use llm_bench::{
    Backend, Experiment, FailureKind, LoadSpec, Outcome, RequestRecord, Results, Run, RunLimits,
    RunSettings, Runner, ServerTarget, Task, Workload,
};
use tokio::sync::watch;

const KEY: &str = "tgp_v1_canary-key";

const STREAM: &str =
    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n";

/// Handles the first request of each connection with `answer`, then closes the connection. Complete
/// responses have `connection: close`, so that no client reuses it.
fn server(answer: impl Fn(&str, &mut TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for socket in listener.incoming() {
            let (mut socket, answer) = (socket.unwrap(), answer.clone());
            thread::spawn(move || {
                if let Some(path) = request(&socket) {
                    answer(&path, &mut socket);
                }
            });
        }
    });
    address
}

/// Reads a request, and returns its path.
fn request(socket: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(socket);
    let (mut path, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if path.is_empty() {
            path = line.split(' ').nth(1)?.to_owned();
        }
        if line == "\r\n" {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    Some(path)
}

async fn run(backend: Backend, base: &str, task: Task) -> Run {
    let key = HeaderValue::try_from(format!("Bearer {KEY}")).unwrap();
    let model = "owner/model";
    let mut settings =
        RunSettings::new(ServerTarget::new(backend, base, Some(key)).unwrap(), model);
    settings.timeout = Duration::from_secs(120);
    let workload = Workload::new(task, backend, model).unwrap();
    let mut limits = RunLimits::default();
    limits.max_requests = 1;
    limits.max_seconds = 200.0;
    let scenario = match task {
        Task::TextToText => "D(5,5)",
        _ => "E(5)",
    };
    let scenario = scenario.parse().unwrap();
    let load = LoadSpec::Concurrency(1);
    let spec = workload.run(0, scenario, load, 1, limits).unwrap();
    let (_interrupt, interrupts) = watch::channel(0);
    let run = Runner::new(settings, interrupts).run(spec, &mut ()).await;
    let run = run.unwrap();
    assert_eq!(run.records.len(), 1);
    // Every run can be reported, and the report does not contain the key.
    let results = Results::new(Experiment::default(), std::slice::from_ref(&run));
    let text = format!("{}{results:?}", serde_json::to_string(&run).unwrap());
    assert!(!text.contains("canary"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    run
}

async fn chat(answer: impl Fn(&str, &mut TcpStream) + Clone + Send + 'static) -> RequestRecord {
    let base = server(answer);
    let mut run = run(Backend::Together, &base, Task::TextToText).await;
    run.records.remove(0)
}

#[track_caller]
fn failed(record: &RequestRecord) -> (FailureKind, &str) {
    match &record.outcome {
        Outcome::Failed(failure) => (failure.kind, &failure.message),
        other => panic!("{other:?}"),
    }
}

/// Writes `piece` until the client disconnects.
fn endlessly(socket: &mut TcpStream, head: &str, piece: &[u8]) {
    let pieces = piece.repeat((1 << 20) / piece.len());
    let mut written = socket.write_all(head.as_bytes());
    while written.is_ok() {
        written = socket.write_all(&pieces);
    }
}

#[tokio::test]
async fn endless_bodies_end_the_request() {
    let plain = "HTTP/1.1 500 Oops\r\nconnection: close\r\ncontent-type: text/plain\r\n\r\n";
    let record = chat(move |_, socket| endlessly(socket, plain, b"no ")).await;
    let (kind, message) = failed(&record);
    assert_eq!(kind, FailureKind::Protocol);
    assert_eq!(message, "the response is longer than 256 MiB");

    let base = server(|_, socket: &mut TcpStream| {
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n";
        endlessly(socket, head, b"[[[[");
    });
    let run = run(Backend::Together, &base, Task::TextToEmbeddings).await;
    assert_eq!(failed(&run.records[0]).0, FailureKind::Protocol);
}

#[tokio::test]
async fn endless_streams_end_the_request() {
    let chunk = b"data: {\"choices\":[{\"text\":\"a\"}]}\n\n";
    let record = chat(move |_, socket| endlessly(socket, STREAM, chunk)).await;
    let (kind, message) = failed(&record);
    assert_eq!(kind, FailureKind::Protocol);
    assert_eq!(message, "the response has more than 1000000 chunks");
    assert_eq!(record.arrivals.gaps_us.len(), 999_999);

    // An endless line, and events without tokens.
    let empty = format!("data: {{\"more\":\"{}\"}}\n\n", "x".repeat(10_000));
    for piece in ["x".to_owned(), empty] {
        let record = chat(move |_, socket| endlessly(socket, STREAM, piece.as_bytes())).await;
        assert_eq!(failed(&record).0, FailureKind::Protocol);
    }
}

#[tokio::test]
async fn endless_headers_end_the_request() {
    let record = chat(|_, socket| {
        endlessly(
            socket,
            "HTTP/1.1 200 OK\r\nconnection: close\r\n",
            b"x-more: and more\r\n",
        )
    })
    .await;
    assert_eq!(failed(&record).0, FailureKind::Protocol);
    let record =
        chat(|_, socket| endlessly(socket, "HTTP/1.1 200 OK\r\nconnection: close\r\nx: ", b"y"))
            .await;
    assert_eq!(failed(&record).0, FailureKind::Protocol);
}

#[tokio::test]
async fn a_body_that_is_not_text_or_json_is_a_failure() {
    for body in [
        &b"data: \xff\xfe\n\n"[..],
        b"data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n",
        b"data: {\"choices\":7}\n\n",
        b"\0\0\0\n\n",
        b"",
    ] {
        let record = chat(move |_, socket| {
            let _ = socket.write_all(&[STREAM.as_bytes(), body].concat());
        })
        .await;
        failed(&record);
    }
    let deep = format!("{STREAM}data: {}\n\n", "[".repeat(1 << 20));
    let record = chat(move |_, socket| {
        let _ = socket.write_all(deep.as_bytes());
    })
    .await;
    assert_eq!(failed(&record).0, FailureKind::Protocol);
}

#[tokio::test]
async fn implausible_token_counts_are_ignored() {
    let max = u64::MAX;
    let body = format!(
        "{STREAM}data: {{\"choices\":[{{\"text\":\"a\",\"finish_reason\":\"stop\"}}],\"usage\":{{\
         \"prompt_tokens\":{max},\"completion_tokens\":{max},\"reasoning_tokens\":{max},\
         \"cached_tokens\":{max}}}}}\n\ndata: [DONE]\n\n"
    );
    let record = chat(move |_, socket| {
        let _ = socket.write_all(body.as_bytes());
    })
    .await;
    assert!(record.is_ok(), "{record:?}");
    assert_eq!(record.tokens.output, 1);
    assert_eq!(
        (record.tokens.reasoning, record.tokens.cached_input),
        (None, None)
    );
}

#[tokio::test]
async fn records_contain_no_key_and_no_escape_sequence() {
    for body in [
        format!("{STREAM}data: {{\"error\":{{\"message\":\"\\u001b[2J {KEY}\"}}}}\n\n"),
        format!(
            "{STREAM}data: {{\"choices\":[{{\"text\":\"a\",\"finish_reason\":\"{KEY}\\u001b\"}}]}}\n\n"
        ),
        format!("HTTP/1.1 401 No\r\nconnection: close\r\ncontent-length: 21\r\n\r\n\u{1b}[2J{KEY}"),
        format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: {KEY}\r\ncontent-length: 0\r\n\r\n"
        ),
    ] {
        // Searches the run itself.
        chat(move |_, socket| {
            let _ = socket.write_all(body.as_bytes());
        })
        .await;
    }
}

#[tokio::test]
async fn a_prediction_cannot_choose_another_path() {
    let (seen, paths) = std::sync::mpsc::channel();
    let base = server(move |path: &str, socket: &mut TcpStream| {
        let _ = seen.send(path.to_owned());
        let body = r#"{"id":"../account?x=","status":"starting"}"#;
        let head = format!(
            "HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let _ = socket.write_all((head + body).as_bytes());
    });
    let run = run(Backend::Replicate, &base, Task::TextToText).await;
    let (kind, message) = failed(&run.records[0]);
    assert_eq!(kind, FailureKind::Protocol);
    assert!(message.contains("invalid prediction id"), "{message}");
    let paths: Vec<_> = paths.try_iter().collect();
    assert_eq!(paths, ["/v1/models/owner/model/predictions"]);
}

#[tokio::test]
async fn the_key_is_sent_to_no_other_host() {
    let (seen, authorizations) = std::sync::mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = format!("http://{}/stream", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let head = BufReader::new(&socket).lines().map(Result::unwrap);
        let head: Vec<_> = head.take_while(|line| !line.is_empty()).collect();
        let _ = seen.send(head.join("\n"));
        let body = "event: output\ndata: a\n\nevent: done\ndata: {}\n\n";
        let _ = socket.write_all(format!("{STREAM}{body}").as_bytes());
    });
    let base = server(move |path: &str, socket: &mut TcpStream| {
        let status = if path.ends_with("/p1") {
            "succeeded"
        } else {
            "starting"
        };
        let body = format!(r#"{{"id":"p1","status":"{status}","urls":{{"stream":"{other}"}}}}"#);
        let head = format!(
            "HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let _ = socket.write_all((head + &body).as_bytes());
    });
    let run = run(Backend::Replicate, &base, Task::TextToText).await;
    assert!(run.records[0].is_ok(), "{:?}", run.records[0]);
    let request = authorizations.recv().unwrap();
    assert!(request.starts_with("GET /stream"), "{request}");
    assert!(!request.contains("canary"), "{request}");
}
