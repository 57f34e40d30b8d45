use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use http::{Request, Response};
use llm_provider::{Error, ErrorKind, RequestBody, Result, Settings, Transport};

use crate::{Body, HttpClient, with_limit};

/// The transport of `settings`, or else the [`HttpClient`] that they ask for.
///
/// # Errors
/// Those of [`HttpClient::of`], and [`ErrorKind::InvalidRequest`] where `settings` have a transport
/// and also `connect_timeout` or `ca_file`, which only the transport itself can follow.
pub fn transport(settings: &Settings) -> Result<Arc<dyn Transport>> {
    let Some(transport) = &settings.transport else {
        return Ok(Arc::new(HttpClient::of(settings)?));
    };
    let unused = [
        ("ca_file", settings.ca_file.is_some()),
        ("connect_timeout", settings.connect_timeout.is_some()),
    ];
    match unused.iter().find(|(_, is_set)| *is_set) {
        None => Ok(Arc::clone(transport)),
        Some((name, _)) => {
            let message = format!(
                "{name} has no effect with a transport of your own: configure the transport"
            );
            let error = Error::new(ErrorKind::InvalidRequest, message);
            Err(error.with_param((*name).to_owned()))
        }
    }
}

/// Sends a request and waits for the head of the response, whatever its status is.
///
/// `first_byte` limits that wait, connecting included, and `idle` each wait for a piece of the
/// body.
///
/// # Errors
/// Those of the transport, and [`ErrorKind::Timeout`], naming the host only.
pub async fn send(
    transport: &dyn Transport,
    request: Request<impl Into<RequestBody>>,
    first_byte: Option<Duration>,
    idle: Duration,
) -> Result<Response<Body>> {
    let request = request.map(Into::into);
    let host = request.uri().authority().cloned();
    match with_limit(first_byte, transport.send(request)).await {
        Some(response) => Ok(response?.map(|pieces| Body::new(pieces, host, idle))),
        None => {
            let message = format!("{} did not answer in time", host_name(host.as_ref()));
            Err(Error::new(ErrorKind::Timeout, message))
        }
    }
}

pub(crate) fn host_name(host: Option<&Authority>) -> &str {
    host.map_or("the upstream", Authority::as_str)
}
