//! The default transport, with connections that are pooled for the whole process.

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

use self::connect::{ConnectTimeout, Connector};
use crate::send::host_name;

pub(crate) use self::connect::proxy_urls;

/// The default transport: hyper and rustls, HTTP/1.1 and HTTP/2, with pooled connections.
///
/// Redirects are returned as responses and not followed, so that a key is never sent to another host.
/// The proxy variables of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`) are
/// honoured, except for `localhost` and loopback addresses, which are contacted directly. So are the
/// variables of the certificate store (`SSL_CERT_FILE`, `SSL_CERT_DIR`). Clones share their connections.
#[derive(Clone)]
pub struct HttpClient(Arc<Inner>);

struct Inner {
    options: HttpOptions,
    // Created for the first request, so that an unused client costs nothing.
    client: OnceLock<Client>,
}

struct Client {
    connector: Connector,
    pool: legacy::Client<Connector, RequestBody>,
}

/// The options of connections. All [`HttpClient`]s with equal options share their connections.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct HttpOptions {
    /// The time limit of connecting: name resolution, TCP, proxy and TLS.
    pub connect_timeout: Duration,
    /// Certificate authorities (DER) to trust besides the system's.
    pub authorities: Vec<CertificateDer<'static>>,
}

impl HttpClient {
    /// Creates a client with these options. It shares its connections with every other client of
    /// the process that has equal options. A forked process opens its own, since the tasks that
    /// drive its parent's do not exist in it.
    pub fn new(options: HttpOptions) -> Self {
        static CLIENTS: OnceLock<Mutex<HashMap<(u32, HttpOptions), HttpClient>>> = OnceLock::new();
        let clients = CLIENTS.get_or_init(Mutex::default);
        let mut clients = clients.lock().unwrap_or_else(PoisonError::into_inner);
        let create = || Self::unshared(options.clone());
        clients
            .entry((std::process::id(), options.clone()))
            .or_insert_with(create)
            .clone()
    }

    /// Creates a client with default options, as `default` does.
    pub fn shared() -> Self {
        Self::new(HttpOptions::default())
    }

    /// Creates a client with default options that shares its connections only with its clones.
    ///
    /// A connection ends with the runtime on which it was opened. Tests have a runtime each, so they
    /// need dedicated clients.
    pub fn dedicated() -> Self {
        Self::unshared(HttpOptions::default())
    }

    /// The options of the connections.
    pub fn options(&self) -> &HttpOptions {
        &self.0.options
    }

    fn unshared(options: HttpOptions) -> Self {
        let client = OnceLock::new();
        Self(Arc::new(Inner { options, client }))
    }
}

/// Creates a client from `connect_timeout` and `ca_file`.
///
/// Reads `ca_file` with blocking I/O: create providers at startup, not within a request.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] if `ca_file` cannot be read or contains no certificate.
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
            .or_insert(HeaderValue::from_static(OUR_USER_AGENT));
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
                    // Frames without data are trailers, which are ignored.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => {
                    let host = host_name(this.host.as_ref());
                    let message =
                        format!("{host} closed the connection in the middle of its response");
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
    /// Also trusts the certificate authorities in a PEM file.
    ///
    /// Reads the file with blocking I/O: call it at startup, not within a request.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if the file cannot be read or contains no certificate.
    pub fn with_authorities_of(mut self, file: &Path) -> Result<Self> {
        let wrong = |why: &dyn fmt::Display| {
            let message = format!("cannot read certificates from {}: {why}", file.display());
            Error::new(ErrorKind::InvalidRequest, message).with_param("ca_file".to_owned())
        };
        let before = self.authorities.len();
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))?;
        for certificate in certificates {
            self.authorities
                .push(certificate.map_err(|error| wrong(&error))?);
        }
        if self.authorities.len() == before {
            return Err(wrong(&"it contains no certificate"));
        }
        Ok(self)
    }

    /// Sets the time limit of connecting.
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

/// The error for a failed request. Neither its message nor its source contains the URL, which may
/// grant access, as Replicate's stream URLs do.
fn failed(host: &str, error: legacy::Error) -> Error {
    let kind = match find::<ConnectTimeout>(&error) {
        Some(_) => ErrorKind::Timeout,
        None => ErrorKind::Transport,
    };
    if error.is_connect() {
        let message = match kind {
            ErrorKind::Timeout => format!("connecting to {host} timed out"),
            _ => format!("cannot connect to {host}"),
        };
        return Error::new(kind, message).with_unsent().with_source(error);
    }
    let message = match find::<io::Error>(&error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionReset) => format!("{host} reset the connection"),
        _ => format!("the request to {host} failed"),
    };
    Error::new(kind, message).with_source(error)
}

fn find<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    std::iter::successors(Some(error), |&error| error.source())
        .find_map(|error| error.downcast_ref())
}

const OUR_USER_AGENT: &str = concat!("polyllm/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const POOL_IDLE: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dedicated_clients_have_separate_connections() {
        let is_shared = |client: &HttpClient| Arc::ptr_eq(&client.0, &HttpClient::shared().0);
        assert!(is_shared(&HttpClient::new(HttpOptions::default())));
        assert!(is_shared(&HttpClient::default()));
        assert!(!is_shared(&HttpClient::dedicated()));
        assert!(is_shared(&HttpClient::try_from(&Settings::new()).unwrap()));
    }

    #[test]
    fn the_default_equals_that_of_the_declared_setting() {
        let mut declared = llm_provider::COMMON_SETTINGS.iter();
        let declared = declared.find(|setting| setting.name == "connect_timeout");
        let default = llm_provider::SettingValue::Seconds(CONNECT_TIMEOUT);
        assert_eq!(declared.unwrap().default, Some(default));
    }

    #[test]
    fn the_connect_timeout_of_settings_is_used() {
        let mut settings = Settings::new();
        settings.connect_timeout = Some(Duration::from_secs(1));
        let client = HttpClient::try_from(&settings).unwrap();
        assert_eq!(client.options().connect_timeout, Duration::from_secs(1));
    }

    #[test]
    fn the_error_names_a_file_that_cannot_be_read() {
        let mut settings = Settings::new();
        settings.ca_file = Some("/no/such/file.pem".into());
        let error = HttpClient::try_from(&settings).unwrap_err();
        assert_eq!(error.param(), Some("ca_file"));
        assert!(error.message().contains("/no/such/file.pem"), "{error}");
    }
}
