//! Variables of proxies and certificates, which a test can set only for a child process.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use common::{polyllm, run};

const ANSWER: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"by the proxy"},"finish_reason":"stop"}]}"#;

#[test]
fn plain_requests_contain_the_absolute_url() {
    let (address, request) = proxy(|mut stream| {
        let length = ANSWER.len();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json";
        write!(
            stream,
            "{head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{ANSWER}"
        )
        .unwrap();
    });
    let proxy = address.replace("http://", "http://user:word@");
    let mut command = chat_with("http://upstream.invalid/v1");
    let (said, error, status) = run(command.env("HTTP_PROXY", proxy));
    assert_eq!(
        (said.as_str(), error.as_str(), status),
        ("by the proxy\n", "", 0)
    );
    let request = request.join().unwrap();
    let first = "POST http://upstream.invalid/v1/chat/completions HTTP/1.1";
    assert_eq!(request[0], first);
    // user:word
    let authorization = "proxy-authorization: basic dxnlcjp3b3jk";
    assert!(
        request
            .iter()
            .any(|line| line.to_lowercase() == authorization),
        "{request:?}"
    );
}

#[test]
fn tls_requests_use_a_tunnel_without_the_key() {
    let (address, request) = proxy(|mut stream| {
        stream
            .write_all(b"HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
    });
    let (said, error, status) =
        run(chat_with("https://upstream.invalid/v1").env("HTTPS_PROXY", &address));
    assert_eq!((said.as_str(), status), ("", 1));
    assert!(
        error.contains("cannot connect to upstream.invalid"),
        "{error}"
    );
    let request = request.join().unwrap();
    assert_eq!(request[0], "CONNECT upstream.invalid:443 HTTP/1.1");
    assert!(!request.concat().contains("key-of-the-test"), "{request:?}");
}

#[test]
fn excluded_hosts_are_contacted_directly() {
    // Nobody connects to it, so its thread ends with the test.
    let (address, _) = proxy(|_| {});
    let mut command = chat_with("http://upstream.invalid/v1");
    command
        .env("ALL_PROXY", &address)
        .env("NO_PROXY", "upstream.invalid");
    let (said, error, status) = run(&mut command);
    assert_eq!((said.as_str(), status), ("", 1));
    assert!(
        error.contains("cannot connect to upstream.invalid"),
        "{error}"
    );
}

#[test]
fn this_machine_is_contacted_directly() {
    let (address, request) = proxy(|mut stream| {
        let length = ANSWER.len();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json";
        write!(
            stream,
            "{head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{ANSWER}"
        )
        .unwrap();
    });
    let mut command = chat_with(&format!("{address}/v1"));
    let (said, error, _) = run(command.env("ALL_PROXY", "http://upstream.invalid:1"));
    assert_eq!((said.as_str(), error.as_str()), ("by the proxy\n", ""));
    assert_eq!(
        request.join().unwrap()[0],
        "POST /v1/chat/completions HTTP/1.1"
    );
}

#[test]
fn an_error_says_how_to_install_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none.pem");
    std::fs::write(&none, "").unwrap();
    let mut command = chat_with("https://127.0.0.1:1/v1");
    command
        .env("SSL_CERT_FILE", none)
        .env_remove("SSL_CERT_DIR");
    let (_, error, status) = run(&mut command);
    assert_eq!(status, 1);
    let fix = "install the package ca-certificates, or set SSL_CERT_FILE or ca_file";
    assert!(error.contains(fix), "{error}");
}

fn chat_with(base: &str) -> std::process::Command {
    let model = [
        "chat",
        "--no-stream",
        "-m",
        "together_ai/m",
        "--api-base",
        base,
    ];
    let mut command = polyllm(&[&model[..], &["Hello"]].concat());
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(variable);
        command.env_remove(variable.to_lowercase());
    }
    command.env("TOGETHER_API_KEY", "key-of-the-test");
    command
}

/// Starts a server for one connection. Returns its address, and the lines of the received head.
fn proxy(answer: fn(TcpStream)) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let lines = reader.by_ref().lines().map(Result::unwrap);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let name = "content-length: ";
        let mut lengths = head.iter().filter_map(|line| line.strip_prefix(name));
        let length = lengths.next().map_or(0, |length| length.parse().unwrap());
        reader.read_exact(&mut vec![0; length]).unwrap();
        answer(stream);
        head
    });
    (address, server)
}
