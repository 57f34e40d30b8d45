//! Requirements that every transport meets.

#![allow(clippy::unwrap_used, reason = "test helpers")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response, StatusCode};
use llm_http::{HttpClient, MemoryTransport, SendOptions, send, transport};
use llm_provider::{Error, ErrorKind, Settings, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Every transport that uses sockets, by name.
fn on_sockets() -> Vec<(&'static str, Arc<dyn Transport>)> {
    vec![
        ("hyper", Arc::new(HttpClient::dedicated())),
        #[cfg(feature = "reqwest")]
        ("reqwest", Arc::new(client_with_header())),
    ]
}

/// A `reqwest` client with a default header.
#[cfg(feature = "reqwest")]
fn client_with_header() -> llm_http::ReqwestTransport {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-own", http::HeaderValue::from_static("yes"));
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .default_headers(headers)
        .build();
    client.unwrap().into()
}

/// A server that answers every connection with `response`, then keeps it open (`hang`) or closes it.
/// `{}` in `response` is replaced by the request.
async fn server(response: &'static str, hang: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let text = response.replace("{}", &request(&mut stream).await);
                stream.write_all(text.as_bytes()).await.unwrap();
                if hang {
                    let _ = stream.read(&mut [0]).await;
                }
            });
        }
    });
    address
}

/// Reads a request, which ends with its body.
async fn request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(BODY.as_bytes()) {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
    }
    String::from_utf8(request).unwrap()
}

fn post(address: SocketAddr) -> Request<Bytes> {
    let url = format!("http://{address}/v1/x?secret=1");
    Request::post(url).body(BODY.into()).unwrap()
}

/// The body of every request.
const BODY: &str = "prompt";
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_request_arrives_and_any_status_is_a_response() {
    let response = "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\nconnection: close\r\n\r\n{}";
    let address = server(response, false).await;
    for (name, transport) in on_sockets() {
        let response = send(&*transport, post(address), SendOptions::new(MINUTE)).await;
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::FOUND, "{name}");
        let seen = response.into_body().collect(10_000).await.unwrap();
        let seen = String::from_utf8_lossy(&seen).to_lowercase();
        assert!(
            seen.starts_with("post /v1/x?secret=1 http/1.1\r\n"),
            "{name}: {seen}"
        );
        assert!(seen.contains("\r\ncontent-length: 6\r\n"), "{name}: {seen}");
        assert_eq!(
            seen.contains("x-own: yes"),
            name == "reqwest",
            "{name}: {seen}"
        );
    }
}

/// The error names the host and nothing else of the URL.
fn assert_names_host(name: &str, error: &Error, address: SocketAddr) {
    assert!(
        error.message().contains(&address.to_string()),
        "{name}: {error}"
    );
    assert!(
        !format!("{error:?}").contains("secret"),
        "{name}: {error:?}"
    );
}

#[tokio::test]
async fn a_failed_connection_is_an_unsent_error() {
    // A bound socket keeps its port and refuses connections until it listens.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    for (name, transport) in on_sockets() {
        let error = send(&*transport, post(address), SendOptions::new(MINUTE)).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport, "{name}");
        assert!(error.is_unsent(), "{name}");
        assert_names_host(name, &error, address);
    }
}

#[tokio::test]
async fn a_truncated_body_is_an_error() {
    let address = server(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\nshort",
        false,
    )
    .await;
    for (name, transport) in on_sockets() {
        let response = send(&*transport, post(address), SendOptions::new(MINUTE)).await;
        let error = response
            .unwrap()
            .into_body()
            .collect(100)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport, "{name}");
        assert!(!error.is_unsent(), "{name}");
        assert_names_host(name, &error, address);
    }
}

#[tokio::test]
async fn silence_is_a_timeout_before_the_head_and_in_the_body() {
    let short = Duration::from_millis(50);
    let silent = server("", true).await;
    let begun = server(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\nbegun",
        true,
    )
    .await;
    for (name, transport) in on_sockets() {
        let error = send(
            &*transport,
            post(silent),
            SendOptions::new(MINUTE).with_first_byte(short),
        )
        .await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{name}");
        assert_names_host(name, &error, silent);

        let response = send(&*transport, post(begun), SendOptions::new(short))
            .await
            .unwrap();
        let mut body = response.into_body();
        assert_eq!(body.next().await.unwrap().unwrap(), "begun", "{name}");
        let error = body.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{name}");
        assert_names_host(name, &error, begun);
        assert!(body.next().await.is_none(), "{name}");
    }
}

#[test]
fn settings_without_effect_on_a_custom_transport_are_errors() {
    let memory = MemoryTransport::new(|_| Ok(Response::new(Bytes::new())));
    let mut settings = Settings::new().with_transport(memory);
    assert!(transport(&settings).is_ok());
    settings.connect_timeout = Some(MINUTE);
    let error = transport(&settings).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(error.param(), Some("connect_timeout"));
}
