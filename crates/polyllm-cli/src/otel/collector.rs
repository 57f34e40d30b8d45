//! [`Collector`]: the HTTP client of the exporters, on the gateway's own transport.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use llm_http::HttpClient;
use llm_provider::Error;
use opentelemetry_http::HttpError;
use tokio::runtime::Handle;

use crate::exchange::exchange;

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
        let sent = async move { exchange(&client, request).await };
        let sent = self.runtime.spawn(sent);
        let sent = sent.await?;
        self.report(&sent);
        Ok(sent?)
    }
}
