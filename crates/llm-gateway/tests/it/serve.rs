//! The server on a socket: disconnecting clients, stopping servers, many clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::support::*;
use llm_gateway::{Config, Gateway, GatewayOptions};
use llm_provider::ApiKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

const HELLO: &str = r#"{"model":"llama","choices":[{"index":0,"delta":{"content":"Hello"}}]}"#;
const ANSWER: &str = r#"{"model":"llama","choices":[]}"#;

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

async fn serve(provider: Arc<Scripted>, grace: Duration) -> Server {
    serve_with(provider, GatewayOptions::new().with_grace(grace)).await
}

async fn serve_with(provider: Arc<Scripted>, options: GatewayOptions) -> Server {
    serve_config(Config::new(vec![deployment(provider)]), options).await
}

async fn serve_config(config: Config, options: GatewayOptions) -> Server {
    let gateway = Gateway::new(config, options);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(gateway.serve(listener, async {
        let _ = stopped.await;
    }));
    Server {
        address,
        stop,
        served,
    }
}

/// Sends a chat request over a raw socket.
async fn send_raw(address: SocketAddr, more: &str) -> TcpStream {
    let body = format!(r#"{{"model":"llama","messages":[{{"role":"user","content":"x"}}]{more}}}"#);
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body.as_bytes()).await.unwrap();
    socket
}

async fn read_until(socket: &mut TcpStream, expected: &str) -> String {
    let mut seen = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&seen).contains(expected) {
            assert_ne!(
                socket.read_buf(&mut seen).await.unwrap(),
                0,
                "closed before {expected}"
            );
        }
    };
    tokio::time::timeout(Duration::from_secs(60), read)
        .await
        .expect("nothing came");
    String::from_utf8(seen).unwrap()
}

