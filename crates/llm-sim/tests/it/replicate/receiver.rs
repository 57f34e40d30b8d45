//! A receiver of webhooks.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A received webhook.
pub(super) struct Received {
    pub(super) at: Instant,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("text")
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(super) fn status(&self) -> String {
        self.json()["status"].as_str().expect("a status").to_owned()
    }
}

pub(super) struct Receiver {
    pub(super) url: String,
    received: mpsc::UnboundedReceiver<Received>,
}

impl Receiver {
    /// Responds with these statuses in turn, then with 200.
    pub(super) async fn start(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let statuses = Arc::new(Mutex::new(VecDeque::from(statuses.to_vec())));
        let (sender, received) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (statuses, sender) = (Arc::clone(&statuses), sender.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let status = statuses.lock().expect("no panic").pop_front();
                    let sender = sender.clone();
                    async move {
                        let (parts, body) = request.into_parts();
                        let received = Received {
                            at: Instant::now(),
                            path: parts.uri.to_string(),
                            headers: parts.headers,
                            body: body.collect().await.expect("a whole body").to_bytes(),
                        };
                        sender.send(received).expect("a test that listens");
                        let answer = Response::builder().status(status.unwrap_or(200));
                        Ok::<_, Infallible>(
                            answer.body(Full::<Bytes>::default()).expect("an answer"),
                        )
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
            }
        });
        Self {
            url: format!("http://{address}/hook?x=1"),
            received,
        }
    }

    pub(super) async fn next(&mut self) -> Received {
        self.received.recv().await.expect("a webhook")
    }

    /// All webhooks up to the end of a prediction.
    pub(super) async fn until_the_end(&mut self) -> Vec<Received> {
        let mut all = Vec::new();
        loop {
            let one = self.next().await;
            let ended = !["starting", "processing"].contains(&one.status().as_str());
            all.push(one);
            if ended {
                return all;
            }
        }
    }

    pub(super) fn is_empty(&mut self) -> bool {
        self.received.try_recv().is_err()
    }
}
