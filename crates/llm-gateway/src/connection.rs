//! One connection: TLS, the version of HTTP, and its requests.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::api::Api;
use crate::error::ApiError;
use crate::gateway::State;
use crate::guard::Exposure;
use crate::held::{Held, Holds};
use crate::tls::{HTTP2, Tls};
use crate::write_timeout::WriteTimeout;
use crate::{Gateway, GatewayOptions, headers, routes};

/// Serves connections.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    state: Arc<State>,
    exposure: Exposure,
    tls: Option<Tls>,
    header_timeout: Duration,
    write_timeout: Duration,
    /// A permit for each request that may run.
    requests: Arc<Semaphore>,
    /// True when the server stops.
    stop: watch::Receiver<bool>,
}

impl Server {
    pub(crate) fn new(
        gateway: Gateway,
        exposure: Exposure,
        options: &GatewayOptions,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let requests = options.max_requests.min(Semaphore::MAX_PERMITS);
        Self {
            state: gateway.state,
            exposure,
            tls: options.tls.clone(),
            header_timeout: options.header_timeout,
            write_timeout: options.write_timeout,
            requests: Arc::new(Semaphore::new(requests)),
            stop,
        }
    }

    /// Serves a connection until it ends. When the server stops, running requests may end.
    pub(crate) async fn serve(self, socket: TcpStream) {
        if let Err(error) = self.run(socket).await {
            tracing::debug!(error, "a connection ended early");
        }
    }

    async fn run(mut self, socket: TcpStream) -> Result<(), Box<dyn StdError + Send + Sync>> {
        let mut stop = self.stop.clone();
        let Some(tls) = self.tls.take() else {
            let begins = begins_with_http2(&socket);
            let Some(is_http2) = before(&mut stop, self.header_timeout, begins).await? else {
                return Ok(());
            };
            let socket = WriteTimeout::new(socket, self.write_timeout);
            return self.speak(socket, is_http2).await;
        };
        let socket = WriteTimeout::new(socket, self.write_timeout);
        let handshake = tls.acceptor().accept(socket);
        let Some(socket) = before(&mut stop, HANDSHAKE, handshake).await? else {
            return Ok(());
        };
        let is_http2 = socket.get_ref().1.alpn_protocol() == Some(HTTP2);
        self.speak(socket, is_http2).await
    }

    async fn speak<S>(
        self,
        socket: S,
        is_http2: bool,
    ) -> Result<(), Box<dyn StdError + Send + Sync>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut stop, limit) = (self.stop.clone(), self.write_timeout);
        let header_timeout = self.header_timeout;
        let socket = TokioIo::new(socket);
        let holds = Holds::default();
        if is_http2 {
            let of_connection = holds.clone();
            let service = service_fn(move |request| {
                let (response, hold) = (self.answer(request), of_connection.hold());
                async move { Ok::<_, Infallible>(response.await.map(|body| body.watched(hold))) }
            });
            let mut server = http2::Builder::new(TokioExecutor::new());
            // A client that sends a head in pieces cannot answer pings in between (RFC 9113 section
            // 4.3), so they limit the time of a head, too.
            server
                .timer(TokioTimer::new())
                .keep_alive_interval(PING)
                .keep_alive_timeout(PING)
                .max_concurrent_streams(MOST_STREAMS);
            let connection = server.serve_connection(socket, service);
            return tokio::select! {
                ended = drive(connection, &mut stop) => ended,
                () = holds.stalled(limit) => Err("the client does not read a response".into()),
            };
        }
        let service = service_fn(move |request| {
            let response = self.answer(request);
            async move { Ok::<_, Infallible>(response.await) }
        });
        let mut server = http1::Builder::new();
        // `half_close` stays off. With it, hyper would not notice that a client has left before its
        // response, and its upstream call would not be cancelled.
        server
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout);
        drive(server.serve_connection(socket, service), &mut stop).await
    }

    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Held>> + Send + use<> {
        let permit = Arc::clone(&self.requests).try_acquire_owned();
        let response = match permit {
            Ok(permit) => {
                let shared = self.state.current();
                // Boxed here, since each layer around a future of this size would copy it.
                let response = Box::pin(routes::serve(shared, self.exposure, request));
                Ok((response, permit))
            }
            Err(_) => {
                let api = Api::of(request.uri().path(), request.headers());
                let id = headers::request_id(request.headers());
                Err(overloaded().response(api, &id))
            }
        };
        async {
            match response {
                Ok((response, permit)) => {
                    let response = response.await;
                    response.map(|body| Held::new(body).with_permit(permit))
                }
                Err(response) => response.map(Held::new),
            }
        }
    }
}

/// Runs a connection; when the server stops, only until its running requests end.
async fn drive<C>(
    connection: C,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), Box<dyn StdError + Send + Sync>>
where
    C: GracefulConnection,
    C::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended.map_err(Into::into),
        () = stopped(stop) => connection.as_mut().graceful_shutdown(),
    }
    connection.await.map_err(Into::into)
}

/// The beginning of a connection; `None` if the server stops first.
async fn before<T>(
    stop: &mut watch::Receiver<bool>,
    limit: Duration,
    begin: impl Future<Output = io::Result<T>>,
) -> io::Result<Option<T>> {
    tokio::select! {
        biased;
        begun = timeout(limit, begin) => match begun {
            Ok(begun) => begun.map(Some),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        },
        () = stopped(stop) => Ok(None),
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Without a sender, the server has stopped.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Whether a client speaks HTTP/2 from the first byte: it then begins with `PRI`, which is not a
/// method of HTTP/1.1 (RFC 9113 section 3.4).
async fn begins_with_http2(socket: &TcpStream) -> io::Result<bool> {
    const START: &[u8; 3] = b"PRI";
    let mut start = [0; START.len()];
    loop {
        let length = socket.peek(&mut start).await?;
        let start = start.get(..length).unwrap_or_default();
        if length == 0 || !START.starts_with(start) {
            return Ok(false);
        }
        if length == START.len() {
            return Ok(true);
        }
        // The rest of the three bytes is on its way; the socket is readable until then.
        sleep(Duration::from_millis(10)).await;
    }
}

fn overloaded() -> ApiError {
    let message = "the gateway serves as many requests as it may (`max_requests`): try again";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message)
        .with_code("overloaded")
        .with_retry_after(Duration::from_secs(1))
}

/// How long the TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The time between two pings on HTTP/2, and the time for the answer.
const PING: Duration = Duration::from_secs(30);
/// The requests of one HTTP/2 connection at the same time.
const MOST_STREAMS: u32 = 256;
