//! Ten thousand malformed requests: the gateway neither panics nor hangs, answers what is complete, and
//! shows no key.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use fastrand::Rng;
use llm_sim::{Sim, SimOptions};
use serde_json::json;

use super::upstream::upstream;
use super::{File, Gateway};

const REQUESTS: u64 = 10_000;
const MASTER: &str = "sk-master-of-the-malformed";
const ACCOUNT: &str = "account-key-of-the-upstream";

#[test]
fn malformed_requests_neither_harm_the_gateway_nor_show_a_key() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sim = runtime.block_on(Sim::start(SimOptions::default())).unwrap();
    let base = sim.together_url();
    let text = format!(
        "model_list:\n  - model_name: alpha\n    litellm_params:\n      \
         model: together_ai/acme/turbo\n      api_key: {ACCOUNT}\n      api_base: {base}\n\
         general_settings:\n  master_key: {MASTER}\n"
    );
    let file = File::new("config.yaml", &text);
    let mut gateway = Gateway::start(&["--config", file.path()]);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, SeqCst);
                    if seed >= REQUESTS {
                        return;
                    }
                    check(&gateway.address, seed);
                }
            });
        }
    });
    assert!(gateway.child.try_wait().unwrap().is_none(), "it has ended");
    let body = json!({ "model": "alpha", "messages": [{ "role": "user", "content": "x" }] });
    let line = "POST /v1/chat/completions";
    let (status, answer) = gateway.send_with(MASTER, line, &body.to_string());
    assert_eq!(status, 200, "{answer}");
    let metrics = exchange(&gateway.address, &whole("GET /metrics", "", "")).unwrap();
    let running = metrics
        .lines()
        .find(|line| line.starts_with("polyllm_deployment_in_flight{"));
    assert!(
        running.is_some_and(|line| line.ends_with(" 0")),
        "{running:?}"
    );
    let log = gateway.log.lock().unwrap().clone();
    for unwanted in ["panicked", MASTER, ACCOUNT] {
        assert!(!log.contains(unwanted), "{unwanted}: {log}");
    }
}

/// Sends the malformed request of a seed, and checks the answer.
fn check(address: &str, seed: u64) {
    let mut random = Rng::with_seed(seed);
    let (request, is_complete) = match random.bool() {
        true => (malformed_body(&mut random), true),
        false => (malformed_http(&mut random), false),
    };
    let answer = match is_complete {
        true => exchange(address, &request).unwrap_or_else(|| panic!("seed {seed}: no answer")),
        false => glance(address, &request),
    };
    for secret in [MASTER, ACCOUNT] {
        assert!(!answer.contains(secret), "seed {seed}: {answer}");
    }
    if is_complete {
        let status: u16 = answer[9..12].parse().unwrap();
        assert!((200..500).contains(&status), "seed {seed}: {answer}");
    } else if let Some(status) = answer.get(9..12) {
        assert!(!status.starts_with('5'), "seed {seed}: {answer}");
    }
}

fn whole(line: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {MASTER}\r\n{headers}\
         content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    request.into_bytes()
}

const PATHS: [&str; 12] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/rerank",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/responses",
    "/key/generate",
    "/key/update",
    "/key/delete",
    "/user/new",
    "/team/update",
];

/// Characters that mean something in JSON, or nothing.
const HOSTILE: [char; 14] = [
    '{', '}', '[', ']', '"', ',', ':', '\\', '\0', '\u{1}', 'é', '\u{202e}', '-', 'e',
];

/// A request with a correct frame and a wrong body.
fn malformed_body(random: &mut Rng) -> Vec<u8> {
    let good = json!({
        "model": "alpha", "messages": [{ "role": "user", "content": "Hello" }], "prompt": "x",
        "input": ["x", { "role": "user", "content": [{ "type": "input_text", "text": "x" }] }],
        "query": "x", "documents": ["x"], "max_tokens": 5, "stream": random.bool(), "key": "sk-x",
        "tools": [{ "type": "function", "function": { "name": "f", "parameters": {} } }],
        "max_budget": 1.5, "models": ["alpha"], "duration": "1h", "user_id": "u", "metadata": {},
    });
    let mut text = good.to_string();
    for _ in 0..random.usize(1..4) {
        let at = (0..=random.usize(0..=text.len()))
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap();
        match random.u8(0..7) {
            0 => text.truncate(at),
            1 => text.insert(at, random.choice(HOSTILE).unwrap()),
            2 => text.insert_str(at, &"[".repeat(random.usize(1..3_000))),
            3 => text.insert_str(at, "\\ud800"),
            4 => {
                let word = random
                    .choice(["\"Hello\"", "5", "true", "\"alpha\"", "\"user\""])
                    .unwrap();
                let other = random
                    .choice([
                        "null",
                        "-1",
                        "1e999",
                        "18446744073709551616",
                        "[[]]",
                        "{}",
                        "\"\"",
                    ])
                    .unwrap();
                text = text.replacen(word, other, random.usize(1..4));
            }
            5 => text = text.repeat(2),
            _ => text.insert_str(at, &"9".repeat(random.usize(1..400))),
        }
    }
    let path = random.choice(PATHS).unwrap();
    whole(&format!("POST {path}"), "", &text)
}

