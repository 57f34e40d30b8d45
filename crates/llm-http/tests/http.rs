//! Connections: TLS with a custom certificate authority, HTTP/2, and the connect timeout.

#![allow(clippy::panic, clippy::unwrap_used, reason = "test helpers")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use std::{env, fs, thread};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use llm_http::{HttpClient, HttpOptions, SendOptions, send};
use llm_provider::{Error, ErrorKind, Result, Settings};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};

/// A TLS server that responds with the HTTP version of the request, and its certificate in PEM.
async fn tls_server(protocols: &[&str]) -> (SocketAddr, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = service_fn(async |request: Request<_>| {
                    let version = format!("{:?}", request.version());
                    Ok::<_, Error>(Response::new(Full::new(Bytes::from(version))))
                });
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (address, cert.pem())
}

/// The file that `ca_file` names; each test has its own.
fn ca_file(name: &str, pem: &str) -> PathBuf {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, pem).unwrap();
    file
}

async fn get(client: &HttpClient, url: String) -> Result<Bytes> {
    let request = Request::get(url).body(Bytes::new()).unwrap();
    let minute = Duration::from_secs(60);
    let response = send(
        client,
        request,
        SendOptions::new(minute).with_first_byte(minute),
    )
    .await?;
    response.into_body().collect(1000).await
}

#[tokio::test]
async fn a_custom_authority_is_trusted_and_http_2_is_used_if_offered() {
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], "HTTP/2.0"),
        (&["http/1.1"], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ] {
        let (address, pem) = tls_server(protocols).await;
        let url = format!("https://localhost:{}/", address.port());
        let mut settings = Settings::new();
        settings.ca_file = Some(ca_file(&format!("ca-{}.pem", protocols.len()), &pem));
        let client = HttpClient::try_from(&settings).unwrap();
        assert_eq!(get(&client, url.clone()).await.unwrap(), version);

        let error = get(&HttpClient::dedicated(), url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport);
        assert!(error.is_unsent());
    }
}

#[tokio::test]
async fn clients_with_the_same_options_share_their_connections() {
    let (_, pem) = tls_server(&[]).await;
    let mut settings = Settings::new();
    settings.ca_file = Some(ca_file("ca-shared.pem", &pem));
    let same = HttpClient::try_from(&settings).unwrap();
    assert_eq!(
        same.options(),
        HttpClient::try_from(&settings).unwrap().options()
    );
    assert_ne!(same.options(), HttpClient::shared().options());
    let empty = ca_file("ca-empty.pem", "");
    let error = HttpOptions::default()
        .with_authorities_of(&empty)
        .unwrap_err();
    assert_eq!(error.param(), Some("ca_file"));
}

/// The system's certificates are in a FIFO, so reading them blocks until a writer opens it.
#[cfg(unix)]
#[test]
fn certificates_are_read_without_blocking_other_tasks() {
    let fifo = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("certificates.fifo");
    let _ = fs::remove_file(&fifo);
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    // The variable must be set when the process starts.
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "reading_certificates", "--ignored"])
        .env("SSL_CERT_FILE", &fifo)
        .env(FIFO, &fifo)
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
}

#[cfg(unix)]
#[test]
#[ignore = "a part of certificates_are_read_without_blocking_other_tasks"]
fn reading_certificates() {
    let fifo = env::var_os(FIFO).unwrap();
    let (sender, receiver) = mpsc::channel();
    let writer = thread::spawn(move || {
        let others_ran = receiver.recv_timeout(Duration::from_secs(20)).is_ok();
        // Unblocks the reader, with an empty file.
        drop(fs::OpenOptions::new().write(true).open(fifo).unwrap());
        others_ran
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = HttpClient::dedicated();
        let request =
            tokio::spawn(async move { get(&client, "https://127.0.0.1:1/".into()).await });
        // Long enough for the task to start reading the certificates.
        tokio::time::sleep(Duration::from_millis(200)).await;
        sender.send(()).unwrap();
        request.await.unwrap().unwrap_err();
    });
    runtime.shutdown_background();
    assert!(
        writer.join().unwrap(),
        "reading certificates blocks the other tasks"
    );
}

/// A listener with a full queue does not accept connections: they hang, as behind a firewall.
#[tokio::test]
async fn connecting_has_a_separate_time_limit() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    let patience = Duration::from_millis(500);
    while let Ok(Ok(stream)) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
        queue.push(stream);
        assert!(queue.len() < 100, "the queue is never full on this system");
    }
    let options = HttpOptions::default().with_connect_timeout(Duration::from_secs(3));
    let client = HttpClient::new(options);
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    let error = get(&client, format!("http://{address}/"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    assert_eq!(
        error.message(),
        format!("connecting to {address} timed out")
    );
    assert!(error.is_unsent());
    assert_eq!(begin.elapsed().as_secs(), 3);
}

/// The variable with the path of the FIFO.
const FIFO: &str = "LLM_HTTP_TEST_FIFO";
