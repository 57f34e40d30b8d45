use futures_core::future::BoxFuture;
use futures_util::TryStreamExt;
use http::uri::Authority;
use http::{Request, Response};
use http_body_util::BodyExt;
use llm_provider::{BodyStream, Error, ErrorKind, RequestBody, Result, Transport};
use reqwest::{Body, Client};

use crate::send::host_name;

/// A transport that sends with the caller's [`reqwest::Client`]: its proxies, TLS and default
/// headers apply.
///
/// Build the client with `redirect(Policy::none())`: otherwise a redirect may send the key to
/// another host. The client's timeouts apply in addition to those of the settings.
///
/// ```no_run
/// use llm_http::ReqwestTransport;
/// use llm_provider::Settings;
/// use reqwest::redirect::Policy;
///
/// let client = reqwest::Client::builder().redirect(Policy::none()).build()?;
/// let settings = Settings::new().with_transport(ReqwestTransport::new(client));
/// # Ok::<(), reqwest::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReqwestTransport(Client);

impl ReqwestTransport {
    /// Creates a transport that sends with `client`.
    pub fn new(client: Client) -> Self {
        Self(client)
    }
}

impl From<Client> for ReqwestTransport {
    fn from(client: Client) -> Self {
        Self::new(client)
    }
}

impl Transport for ReqwestTransport {
    fn send(&self, request: Request<RequestBody>) -> BoxFuture<'_, Result<Response<BodyStream>>> {
        let host = request.uri().authority().cloned();
        Box::pin(async move {
            let request = reqwest::Request::try_from(request.map(Body::wrap));
            let request = request.map_err(|error| failed(host.as_ref(), error).with_unsent())?;
            match self.0.execute(request).await {
                Ok(response) => Ok(Response::from(response).map(|body| pieces(body, host))),
                Err(error) => Err(failed(host.as_ref(), error)),
            }
        })
    }
}

fn pieces(body: Body, host: Option<Authority>) -> BodyStream {
    let pieces = body.into_data_stream();
    Box::pin(pieces.map_err(move |error| failed(host.as_ref(), error)))
}

/// The error for a failed request, without the URL, which may grant access.
fn failed(host: Option<&Authority>, error: reqwest::Error) -> Error {
    let host = host_name(host);
    let kind = match error.is_timeout() {
        true => ErrorKind::Timeout,
        false => ErrorKind::Transport,
    };
    let is_connect = error.is_connect();
    let message = match (is_connect, kind) {
        (true, ErrorKind::Timeout) => format!("connecting to {host} timed out"),
        (true, _) => format!("cannot connect to {host}"),
        _ if error.is_body() || error.is_decode() => {
            format!("{host} closed the connection in the middle of its response")
        }
        (_, ErrorKind::Timeout) => format!("{host} did not respond in time"),
        _ => format!("the request to {host} failed"),
    };
    let failed = Error::new(kind, message).with_source(error.without_url());
    if is_connect {
        failed.with_unsent()
    } else {
        failed
    }
}
