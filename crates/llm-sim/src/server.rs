//! Connects sockets and upstreams: one accept loop per upstream, HTTP/1.1, faults applied to the
//! upstream's responses.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use timed_socket::{Observer, TimedSocket};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::body::apply_faults;
use crate::clock::later;
use crate::control;
use crate::fault::{Fault, Faults, ParseFaultError};
use crate::http::{Answer, Call, frames, set};
use crate::trace::{Received, RequestOutcome, Trace};
use crate::upstream::{Exchange, Upstream};

/// A listening upstream; dropping it closes all connections immediately.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    url: String,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start<U: Upstream>(port: u16, upstream: Arc<U>) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address).await.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        })?;
        let address = listener.local_addr()?;
        let url = format!("http://{address}");
        let (stop, stopping) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, url.clone(), upstream, stopping));
        Ok(Self {
            address,
            url,
            stop,
            accepting,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Stops accepting, lets requests in flight finish for a moment, then closes.
    pub(crate) async fn shutdown(mut self) {
        self.stop.send_replace(true);
        // Only an abort causes this error, and nothing else can abort the task.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept<U: Upstream>(
    listener: TcpListener,
    url: String,
    upstream: Arc<U>,
    stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut stopped = std::pin::pin!(stopped(stopping.clone()));
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    let serving = serve(socket, url.clone(), Arc::clone(&upstream), stopping.clone());
                    connections.spawn(serving);
                }
                // No file descriptors are left, or the client is gone already: neither can be fixed
                // here, and neither may make this loop spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = stopped.as_mut() => break,
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    // The rest is aborted with the set.
    let _ = tokio::time::timeout(GRACE, finish).await;
}

async fn serve<U: Upstream>(
    socket: TcpStream,
    url: String,
    upstream: Arc<U>,
    stopping: watch::Receiver<bool>,
) {
    // Without it, the kernel may delay small events; on failure they are only late.
    let _ = socket.set_nodelay(true);
    let arrival = Arc::new(Arrival::default());
    let socket = TokioIo::new(TimedSocket::new(socket, Arc::clone(&arrival)));
    let service = service_fn(|request| {
        let upstream = Arc::clone(&upstream);
        let (url, arrival) = (url.clone(), Arc::clone(&arrival));
        async move { Ok::<_, Infallible>(handle(upstream, &url, &arrival, request).await) }
    });
    let mut connection = std::pin::pin!(http1::Builder::new().serve_connection(socket, service));
    // Errors are broken connections: the client disconnected, or a fault broke the connection.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stopped(stopping) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Waits until the server is shut down or dropped.
async fn stopped(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// When the kernel received the latest bytes of a connection.
#[derive(Debug, Default)]
struct Arrival(Mutex<Option<std::time::Instant>>);

impl Observer for Arrival {
    fn read(&self, waited: Duration) {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = std::time::Instant::now().checked_sub(waited);
    }
}

impl Arrival {
    fn latest(&self) -> Option<std::time::Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn handle<U: Upstream>(
    upstream: Arc<U>,
    local: &str,
    arrival: &Arrival,
    request: Request<Incoming>,
) -> Answer {
    let (parts, body) = request.into_parts();
    if control::is_control_path(parts.uri.path()) {
        let body = read(body).await.unwrap_or_default();
        return control::answer(&*upstream, &parts, &body);
    }
    let mut exchange = Exchange::begin(&upstream);
    let shared = upstream.shared();
    let head = shared.clock.received(arrival.latest());
    let body = read(body).await;
    let received = Received {
        head,
        body: shared.clock.received(arrival.latest()),
    };
    let kept = body.as_ref().cloned().unwrap_or_default();
    let (number, trace) = shared.log.record(&parts, &kept, received, &shared.clock);
    exchange.received(&trace);
    let answer = match body {
        Ok(body) => answer(&*upstream, local, parts, body, received.body, trace).await,
        Err(Unread::TooLarge) => upstream.error(413, None),
        Err(Unread::Broken) => upstream.error(400, Some("the body could not be read")),
    };
    let mut answer = guard(answer, exchange);
    set(&mut answer, "x-sim-request", &number.to_string());
    answer
}

async fn answer<U: Upstream>(
    upstream: &U,
    local: &str,
    request: Parts,
    body: Bytes,
    received: Instant,
    trace: Arc<Trace>,
) -> Answer {
    let shared = upstream.shared();
    let path = request.uri.path();
    let mut faults = shared.faults.take(request.method.as_str(), path);
    match requested_faults(&request.headers, &body) {
        Ok(requested) => faults.add(requested),
        Err(error) => return upstream.error(400, Some(&error.to_string())),
    }
    let mut began = received;
    for fault in faults.iter() {
        match fault {
            Fault::Delay(delay) => {
                began = later(began, *delay);
                shared.clock.until(began).await;
            }
            Fault::Hang => std::future::pending().await,
            _ => {}
        }
    }
    let status = faults.find(|fault| {
        if let Fault::Status(s) = fault {
            Some(*s)
        } else {
            None
        }
    });
    let answer = match status {
        Some(status) => upstream.error(status, None),
        None => {
            let call = Call {
                segments: Call::segments_of(path),
                query: request.uri.query().unwrap_or_default().to_owned(),
                base: Call::base_of(&request.headers, local),
                method: request.method,
                headers: request.headers,
                body,
                faults: faults.clone(),
                began,
                trace,
            };
            upstream.answer(call).await
        }
    };
    apply_faults(answer, &faults, &shared.options.pace, &shared.clock)
}

enum Unread {
    Broken,
    TooLarge,
}

/// Reads a body. If it is too large, some more is read and discarded, since a client that is still
/// sending does not read the response.
async fn read(mut body: Incoming) -> Result<Bytes, Unread> {
    let mut all = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else {
            continue;
        };
        length += data.len();
        if length <= MAX_BODY {
            all.extend_from_slice(&data);
        } else if length > 2 * MAX_BODY {
            break;
        }
    }
    if length > MAX_BODY {
        Err(Unread::TooLarge)
    } else {
        Ok(all.freeze())
    }
}

fn requested_faults(headers: &hyper::HeaderMap, body: &Bytes) -> Result<Faults, ParseFaultError> {
    let mut faults = Faults::in_body(body)?;
    for value in headers.get_all("x-sim-fault") {
        faults.add(String::from_utf8_lossy(value.as_bytes()).parse()?);
    }
    Ok(faults)
}

/// Keeps the request in flight until its body is sent or dropped. A body of known size is sent
/// immediately and unchanged, so that it keeps its `Content-Length`.
fn guard<U: Upstream>(answer: Answer, exchange: Exchange<U>) -> Answer {
    use hyper::body::Body as _;

    exchange.answered();
    if answer.body().size_hint().exact().is_some() {
        exchange.end(RequestOutcome::Finished);
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let guarded = stream::unfold(
        (body.into_data_stream(), Some(exchange)),
        |(mut body, mut exchange)| async move {
            let next = body.next().await;
            let over = match &next {
                Some(Ok(_)) => None,
                Some(Err(_)) => Some(RequestOutcome::Broken),
                None => Some(RequestOutcome::Finished),
            };
            if let Some(outcome) = over
                && let Some(exchange) = exchange.take()
            {
                exchange.end(outcome);
            }
            Some((next?, (body, exchange)))
        },
    );
    Answer::from_parts(parts, frames(guarded))
}

/// The longest request body, in bytes: longer than any prompt.
const MAX_BODY: usize = 32 << 20;

/// The time that requests in flight have to finish at shutdown.
const GRACE: Duration = Duration::from_secs(1);
