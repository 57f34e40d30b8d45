//! Connections: HTTP/2, TLS, and their limits.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use llm_gateway::{Config, Gateway, GatewayOptions, Tls, TlsFiles};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::*;

const REPLY: &str = r#"{"model":"llama","choices":[]}"#;
const HELLO: &str = r#"{"model":"llama","choices":[{"index":0,"delta":{"content":"Hello"}}]}"#;

async fn start(provider: Arc<Scripted>, options: GatewayOptions) -> SocketAddr {
    let gateway = Gateway::new(Config::new(vec![deployment(provider)]), options);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(gateway.serve(listener, std::future::pending()));
    address
}

async fn http2<S>(socket: S) -> SendRequest<Full<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
    let (client, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    client
}

async fn chat(client: &mut SendRequest<Full<Bytes>>, more: &str) -> Response<Incoming> {
    let body = format!(r#"{{"model":"llama","messages":[{{"role":"user","content":"x"}}]{more}}}"#);
    let request = Request::post("http://localhost/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    client.ready().await.unwrap();
    client.send_request(request).await.unwrap()
}

async fn body(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn http2_is_served_without_tls_to_clients_that_begin_with_it() {
    let provider = Scripted::new([Step::Json(HELLO)]);
    let address = start(provider, GatewayOptions::new()).await;
    let mut client = http2(TcpStream::connect(address).await.unwrap()).await;
    // Several requests on one connection.
    for _ in 0..2 {
        let response = chat(&mut client, "").await;
        assert_eq!(response.status(), 200);
        assert!(body(response).await.contains("Hello"));
        let response = chat(&mut client, r#","stream":true"#).await;
        assert!(body(response).await.ends_with("data: [DONE]\n\n"));
    }
}

#[tokio::test]
async fn a_client_that_resets_its_http2_stream_cancels_only_its_own_call() {
    let gate = Arc::new(Semaphore::new(0));
    let provider = Scripted::new([Step::Json(HELLO), Step::Until(Arc::clone(&gate))]);
    let address = start(Arc::clone(&provider), GatewayOptions::new()).await;
    let mut client = http2(TcpStream::connect(address).await.unwrap()).await;
    let first = chat(&mut client, r#","stream":true"#).await;
    let second = chat(&mut client, r#","stream":true"#).await;
    provider.until_running(2).await;
    drop(first);
    provider.until_running(1).await;
    gate.close();
    assert!(body(second).await.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn an_http2_client_that_does_not_read_is_disconnected() {
    let provider = Scripted::new([Step::Endless(HELLO)]);
    let options = GatewayOptions::new().with_write_timeout(Duration::from_millis(300));
    let address = start(Arc::clone(&provider), options).await;
    let mut client = http2(TcpStream::connect(address).await.unwrap()).await;
    // The connection is read, the stream is not.
    let response = chat(&mut client, r#","stream":true"#).await;
    provider.until_running(1).await;
    provider.until_running(0).await;
    drop(response);
}

#[tokio::test]
async fn more_requests_than_allowed_are_rejected_and_told_when_to_try_again() {
    let gate = Arc::new(Semaphore::new(0));
    let provider = Scripted::new([Step::Until(Arc::clone(&gate)), Step::Json(REPLY)]);
    let options = GatewayOptions::new().with_max_requests(1);
    let address = start(Arc::clone(&provider), options).await;
    let mut client = http2(TcpStream::connect(address).await.unwrap()).await;
    let mut other = client.clone();
    let running = tokio::spawn(async move { chat(&mut other, "").await });
    provider.until_running(1).await;
    let rejected = chat(&mut client, "").await;
    assert_eq!(rejected.status(), 503);
    assert_eq!(rejected.headers()["retry-after"], "1");
    assert!(body(rejected).await.contains(r#""code":"overloaded""#));
    gate.close();
    assert_eq!(running.await.unwrap().status(), 200);
    assert_eq!(chat(&mut client, "").await.status(), 200);
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_a_place() {
    let provider = Scripted::new([Step::Json(REPLY)]);
    let address = start(provider, GatewayOptions::new().with_max_connections(1)).await;
    let first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    let request =
        b"GET /health/liveliness HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    second.write_all(request).await.unwrap();
    let mut answer = String::new();
    let wait = Duration::from_millis(200);
    let early = tokio::time::timeout(wait, second.read_to_string(&mut answer)).await;
    assert!(early.is_err(), "{answer}");
    drop(first);
    second.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// A certificate for `localhost` in files.
struct Certificate {
    folder: TempDir,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let der = Self::write(folder.path());
        Self { folder, der }
    }

    fn write(folder: &Path) -> CertificateDer<'static> {
        let names = ["localhost".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
        fs::write(folder.join("key.pem"), signing_key.serialize_pem()).unwrap();
        cert.der().clone()
    }

    fn files(&self) -> TlsFiles {
        let folder = self.folder.path();
        TlsFiles::new(folder.join("cert.pem"), folder.join("key.pem"))
    }
}

/// Connects with TLS, trusts only `authority`, and offers these protocols.
async fn connect(
    address: SocketAddr,
    authority: &CertificateDer<'static>,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let socket = TcpStream::connect(address).await.unwrap();
    connector.connect(name, socket).await
}

#[tokio::test]
async fn tls_serves_the_version_of_http_that_the_client_chooses() {
    let certificate = Certificate::new();
    let tls = Tls::load(certificate.files()).unwrap();
    let provider = Scripted::new([Step::Json(HELLO)]);
    let address = start(provider, GatewayOptions::new().with_tls(tls)).await;

    let socket = connect(address, &certificate.der, &[b"h2", b"http/1.1"])
        .await
        .unwrap();
    assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = http2(socket).await;
    assert_eq!(chat(&mut client, "").await.status(), 200);

    for protocols in [&[][..], &[&b"http/1.1"[..]]] {
        let mut socket = connect(address, &certificate.der, protocols).await.unwrap();
        let request =
            b"GET /health/liveliness HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        socket.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }

    // A client without TLS.
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
}

#[tokio::test]
async fn a_new_certificate_serves_new_connections_and_a_bad_one_none() {
    let certificate = Certificate::new();
    let tls = Tls::load(certificate.files()).unwrap();
    let provider = Scripted::new([Step::Json(REPLY)]);
    let address = start(provider, GatewayOptions::new().with_tls(tls.clone())).await;
    let mut old = http2(connect(address, &certificate.der, &[b"h2"]).await.unwrap()).await;

    let next = Certificate::write(certificate.folder.path());
    tls.reload().unwrap();
    assert!(connect(address, &certificate.der, &[]).await.is_err());
    connect(address, &next, &[]).await.unwrap();
    assert_eq!(chat(&mut old, "").await.status(), 200);

    let files = certificate.files();
    let other = Certificate::new();
    fs::copy(other.files().key, &files.key).unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(
        error.contains("cert.pem") && error.contains("key.pem"),
        "{error}"
    );
    fs::write(&files.key, "nothing\n").unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(
        error.contains("key.pem has no private key: expected"),
        "{error}"
    );
    fs::write(&files.certificate, "").unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(
        error.contains("cert.pem has no certificate: expected"),
        "{error}"
    );
    fs::remove_file(&files.certificate).unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("cannot read the certificate"), "{error}");
    connect(address, &next, &[]).await.unwrap();
}
