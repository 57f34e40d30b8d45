//! HTTP to upstreams: one set of pooled connections for a whole process.

mod base_url;
mod body;
mod connect;
mod request_body;

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::header::{PROXY_AUTHORIZATION, USER_AGENT};
use http::uri::Authority;
use http::{HeaderValue, Request, Response};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use self::connect::{Connector, TooSlow};
use crate::{Error, ErrorKind, Result};

pub use self::base_url::BaseUrl;
pub use self::body::Body;
pub use self::request_body::RequestBody;

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
    /// The connections that everybody in this process shares.
    pub fn shared() -> Self {
        Self::with_options(HttpOptions::default())
    }

    /// Connections that are shared by all of this process who want the same.
    pub fn with_options(options: HttpOptions) -> Self {
        static CLIENTS: OnceLock<Mutex<HashMap<HttpOptions, HttpClient>>> = OnceLock::new();
        let clients = CLIENTS.get_or_init(Mutex::default);
        let mut clients = clients.lock().unwrap_or_else(PoisonError::into_inner);
        let own = || Self::own(options.clone());
        clients.entry(options.clone()).or_insert_with(own).clone()
    }

    /// Connections of one's own.
    pub fn new() -> Self {
        Self::own(HttpOptions::default())
    }

    /// What these connections are made with.
    pub fn options(&self) -> &HttpOptions {
        &self.0.options
    }

    /// Sends a request and waits for the head of the answer, whatever its status.
    ///
    /// `first_byte` limits that wait, connecting included, and `idle` each wait for a piece of
    /// the body.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] and [`ErrorKind::Transport`], naming the host only; they tell by
    /// [`Error::is_unsent`] when there was no connection.
    pub async fn send(
        &self,
        request: Request<impl Into<RequestBody>>,
        first_byte: Option<Duration>,
        idle: Duration,
    ) -> Result<Response<Body>> {
        let client = self.0.client.get_or_init(|| Client::new(&self.0.options));
        let mut request = request.map(Into::into);
        let host = request.uri().authority().cloned();
        let headers = request.headers_mut();
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(OURSELVES));
        if let Some(authorization) = client.connector.proxy_authorization(request.uri()) {
            request
                .headers_mut()
                .insert(PROXY_AUTHORIZATION, authorization);
        }
        let answer = with_limit(first_byte, client.pool.request(request)).await;
        match answer {
            Some(Ok(answer)) => Ok(answer.map(|incoming| Body::new(incoming, host, idle))),
            Some(Err(error)) => Err(failed(name(&host), error)),
            None => {
                let message = format!("{} did not answer in time", name(&host));
                Err(Error::new(ErrorKind::Timeout, message))
            }
        }
    }

    fn own(options: HttpOptions) -> Self {
        let client = OnceLock::new();
        Self(Arc::new(Inner { options, client }))
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

/// Awaits `future` for at most `limit`.
pub async fn with_limit<F: Future>(limit: Option<Duration>, future: F) -> Option<F::Output> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}

fn name(host: &Option<Authority>) -> &str {
    host.as_ref().map_or("the upstream", Authority::as_str)
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
