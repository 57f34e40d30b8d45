use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use http::{Request, Response, Uri};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::time::{Instant, Sleep};

use crate::{Error, ErrorKind, Result};

/// The connections of a process: HTTP/1.1 and HTTP/2 over TLS by rustls, pooled.
///
/// Redirects are refused, so that a key never follows one to another host. The proxy variables
/// of the environment (`HTTPS_PROXY`, `NO_PROXY` …) are honoured. Clones share their
/// connections.
#[derive(Clone)]
pub struct HttpClient(Arc<OnceLock<std::result::Result<reqwest::Client, String>>>);

/// The body of an answer, as it arrives.
///
/// It ends with an error when the connection breaks or when nothing comes for the idle time.
pub struct Body {
    chunks: BoxStream<'static, reqwest::Result<Bytes>>,
    host: String,
    idle: Duration,
    heard: Instant,
    timer: Pin<Box<Sleep>>,
    ended: bool,
}

/// The address of an upstream, accepted with or without its `/v1`.
///
/// ```
/// use llm_provider::BaseUrl;
///
/// for given in ["https://api.together.ai", "https://api.together.ai/v1/"] {
///     let base = BaseUrl::parse(given)?;
///     assert_eq!(base.join("/v1/models"), "https://api.together.ai/v1/models");
/// }
/// # Ok::<(), llm_provider::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BaseUrl {
    text: String,
    host: String,
}

impl HttpClient {
    /// The connections that everybody in this process shares.
    pub fn shared() -> Self {
        static SHARED: OnceLock<HttpClient> = OnceLock::new();
        SHARED.get_or_init(Self::new).clone()
    }

    /// Connections of one's own.
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Sends a request and waits for the head of the answer, whatever its status.
    ///
    /// `first_byte` limits that wait, `idle` each wait for a piece of the body.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] and [`ErrorKind::Transport`], naming the host only.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        first_byte: Option<Duration>,
        idle: Duration,
    ) -> Result<Response<Body>> {
        let host = request
            .uri()
            .authority()
            .map_or("", |authority| authority.as_str())
            .to_owned();
        let client = self.client()?;
        let request =
            reqwest::Request::try_from(request).map_err(|error| transport(&host, error))?;
        let sent = with_limit(first_byte, client.execute(request))
            .await
            .ok_or_else(|| {
                Error::new(ErrorKind::Timeout, format!("{host} did not answer in time"))
            })?;
        let mut answer = sent.map_err(|error| transport(&host, error))?;
        let mut response = Response::new(());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        let chunks = answer.bytes_stream().boxed();
        // So that no deadline is beyond what a clock can tell.
        let idle = idle.min(LONGEST_IDLE);
        let timer = Box::pin(tokio::time::sleep(idle));
        Ok(response.map(|()| Body {
            chunks,
            host,
            idle,
            heard: Instant::now(),
            timer,
            ended: false,
        }))
    }

    fn client(&self) -> Result<&reqwest::Client> {
        self.0.get_or_init(build).as_ref().map_err(|message| {
            Error::new(
                ErrorKind::Transport,
                format!("cannot set up HTTPS: {message}"),
            )
        })
    }
}

impl Default for HttpClient {
    fn default() -> Self {
        Self::shared()
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

impl Body {
    /// The whole body.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`] when it is longer than `limit` bytes, and those of the
    /// stream.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        let mut first = Bytes::new();
        while let Some(chunk) = self.next().await {
            let chunk = chunk?;
            if first.len() + whole.len() + chunk.len() > limit {
                return Err(Error::new(
                    ErrorKind::UnexpectedBody,
                    format!("{} sent an answer of more than {limit} bytes", self.host),
                ));
            }
            // Most bodies come in one piece, which then need not be copied.
            if first.is_empty() && whole.is_empty() {
                first = chunk;
            } else {
                whole.extend_from_slice(&first);
                first = Bytes::new();
                whole.extend_from_slice(&chunk);
            }
        }
        Ok(if whole.is_empty() {
            first
        } else {
            whole.freeze()
        })
    }
}

impl Body {
    fn give_up(&mut self) -> Poll<Option<Result<Bytes>>> {
        self.ended = true;
        let message = format!(
            "{} sent nothing for {} s",
            self.host,
            self.idle.as_secs_f32()
        );
        Poll::Ready(Some(Err(Error::new(ErrorKind::Timeout, message))))
    }
}

impl Stream for Body {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        match this.chunks.as_mut().poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                this.heard = Instant::now();
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.ended = true;
                Poll::Ready(Some(Err(transport(&this.host, error))))
            }
            Poll::Ready(None) => {
                this.ended = true;
                Poll::Ready(None)
            }
            Poll::Pending => {
                // The timer is set anew when it fires, not with every chunk: that is cheaper.
                while this.timer.as_mut().poll(cx).is_ready() {
                    let deadline = this.heard + this.idle;
                    if deadline <= Instant::now() {
                        return this.give_up();
                    }
                    this.timer.as_mut().reset(deadline);
                }
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl BaseUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when it is no absolute `http` or `https` URL.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(
                ErrorKind::InvalidRequest,
                "api_base has to be an absolute URL such as https://api.example.com",
            )
        };
        let uri: Uri = text.trim().parse().map_err(|_| wrong())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.query().is_some() {
            return Err(wrong());
        }
        let host = uri.authority().ok_or_else(wrong)?.as_str();
        // A password in the address would end up in every message that names the host.
        let host = host
            .rsplit_once('@')
            .map_or(host, |(_, host)| host)
            .to_owned();
        let text = text.trim().trim_end_matches('/');
        let text = text
            .strip_suffix("/v1")
            .unwrap_or(text)
            .trim_end_matches('/')
            .to_owned();
        Ok(Self { text, host })
    }

    /// The URL of `path`, which begins with `/v1/`.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// Host and port, for messages and for telling whether another URL leads elsewhere.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// Awaits `future` for at most `limit`.
pub async fn with_limit<F: Future>(limit: Option<Duration>, future: F) -> Option<F::Output> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}

fn build() -> std::result::Result<reqwest::Client, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|error| error.to_string())?
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("polyllm/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())
}

fn transport(host: &str, error: reqwest::Error) -> Error {
    let (kind, message) = if error.is_timeout() {
        (ErrorKind::Timeout, format!("{host} did not answer in time"))
    } else if error.is_connect() {
        (ErrorKind::Transport, format!("cannot connect to {host}"))
    } else if error.is_body() || error.is_decode() {
        (
            ErrorKind::Transport,
            format!("{host} broke the connection in the middle of its answer"),
        )
    } else {
        (
            ErrorKind::Transport,
            format!("the request to {host} failed"),
        )
    };
    // The URL may hold a capability, as Replicate's stream URLs do.
    Error::new(kind, message).with_source(error.without_url())
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_IDLE: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_with_a_password_shows_its_host_only() {
        let base = BaseUrl::parse("https://user:secret@relay.example:8443/together/v1").unwrap();
        assert_eq!(base.host(), "relay.example:8443");
        assert_eq!(
            base.join("/v1/models"),
            "https://user:secret@relay.example:8443/together/v1/models"
        );
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "",
            "api.together.ai",
            "ftp://host",
            "http://",
            "https://host?x=1",
        ] {
            let error = BaseUrl::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{text}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_a_transport_error_that_names_the_host() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let request = Request::get(format!("http://{address}/v1/models")).body(Bytes::new());
        let error = HttpClient::new()
            .send(request.unwrap(), None, Duration::from_secs(1))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport);
        assert_eq!(error.message(), format!("cannot connect to {address}"));
    }
}
