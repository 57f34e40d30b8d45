//! Opens connections: directly or through a proxy, in plain text or over TLS.

use std::env;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::future::BoxFuture;
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use rustls::ClientConfig;
use rustls_platform_verifier::Verifier;
use tokio::sync::OnceCell;
use tower::Service;

use super::HttpOptions;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Opens connections to upstreams.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    options: HttpOptions,
    tcp: HttpConnector,
    proxies: Matcher,
    // Loaded for the first `https` connection, since reading all certificates is slow.
    tls: OnceCell<ClientConfig>,
}

impl Inner {
    /// The proxy for an address. This machine is contacted directly, also without `NO_PROXY`.
    fn proxy(&self, uri: &Uri) -> Option<Intercept> {
        if uri.host().is_some_and(is_loopback) {
            return None;
        }
        self.proxies.intercept(uri)
    }
}

/// Connecting exceeded its time limit.
#[derive(Debug)]
pub(super) struct ConnectTimeout(Duration);

impl Connector {
    pub(super) fn new(options: &HttpOptions) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        Self(Arc::new(Inner {
            options: options.clone(),
            tcp,
            proxies: Matcher::from_system(),
            tls: OnceCell::new(),
        }))
    }

    /// The `proxy-authorization` of a plain-text request, if it is sent through a proxy with credentials.
    pub(super) fn proxy_authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        if uri.scheme() != Some(&Scheme::HTTP) {
            return None;
        }
        self.0.proxy(uri)?.basic_auth().cloned()
    }

    async fn connect(&self, uri: Uri) -> Result<Conn, BoxError> {
        match self.0.proxy(&uri) {
            None => self.direct(uri).await,
            Some(proxy) => self.through(proxy, uri).await,
        }
    }

    async fn direct(&self, uri: Uri) -> Result<Conn, BoxError> {
        if uri.scheme() == Some(&Scheme::HTTPS) {
            let mut connector = with_tls(self.tls().await?, self.0.tcp.clone());
            return Ok(Conn::new(connector.call(uri).await?, false));
        }
        Ok(Conn::new(self.0.tcp.clone().call(uri).await?, false))
    }

    async fn through(&self, proxy: Intercept, uri: Uri) -> Result<Conn, BoxError> {
        let to_proxy = proxy.uri().clone();
        if !matches!(to_proxy.scheme_str(), Some("http" | "https")) {
            return Err("only http and https proxies are supported".into());
        }
        if uri.scheme() != Some(&Scheme::HTTPS) {
            let mut conn = self.direct(to_proxy).await?;
            conn.is_proxy = true;
            return Ok(conn);
        }
        let tls = self.tls().await?;
        let https = HttpsConnectorBuilder::new().with_tls_config(tls.clone());
        let proxy_connector = https
            .https_or_http()
            .enable_http1()
            .wrap_connector(self.0.tcp.clone());
        let mut tunnel = Tunnel::new(to_proxy, proxy_connector);
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        Ok(Conn::new(with_tls(tls, tunnel).call(uri).await?, false))
    }

    async fn tls(&self) -> Result<&ClientConfig, BoxError> {
        let read = || async {
            let inner = Arc::clone(&self.0);
            // The system's certificates are read with blocking I/O.
            let read = tokio::task::spawn_blocking(move || tls(&inner.options)).await;
            read?
        };
        self.0.tls.get_or_try_init(read).await
    }
}

impl Service<Uri> for Connector {
    type Response = Conn;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Conn, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let limit = this.0.options.connect_timeout;
            let connected = tokio::time::timeout(limit, this.connect(uri)).await;
            connected.unwrap_or_else(|_| Err(ConnectTimeout(limit).into()))
        })
    }
}

/// Whether a host of a URL is this machine. An IPv6 address is in brackets.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let parsed = address.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || parsed.is_ok_and(|address| address.is_loopback())
}

fn with_tls<C>(tls: &ClientConfig, connector: C) -> HttpsConnector<C> {
    HttpsConnectorBuilder::new()
        .with_tls_config(tls.clone())
        .https_only()
        .enable_all_versions()
        .wrap_connector(connector)
}

fn tls(options: &HttpOptions) -> Result<ClientConfig, BoxError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let authorities = options.authorities.iter().cloned();
    let verifier = Verifier::new_with_extra_roots(authorities, Arc::clone(&provider));
    // Empty images and minimal systems have no certificates.
    let verifier = verifier.map_err(|error| {
        let fix = "install the package ca-certificates, or set SSL_CERT_FILE or ca_file";
        format!("the system's certificates cannot be used ({error}): {fix}")
    })?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// The URLs of proxies in the environment, with their credentials.
pub(crate) fn proxy_urls() -> impl Iterator<Item = String> {
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let names = names
        .into_iter()
        .flat_map(|name| [name.to_owned(), name.to_ascii_lowercase()]);
    names.filter_map(|name| env::var(name).ok())
}

/// A connection, with or without TLS.
pub(super) struct Conn {
    io: Box<dyn Io>,
    /// Whether requests must contain the whole URL, as plain-text requests to a proxy do.
    is_proxy: bool,
}

trait Io: Read + Write + Connection + Send + Unpin {}
impl<T: Read + Write + Connection + Send + Unpin> Io for T {}

impl Conn {
    fn new(io: impl Io + 'static, is_proxy: bool) -> Self {
        let io = Box::new(io);
        Self { io, is_proxy }
    }
}

impl Connection for Conn {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.is_proxy);
        // Without the addresses of `HttpConnector`, which would be copied into each response.
        match self.io.connected().is_negotiated_h2() {
            true => connected.negotiated_h2(),
            false => connected,
        }
    }
}

impl Read for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_read(cx, buf)
    }
}

impl Write for Conn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write_vectored(cx, bufs)
    }
}

impl fmt::Display for ConnectTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connecting took longer than {:?}", self.0)
    }
}

impl StdError for ConnectTimeout {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_recognized() {
        for host in ["localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "localhost.example",
            "127.0.0.1.example",
            "10.0.0.1",
            "[::2]",
            "",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
