use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use http::{Request, Response};
use llm_provider::{Error, ErrorKind, RequestBody, Result, Settings, Transport};
use tracing::field::{Empty, display};
use tracing::{Instrument, debug, debug_span};

use crate::{Body, HttpClient, propagation, with_limit};

/// The transport of `settings`, or else an [`HttpClient`] with their options.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] if `ca_file` cannot be read or contains no certificate, or if
/// `settings` have a transport and also `connect_timeout` or `ca_file`, which would have no effect.
pub fn transport(settings: &Settings) -> Result<Arc<dyn Transport>> {
    let Some(transport) = &settings.transport else {
        return Ok(Arc::new(HttpClient::try_from(settings)?));
    };
    let unused = [
        ("ca_file", settings.ca_file.is_some()),
        ("connect_timeout", settings.connect_timeout.is_some()),
    ];
    match unused.iter().find(|(_, is_set)| *is_set) {
        None => Ok(Arc::clone(transport)),
        Some((name, _)) => {
            let message = format!(
                "{name} has no effect together with a custom transport: configure the transport"
            );
            let error = Error::new(ErrorKind::InvalidRequest, message);
            Err(error.with_param((*name).to_owned()))
        }
    }
}

/// The time limits of one request, and its number for the log.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SendOptions {
    /// The time limit until the head of the response, including connecting.
    pub first_byte: Option<Duration>,
    /// The time limit of each wait for a piece of the body.
    pub idle: Duration,
    /// The number of times that the same request was sent before.
    pub attempt: u32,
}

impl SendOptions {
    /// Creates options for the first attempt, without a limit for the head of the response.
    pub fn new(idle: Duration) -> Self {
        Self {
            first_byte: None,
            idle,
            attempt: 0,
        }
    }

    /// Sets the time limit until the head of the response.
    #[must_use]
    pub fn with_first_byte(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.first_byte = limit.into();
        self
    }

    /// Sets how often the same request was sent before.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }
}

/// Sends a request and waits for the head of the response, whatever its status is.
///
/// The wait is a tracing span `http` at debug level, with method, host, attempt and status. It
/// contains neither the rest of the URL, which may contain a key, nor headers or bodies.
///
/// # Errors
/// Those of the transport, and [`ErrorKind::Timeout`], naming the host only.
pub async fn send(
    transport: &dyn Transport,
    request: Request<impl Into<RequestBody>>,
    options: SendOptions,
) -> Result<Response<Body>> {
    let mut request = request.map(Into::into);
    let host = request.uri().authority().cloned();
    let span = debug_span!(
        "http",
        method = %request.method(),
        host = host_name(host.as_ref()),
        attempt = options.attempt,
        status = Empty,
        error = Empty,
    );
    propagation::inject(&span, request.headers_mut());
    let sent = with_limit(options.first_byte, transport.send(request));
    let response = sent.instrument(span.clone()).await.unwrap_or_else(|| {
        let message = format!("{} did not respond in time", host_name(host.as_ref()));
        Err(Error::new(ErrorKind::Timeout, message))
    });
    match response {
        Ok(response) => {
            span.record("status", response.status().as_u16());
            span.in_scope(|| debug!("response"));
            Ok(response.map(|pieces| Body::new(pieces, host, options.idle)))
        }
        Err(error) => {
            span.record("error", display(error.kind()));
            span.in_scope(|| debug!(error = display(error.kind()), "no response"));
            Err(error)
        }
    }
}

pub(crate) fn host_name(host: Option<&Authority>) -> &str {
    host.map_or("the upstream", Authority::as_str)
}
