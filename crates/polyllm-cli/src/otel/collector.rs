//! [`Collector`]: the HTTP client of the exporters, on the gateway's own transport.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use http::{Request, Response};
use llm_http::HttpClient;
use llm_provider::{Error, ErrorKind, RequestBody, Transport};
use opentelemetry_http::HttpError;
use tokio::runtime::Handle;

/// Sends exports, and logs when they begin to fail and when they work again.
#[derive(Clone, Debug)]
pub(super) struct Collector {
    client: HttpClient,
    /// The exporters run on threads of their own, without a runtime.
    runtime: Handle,
    has_failed: Arc<AtomicBool>,
}

impl Collector {
    /// Creates a client. Call it within a runtime, which it uses.
    pub(super) fn new() -> Self {
        Self {
            client: HttpClient::shared(),
            runtime: Handle::current(),
            has_failed: Arc::default(),
        }
    }

    fn report(&self, sent: &Result<Response<Bytes>, Error>) {
        let problem = match sent {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("the collector answered {}", response.status())),
            Err(error) => Some(error.to_string()),
        };
        let had_failed = self.has_failed.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !had_failed => {
                tracing::warn!(problem, "traces and metrics are not exported");
            }
            None if had_failed => tracing::warn!("traces and metrics are exported again"),
            _ => {}
        }
    }
}

#[async_trait]
impl opentelemetry_http::HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let sent = tokio::time::timeout(LIMIT, send(&client, request)).await;
            sent.unwrap_or_else(|_| {
                let message = "the collector did not answer in time";
                Err(Error::new(ErrorKind::Timeout, message))
            })
        });
        let sent = sent.await?;
        self.report(&sent);
        Ok(sent?)
    }
}

async fn send(client: &HttpClient, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
    let response = client.send(request.map(RequestBody::from)).await?;
    let (head, mut pieces) = response.into_parts();
    let mut body = BytesMut::new();
    while let Some(piece) = pieces.try_next().await? {
        if body.len() + piece.len() > MAX_ANSWER {
            let message = "the collector's answer is too long";
            return Err(Error::new(ErrorKind::UnexpectedBody, message));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Response::from_parts(head, body.freeze()))
}

const LIMIT: Duration = Duration::from_secs(10);
/// The longest answer of a collector, in bytes.
const MAX_ANSWER: usize = 1 << 20;
