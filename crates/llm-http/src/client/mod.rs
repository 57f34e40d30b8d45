//! The default transport: one set of pooled connections for a whole process.

mod connect;

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use http::header::{PROXY_AUTHORIZATION, USER_AGENT};
use http::uri::Authority;
use http::{HeaderValue, Request, Response};
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use llm_provider::{BodyStream, Error, ErrorKind, RequestBody, Result, Settings, Transport};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use self::connect::{Connector, TooSlow};
use crate::send::host_name;

pub(crate) use self::connect::proxy_urls;

/// The connections of a process: HTTP/1.1 and HTTP/2 over TLS by rustls, pooled.
///
/// Redirects are answers like others, so that a key never follows one to another host. The proxy
/// variables of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`) are
/// honoured, and so are those of the certificate store (`SSL_CERT_FILE`, `SSL_CERT_DIR`). Clones
/// share their connections.
#[derive(Clone)]
pub struct HttpClient(Arc<Inner>);

struct Inner {
    options: HttpOptions,
    // Built with the first request: whoever sends none pays for none.
    client: OnceLock<Client>,
}

struct Client {
    connector: Connector,
    pool: legacy::Client<Connector, RequestBody>,
}

/// What distinguishes the connections of one [`HttpClient`] from those of another.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct HttpOptions {
    /// How long connecting may take: looking the name up, TCP, a proxy, TLS.
    pub connect_timeout: Duration,
    /// Certificate authorities (DER) that are trusted beside the system's.
    pub authorities: Vec<CertificateDer<'static>>,
}

impl HttpClient {
    /// The connections with these options. The whole process shares the connections of equal
    /// options.
    pub fn new(options: HttpOptions) -> Self {
        static CLIENTS: OnceLock<Mutex<HashMap<HttpOptions, HttpClient>>> = OnceLock::new();
        let clients = CLIENTS.get_or_init(Mutex::default);
        let mut clients = clients.lock().unwrap_or_else(PoisonError::into_inner);
        let own = || Self::own(options.clone());
        clients.entry(options.clone()).or_insert_with(own).clone()
    }

    /// The connections with default options, which the whole process shares; `default` is the same.
    pub fn shared() -> Self {
        Self::new(HttpOptions::default())
    }

    /// Connections with default options that are shared with clones only.
    ///
    /// A connection ends with the runtime that it was opened on: tests, each of which has a
    /// runtime, need connections of their own.
    pub fn dedicated() -> Self {
        Self::own(HttpOptions::default())
    }

    /// What these connections are made with.
    pub fn options(&self) -> &HttpOptions {
        &self.0.options
    }

    fn own(options: HttpOptions) -> Self {
        let client = OnceLock::new();
        Self(Arc::new(Inner { options, client }))
    }
}

/// The connections of `connect_timeout` and `ca_file`. Equal settings share their connections.
///
/// Reads `ca_file` with blocking I/O: create providers at start, not within a request.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] when `ca_file` holds no certificates.
impl TryFrom<&Settings> for HttpClient {
    type Error = Error;

    fn try_from(settings: &Settings) -> Result<Self> {
        let mut options = HttpOptions::default();
        if let Some(limit) = settings.connect_timeout {
            options = options.with_connect_timeout(limit);
        }
        if let Some(file) = &settings.ca_file {
            options = options.with_authorities_of(file)?;
        }
        Ok(Self::new(options))
    }
}

impl Transport for HttpClient {
    fn send(
        &self,
        mut request: Request<RequestBody>,
    ) -> BoxFuture<'_, Result<Response<BodyStream>>> {
        let client = self.0.client.get_or_init(|| Client::new(&self.0.options));
        let host = request.uri().authority().cloned();
        let proxy_authorization = client.connector.proxy_authorization(request.uri());
        let headers = request.headers_mut();
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(OURSELVES));
        if let Some(authorization) = proxy_authorization {
            headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        let response = client.pool.request(request);
        Box::pin(async move {
            match response.await {
                Ok(response) => {
                    Ok(response.map(|incoming| Box::pin(Pieces { incoming, host }) as _))
                }
                Err(error) => Err(failed(host_name(host.as_ref()), error)),
            }
        })
    }
}