#[tokio::test]
async fn a_client_that_disconnects_ends_a_silent_stream_at_once() {
    let provider = Scripted::new([Step::Json(HELLO), Step::Silence]);
    let server = serve(provider.clone(), Duration::ZERO).await;
    let mut socket = send_raw(server.address, r#","stream":true"#).await;
    read_until(&mut socket, "Hello").await;
    provider.until_running(1).await;
    drop(socket);
    provider.until_running(0).await;
}

#[tokio::test]
async fn a_client_that_disconnects_before_the_response_ends_the_call() {
    for more in ["", r#","stream":true"#] {
        let provider = Scripted::new([Step::Silence]);
        let server = serve(provider.clone(), Duration::ZERO).await;
        let socket = send_raw(server.address, more).await;
        provider.until_running(1).await;
        drop(socket);
        provider.until_running(0).await;
    }
}

#[tokio::test]
async fn frames_are_sent_at_once() {
    let gate = Arc::new(Semaphore::new(0));
    let provider = Scripted::new([
        Step::Json(HELLO),
        Step::Until(Arc::clone(&gate)),
        Step::Json(r#"{"model":"llama","choices":[{"index":0,"delta":{"content":"World"}}]}"#),
        Step::Silence,
    ]);
    let server = serve(provider, Duration::ZERO).await;
    let mut socket = send_raw(server.address, r#","stream":true"#).await;
    let seen = read_until(&mut socket, "Hello").await;
    assert!(
        seen.starts_with("HTTP/1.1 200 OK\r\n") && !seen.contains("World"),
        "{seen}"
    );
    gate.close();
    read_until(&mut socket, "World").await;
}

#[tokio::test]
async fn a_stopping_server_lets_requests_end() {
    let provider = Scripted::new([Step::Wait(Duration::from_millis(100)), Step::Json(ANSWER)]);
    let server = serve(provider.clone(), Duration::from_secs(5)).await;
    let mut socket = send_raw(server.address, "").await;
    provider.until_running(1).await;
    server.stop.send(()).unwrap();
    read_until(&mut socket, ANSWER).await;
    server.served.await.unwrap().unwrap();
    assert!(
        TcpStream::connect(server.address).await.is_err(),
        "still listening"
    );
}

#[tokio::test]
async fn a_stopping_server_ends_requests_after_the_grace_and_waits_for_the_cleanup() {
    let provider = Scripted::new([Step::Json(HELLO), Step::Silence]);
    let server = serve(provider.clone(), Duration::from_millis(50)).await;
    let mut socket = send_raw(server.address, r#","stream":true"#).await;
    read_until(&mut socket, "Hello").await;
    let cancel = tokio::time::sleep(Duration::from_millis(100));
    llm_provider::cleanup::spawn(&tokio::runtime::Handle::current(), cancel);
    server.stop.send(()).unwrap();
    server.served.await.unwrap().unwrap();
    assert_eq!(
        provider.running.load(std::sync::atomic::Ordering::SeqCst),
        0
    );
    assert_eq!(llm_provider::cleanup::pending(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_are_served_at_once() {
    let gate = Arc::new(Semaphore::new(0));
    let provider = Scripted::new([Step::Until(Arc::clone(&gate)), Step::Json(ANSWER)]);
    let server = serve(provider.clone(), Duration::from_secs(1)).await;
    let clients: Vec<_> = (0..100)
        .map(|_| {
            tokio::spawn(async move {
                let mut socket = send_raw(server.address, "").await;
                read_until(&mut socket, ANSWER).await;
            })
        })
        .collect();
    // All of them wait at the same time.
    provider.until_running(100).await;
    gate.close();
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(provider.calls.lock().unwrap().len(), 100);
}

#[tokio::test]
async fn invalid_http_does_not_harm_other_clients() {
    let provider = Scripted::new([Step::Json(ANSWER)]);
    let server = serve(provider, Duration::ZERO).await;
    for nonsense in [
        &b"\x16\x03\x01\x02\x00\x01"[..],
        b"GET\r\n\r\n",
        b"\0\0\0\0",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(nonsense).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
    }
    let mut socket = send_raw(server.address, "").await;
    read_until(&mut socket, ANSWER).await;
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_a_stop() {
    let server = serve(Scripted::new([Step::Json(ANSWER)]), Duration::from_secs(60)).await;
    let mut used = send_raw(server.address, "").await;
    read_until(&mut used, ANSWER).await;
    let unused = TcpStream::connect(server.address).await.unwrap();
    server.stop.send(()).unwrap();
    let stopped = tokio::time::timeout(Duration::from_secs(5), server.served).await;
    stopped
        .expect("the server waits for idle connections")
        .unwrap()
        .unwrap();
    drop((used, unused));
}

#[tokio::test]
async fn a_client_that_first_sends_a_body_above_the_limit_gets_the_error() {
    let options = GatewayOptions::new().with_body_limit(300_000);
    let server = serve_with(Scripted::new([Step::Json(ANSWER)]), options).await;
    let filling = "x".repeat(1_000_000);
    let mut socket = send_raw(server.address, &format!(r#","user":"{filling}""#)).await;
    let seen = read_until(&mut socket, "300000 bytes").await;
    assert!(seen.starts_with("HTTP/1.1 413 "), "{seen}");
}

#[tokio::test]
async fn a_client_that_expects_a_continue_does_not_send_a_body_above_the_limit() {
    let options = GatewayOptions::new().with_body_limit(1000);
    let server = serve_with(Scripted::new([Step::Json(ANSWER)]), options).await;
    for (length, expected) in [(999, "HTTP/1.1 100 "), (1001, "HTTP/1.1 413 ")] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let seen = read_until(&mut socket, "\r\n\r\n").await;
        assert!(seen.starts_with(expected), "{seen}");
    }
}

#[tokio::test]
async fn a_client_that_never_reads_is_disconnected_and_its_call_cancelled() {
    let chunk = HELLO.replace("Hello", &"x".repeat(100_000));
    let provider = Scripted::new([Step::Endless(chunk.leak())]);
    let options = GatewayOptions::new().with_write_timeout(Duration::from_millis(100));
    let server = serve_with(provider.clone(), options).await;
    let socket = send_raw(server.address, r#","stream":true"#).await;
    provider.until_running(1).await;
    provider.until_running(0).await;
    drop(socket);
}

/// Sends a head at once and a text byte by byte until the server closes the connection. Returns what
/// the server sent.
async fn drip(address: SocketAddr, head: String, text: String) -> String {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let sent = tokio::spawn(async move {
        if writer.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        for byte in text.as_bytes() {
            if writer.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        std::future::pending().await
    });
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), reader.read_to_end(&mut answer));
    let _ = read.await.expect("the connection stays open");
    sent.abort();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_client_that_sends_single_bytes_is_cut_off_while_others_are_served() {
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\
                content-type: application/json\r\n";
    // Each would take a minute and never pauses.
    let (body, chunks) = (" ".repeat(12_000), "1\r\n \r\n".repeat(2_000));
    for (more, slow, expected) in [
        ("x-slow: ", "x".repeat(12_000), ""),
        ("content-length: 12000\r\n\r\n", body, "HTTP/1.1 408 "),
        (
            "transfer-encoding: chunked\r\n\r\n",
            chunks,
            "HTTP/1.1 408 ",
        ),
    ] {
        let head = format!("{head}{more}");
        let options = GatewayOptions::new()
            .with_header_timeout(Duration::from_secs(2))
            .with_body_idle(Duration::from_millis(500));
        let server = serve_with(Scripted::new([Step::Json(ANSWER)]), options).await;
        let slow = (0..20).map(|_| drip(server.address, head.clone(), slow.clone()));
        let slow = tokio::spawn(futures_util::future::join_all(slow));
        let mut served = 0;
        while !slow.is_finished() {
            let mut socket = send_raw(server.address, "").await;
            read_until(&mut socket, ANSWER).await;
            served += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(served > 0);
        for answer in slow.await.unwrap() {
            assert!(answer.starts_with(expected), "{answer}");
            assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_client_that_closes_its_writing_half_is_treated_as_disconnected() {
    for more in ["", r#","stream":true"#] {
        let provider = Scripted::new([Step::Silence]);
        let server = serve(provider.clone(), Duration::ZERO).await;
        let mut socket = send_raw(server.address, more).await;
        provider.until_running(1).await;
        socket.shutdown().await.unwrap();
        provider.until_running(0).await;
    }
}

#[tokio::test]
async fn every_error_reaches_a_client_that_first_sends_its_whole_body() {
    let body = vec![b' '; 4_000_000];
    let post = "POST /v1/chat/completions";
    let json = "content-type: application/json";
    for (key, line, headers, status) in [
        (Some("sk-1234"), post, json, 401),
        (None, "POST /nowhere", json, 404),
        (None, "DELETE /v1/models", json, 405),
        (None, post, "content-type: text/plain", 415),
        (
            None,
            post,
            "content-type: application/json\r\ncontent-encoding: gzip",
            415,
        ),
        (None, post, "origin: http://evil.example", 403),
        (None, post, json, 400),
    ] {
        let mut config = Config::new(vec![deployment(Scripted::new([]))]);
        config.master_key = key.map(ApiKey::new);
        let server = serve_config(config, GatewayOptions::new()).await;
        for chunked in [false, true] {
            let mut socket = TcpStream::connect(server.address).await.unwrap();
            let length = match chunked {
                true => "transfer-encoding: chunked".to_owned(),
                false => format!("content-length: {}", body.len()),
            };
            let head =
                format!("{line} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n{length}\r\n\r\n");
            socket.write_all(head.as_bytes()).await.unwrap();
            if chunked {
                let size = format!("{:x}\r\n", body.len());
                socket.write_all(size.as_bytes()).await.unwrap();
            }
            let written = socket.write_all(&body).await;
            written.unwrap_or_else(|error| panic!("{status} for {line}: {error}"));
            if chunked {
                socket.write_all(b"\r\n0\r\n\r\n").await.unwrap();
            }
            let seen = read_until(&mut socket, "}}").await;
            assert!(seen.starts_with(&format!("HTTP/1.1 {status} ")), "{seen}");
        }
    }
}

#[tokio::test]
async fn a_rejected_client_that_expects_a_continue_is_not_asked_for_its_body() {
    let server = serve(Scripted::new([]), Duration::ZERO).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /nowhere HTTP/1.1\r\nhost: localhost\r\n\
                content-length: 1000\r\nexpect: 100-continue\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let seen = read_until(&mut socket, "}}").await;
    assert!(seen.starts_with("HTTP/1.1 404 "), "{seen}");
}