/// A request whose frame is wrong: perhaps it never ends.
fn malformed_http(random: &mut Rng) -> Vec<u8> {
    let headers = random
        .choice([
            "transfer-encoding: chunked\r\n",
            "content-length: 5\r\n",
            "content-length: -1\r\n",
            "content-length: 99999999999999999999\r\n",
            "transfer-encoding: chunked, identity\r\n",
            "transfer-encoding : chunked\r\n",
            "content-encoding: gzip\r\n",
            "expect: 100-continue\r\n",
            "upgrade: h2c\r\nconnection: upgrade\r\n",
            "x: \u{1}\r\n",
            " folded: yes\r\n",
            "authorization: Basic \u{e9}\r\n",
            "",
        ])
        .unwrap();
    let line = random
        .choice([
            "POST /v1/chat/completions",
            "POST  /v1/chat/completions",
            "GET http://[::1/v1/models",
            "OPTIONS *",
            "CONNECT localhost:1",
            "GET /%ff%00/../../etc/passwd",
            "\u{e9} /",
            "PRI *",
        ])
        .unwrap();
    let mut request = whole(line, headers, r#"{"model":"alpha"}"#);
    for _ in 0..random.usize(0..4) {
        let at = random.usize(0..request.len());
        match random.u8(0..5) {
            0 => request[at] = random.u8(..),
            1 => request.truncate(at.max(1)),
            2 => drop(request.remove(at)),
            3 => request.insert(at, b"\r\n\0: \x16"[random.usize(0..6)]),
            _ => {
                let long = vec![b'a'; random.usize(1..20_000)];
                request.splice(at..at, long);
            }
        }
        if request.is_empty() {
            request.push(0);
        }
    }
    request
}

/// The whole answer; `None` without one within 10 s.
fn exchange(address: &str, request: &[u8]) -> Option<String> {
    let mut socket = TcpStream::connect(address).ok()?;
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    socket.write_all(request).ok()?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).ok()?;
    (answer.len() > 12).then(|| String::from_utf8_lossy(&answer).into_owned())
}

/// What is answered at once: the server may wait for the rest of the request.
fn glance(address: &str, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    // The server may close the connection before it has read everything.
    let _ = socket.write_all(request);
    let mut answer = vec![0; 4096];
    let read = socket.read(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

/// A request that hides in another one is not served: the gateway answers once and closes.
#[test]
fn a_request_whose_length_is_ambiguous_smuggles_no_other_one() {
    let gateway = Gateway::start(&[]);
    let hidden = "GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let chunked = "transfer-encoding: chunked\r\n";
    for (headers, body) in [
        (
            format!("content-length: 4\r\n{chunked}"),
            format!("0\r\n\r\n{hidden}"),
        ),
        (
            format!("{chunked}content-length: 5\r\n"),
            format!("0\r\n\r\n{hidden}"),
        ),
        (
            "content-length: 2\r\ncontent-length: 60\r\n".to_owned(),
            format!("{{}}{hidden}"),
        ),
        (
            format!("{chunked}transfer-encoding: identity\r\n"),
            format!("0\r\n\r\n{hidden}"),
        ),
        (
            "transfer-encoding: \u{b}chunked\r\n".to_owned(),
            format!("0\r\n\r\n{hidden}"),
        ),
    ] {
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\
             content-type: application/json\r\n{headers}\r\n{body}"
        );
        let mut socket = TcpStream::connect(&gateway.address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = socket.read(&mut buffer) {
            answer.extend_from_slice(&buffer[..read]);
        }
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            !answer.contains("\"object\":\"list\""),
            "{headers:?}: {answer}"
        );
        assert!(
            answer.matches("HTTP/1.1 ").count() <= 1,
            "{headers:?}: {answer}"
        );
    }
}

#[test]
fn a_client_chooses_neither_the_upstream_nor_its_key() {
    let reply = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[]}"#;
    let base = upstream(200, "application/json", reply);
    let text = super::config("alpha").replace("http://127.0.0.1:1", &base);
    let file = File::new("config.yaml", &text);
    let gateway = Gateway::start(&["--config", file.path()]);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let url = format!("http://{}/v1", other.local_addr().unwrap());
    let body = json!({
        "model": "alpha", "messages": [{ "role": "user", "content": "x" }],
        "api_base": url, "base_url": url, "api_key": "other", "custom_llm_provider": "openai",
        "user_config": { "model_list": [{ "litellm_params": { "api_base": url } }] },
    });
    let (status, answer) = gateway.send("POST /v1/chat/completions", &body.to_string());
    assert_eq!((status, &answer["id"]), (200, &json!("1")), "{answer}");
    let accepted = other.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(accepted, Err(ErrorKind::WouldBlock));
}