/// The pieces of a response's body.
struct Pieces {
    incoming: Incoming,
    host: Option<Authority>,
}

impl Stream for Pieces {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match ready!(Pin::new(&mut this.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Frames without data are trailers, which nobody needs.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => {
                    let host = host_name(this.host.as_ref());
                    let message =
                        format!("{host} broke the connection in the middle of its answer");
                    let error = Error::new(ErrorKind::Transport, message).with_source(error);
                    return Poll::Ready(Some(Err(error)));
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::shared()
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpClient").field(self.options()).finish()
    }
}

impl HttpOptions {
    /// Trusts the certificate authorities in a PEM file as well.
    ///
    /// Reads the file with blocking I/O: for use at start, not within a request.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the file cannot be read or holds no certificate.
    pub fn with_authorities_of(mut self, file: &Path) -> Result<Self> {
        let wrong = |why: &dyn fmt::Display| {
            let message = format!("no certificates can be read from {}: {why}", file.display());
            Error::new(ErrorKind::InvalidRequest, message).with_param("ca_file".to_owned())
        };
        let before = self.authorities.len();
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))?;
        for certificate in certificates {
            self.authorities
                .push(certificate.map_err(|error| wrong(&error))?);
        }
        if self.authorities.len() == before {
            return Err(wrong(&"there are none"));
        }
        Ok(self)
    }

    /// Limits connecting.
    #[must_use]
    pub fn with_connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }
}

impl Default for HttpOptions {
    /// Ten seconds to connect, and the system's certificate authorities.
    fn default() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            authorities: Vec::new(),
        }
    }
}

impl Client {
    fn new(options: &HttpOptions) -> Self {
        let connector = Connector::new(options);
        let pool = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .http2_adaptive_window(true)
            .build(connector.clone());
        Self { connector, pool }
    }
}

/// Neither message nor source holds the URL, which may be a capability, as Replicate's stream
/// URLs are.
fn failed(host: &str, error: legacy::Error) -> Error {
    let kind = match find::<TooSlow>(&error) {
        Some(_) => ErrorKind::Timeout,
        None => ErrorKind::Transport,
    };
    if error.is_connect() {
        let message = match kind {
            ErrorKind::Timeout => format!("{host} could not be reached in time"),
            _ => format!("cannot connect to {host}"),
        };
        return Error::new(kind, message).with_unsent().with_source(error);
    }
    let message = match find::<io::Error>(&error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionReset) => format!("{host} broke the connection"),
        _ => format!("the request to {host} failed"),
    };
    Error::new(kind, message).with_source(error)
}

fn find<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    std::iter::successors(Some(error), |&error| error.source())
        .find_map(|error| error.downcast_ref())
}

const OURSELVES: &str = concat!("polyllm/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const POOL_IDLE: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_and_default_are_the_shared_connections_and_dedicated_ones_are_not() {
        let is_shared = |client: &HttpClient| Arc::ptr_eq(&client.0, &HttpClient::shared().0);
        assert!(is_shared(&HttpClient::new(HttpOptions::default())));
        assert!(is_shared(&HttpClient::default()));
        assert!(!is_shared(&HttpClient::dedicated()));
        assert!(is_shared(&HttpClient::try_from(&Settings::new()).unwrap()));
    }

    #[test]
    fn the_default_is_that_of_the_declared_setting() {
        let mut declared = llm_provider::COMMON_SETTINGS.iter();
        let declared = declared.find(|setting| setting.name == "connect_timeout");
        let default = llm_provider::SettingValue::Seconds(CONNECT_TIMEOUT);
        assert_eq!(declared.unwrap().default, Some(default));
    }

    #[test]
    fn connections_of_settings_have_their_options() {
        let mut settings = Settings::new();
        settings.connect_timeout = Some(Duration::from_secs(1));
        let client = HttpClient::try_from(&settings).unwrap();
        assert_eq!(client.options().connect_timeout, Duration::from_secs(1));
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let mut settings = Settings::new();
        settings.ca_file = Some("/no/such/file.pem".into());
        let error = HttpClient::try_from(&settings).unwrap_err();
        assert_eq!(error.param(), Some("ca_file"));
        assert!(error.message().contains("/no/such/file.pem"), "{error}");
    }
}
