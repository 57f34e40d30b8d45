//! An HTTP server on plain sockets: one request per connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use provider_conformance::{Scenario, Upstream};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::upstream::serve;

/// A server that ends with its runtime.
pub(crate) struct Server {
    address: SocketAddr,
    running: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start(scenario: Scenario) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&running);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (scenario, counter) = (scenario.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    counter.fetch_add(1, Ordering::SeqCst);
                    // A client that closes its connection is not an error here.
                    let _ = serve(stream, &scenario).await;
                    counter.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, running }
    }
}

impl Upstream for Server {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }
}

/// The head of a request, and its body as JSON.
pub(crate) async fn read_request(stream: &mut TcpStream) -> std::io::Result<(String, Value)> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8_lossy(&bytes[..end]).into_owned();
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let length = head.lines().find_map(|line| {
        let line = line.to_ascii_lowercase();
        line.strip_prefix("content-length:")?.trim().parse().ok()
    });
    let whole = head.len() + 4 + length.unwrap_or(0);
    while bytes.len() < whole {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let body = serde_json::from_slice(&bytes[head.len() + 4..whole]).unwrap_or_default();
    Ok((head, body))
}

/// Answers with JSON.
pub(crate) async fn answer(stream: &mut TcpStream, status: &str, body: &Value) -> std::io::Result<()> {
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await
}
