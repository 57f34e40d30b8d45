//! Sends one request and measures it to its end.

mod finish;
mod openai;
mod replicate;

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::Full;
use tokio::sync::watch;

use crate::client::{ConnectError, Connection, Connector, ExchangeEnd, Pool, ResponseSink};
use crate::clock::Clock;
use crate::mix::Mix;
use crate::record::{
    Backoff, ConnectTimes, Failure, FailureKind, Outcome, RequestRecord, Side, TokenSource,
};
use crate::request::{Endpoint, PreparedRequest};
use crate::response::{Chunk, ResponseHead, Usage};
use crate::target::{Origin, ServerTarget};
use crate::text_api::TextApi;

/// Sends requests on one thread.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) clock: Clock,
    /// The targets, and the one that they are compared with.
    pub(crate) targets: (Mix<ServerTarget>, Option<ServerTarget>),
    /// The model, for Replicate's paths.
    pub(crate) model: String,
    pub(crate) pool: RefCell<Pool>,
    pub(crate) timeout: Duration,
    /// The poll interval of a prediction without a stream.
    pub(crate) poll_interval: Duration,
    /// A prediction that waits longer than this counts as a cold boot.
    pub(crate) cold_after: Duration,
    /// How often a request is repeated after status 429.
    pub(crate) rate_limit_retries: u32,
    /// Whether texts are kept to count their tokens.
    pub(crate) keep_text: bool,
    /// Becomes true when running requests must be cancelled.
    pub(crate) cancel: watch::Receiver<bool>,
}

/// A finished request; [`RawRecord::finish`] completes its record on another thread.
#[derive(Debug)]
pub(crate) struct RawRecord {
    pub(crate) record: RequestRecord,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) usage: Usage,
    pub(crate) text: Option<String>,
    pub(crate) estimated_input: (u64, TokenSource),
}

impl Executor {
    /// Sends a request and reads its response; again after status 429, as often as configured.
    pub(crate) async fn execute(
        &self,
        id: u64,
        request: &PreparedRequest,
        side: Side,
        scheduled_ns: Option<u64>,
        keep_text: bool,
    ) -> RawRecord {
        let dispatched_ns = self.clock.now();
        let mut backoff = None;
        loop {
            let mut raw = RawRecord::new(id, request);
            raw.record.side = side;
            raw.record.scheduled_ns = scheduled_ns;
            raw.record.dispatched_ns = dispatched_ns;
            raw.record.backoff = backoff;
            self.attempt(request, &mut raw, keep_text || self.keep_text)
                .await;
            let attempts = backoff.map_or(0, |backoff: Backoff| backoff.attempts);
            if !raw.is_rate_limited() || attempts >= self.rate_limit_retries {
                return raw;
            }
            let wait = rate_limit_wait(&raw.record, attempts);
            let mut cancel = self.cancel.clone();
            tokio::select! {
                biased;
                _ = cancel.wait_for(|cancelled| *cancelled) => return raw,
                () = tokio::time::sleep(wait) => {}
            }
            backoff = Some(Backoff {
                attempts: attempts + 1,
                delay_ns: self.clock.now() - dispatched_ns,
            });
        }
    }

    async fn attempt(&self, request: &PreparedRequest, raw: &mut RawRecord, keep_text: bool) {
        let affinity = request.affinity(raw.record.id);
        let Some((place, target)) = self.target(raw.record.side, affinity) else {
            return;
        };
        raw.record.target = u32::try_from(place).unwrap_or(u32::MAX);
        match request.endpoint {
            Endpoint::TextStream(api) => {
                self.text_stream(target, api, request, raw, keep_text).await;
            }
            Endpoint::TextWhole(api) => {
                self.text_whole(target, api, request, raw, keep_text).await;
            }
            Endpoint::Embeddings => self.batch(target, "/embeddings", request, raw).await,
            Endpoint::Rerank => self.batch(target, "/rerank", request, raw).await,
            Endpoint::Prediction => self.prediction(target, request, raw, keep_text).await,
        }
        match &mut raw.record.outcome {
            Outcome::Failed(failure) => failure.message = target.clean(&failure.message),
            Outcome::Ok {
                finish_reason: Some(reason),
            } if !is_plain(reason) => *reason = target.clean(reason),
            _ => {}
        }
    }

    /// The target of what stays at one server, and its place.
    fn target(&self, side: Side, affinity: u64) -> Option<(usize, &ServerTarget)> {
        match (side, &self.targets.1) {
            (Side::Against, Some(against)) => Some((0, against)),
            _ => self.targets.0.choose(affinity),
        }
    }

    /// The address of each target.
    pub(crate) fn origins(&self) -> Vec<Origin> {
        let (targets, against) = &self.targets;
        let all = targets.values().chain(against);
        all.map(|target| target.origin().clone()).collect()
    }

    /// Opens a connection ahead of time. A failure is reported when a request needs one.
    pub(crate) async fn open_ahead(&self, origin: &Origin) {
        let connector = self.connector();
        if let Ok((connection, _)) = connector.connect(origin).await {
            self.pool.borrow_mut().put_back(origin, connection);
        }
    }

    /// Runs `work` until it ends, times out or is cancelled.
    async fn bounded<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Completion<T> {
        let mut cancel = self.cancel.clone();
        tokio::select! {
            biased;
            done = work => match done {
                Ok(value) => Completion::Done(value),
                Err(failure) => Completion::Failed(failure),
            },
            () = tokio::time::sleep(self.timeout) => Completion::Failed(Failure {
                kind: FailureKind::Timeout,
                message: format!("no complete response within {:?}", self.timeout),
            }),
            _ = cancel.wait_for(|cancelled| *cancelled) => Completion::Cancelled,
        }
    }

    /// Sends one HTTP request. If an idle connection turns out to be closed before anything was
    /// written, the request is sent once more over a new connection.
    async fn send(
        &self,
        origin: &Origin,
        request: impl Fn() -> Request<Full<Bytes>>,
        sink: &mut impl ResponseSink,
    ) -> Result<ExchangeTimes, Failure> {
        let mut reusable = self.idle(origin).await;
        loop {
            let (mut connection, connect) = match reusable.take() {
                Some(connection) => (connection, None),
                None => {
                    let connector = self.connector();
                    let (connection, times) = connector.connect(origin).await?;
                    (connection, Some(times))
                }
            };
            let done = connection.exchange(request(), sink).await;
            let io_times = connection.io_times();
            let sent = ExchangeTimes {
                connect,
                sent_ns: io_times.last_write(),
                first_byte_ns: io_times.first_read(),
                end_ns: io_times.last_read(),
            };
            match done {
                Ok(exchanged) => {
                    if exchanged == ExchangeEnd::Complete {
                        self.pool.borrow_mut().put_back(origin, connection);
                    }
                    return Ok(sent);
                }
                Err(error) if error.source.is_canceled() && connect.is_none() => {}
                Err(error) => {
                    return Err(Failure {
                        kind: if error.source.is_parse() {
                            FailureKind::Protocol
                        } else {
                            FailureKind::Disconnected
                        },
                        message: describe(&error.source),
                    });
                }
            }
        }
    }

    async fn idle(&self, origin: &Origin) -> Option<Connection> {
        loop {
            let mut connection = self.pool.borrow_mut().take(origin)?;
            if connection.is_ready().await {
                return Some(connection);
            }
        }
    }

    fn connector(&self) -> Connector {
        self.pool.borrow().connector()
    }
}

/// The result of work with a timeout.
enum Completion<T> {
    Cancelled,
    Done(T),
    Failed(Failure),
}

/// The times of one HTTP exchange.
#[derive(Clone, Copy, Debug, Default)]
struct ExchangeTimes {
    connect: Option<ConnectTimes>,
    sent_ns: Option<u64>,
    first_byte_ns: Option<u64>,
    end_ns: u64,
}

impl RawRecord {
    pub(crate) fn new(id: u64, request: &PreparedRequest) -> Self {
        let record = RequestRecord {
            id,
            turn: request.turn,
            model: request.model,
            job: request.job,
            ..RequestRecord::default()
        };
        Self {
            record,
            chunks: Vec::new(),
            usage: Usage::default(),
            text: None,
            estimated_input: request.input,
        }
    }

    fn is_rate_limited(&self) -> bool {
        matches!(&self.record.outcome, Outcome::Failed(failure) if failure.kind == FailureKind::RateLimited)
    }

    fn sent(&mut self, sent: &ExchangeTimes) {
        self.record.connect = sent.connect;
        self.record.sent_ns = sent.sent_ns;
        self.record.first_byte_ns = sent.first_byte_ns;
    }

    fn head(&mut self, head: &ResponseHead) {
        self.record.http_status = head.status.map(|status| status.as_u16());
        self.record.rate_limit = head.rate_limit;
        self.record.response_bytes = head.bytes;
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self {
            kind: error.kind,
            message: error.message,
        }
    }
}

/// A request with a JSON body to a target's own origin.
fn post(
    target: &ServerTarget,
    path: &str,
    body: &Bytes,
    accept: &'static str,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = Method::POST;
    address(&mut request, target.origin(), path);
    let headers = request.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    if let Some(authorization) = target.authorization() {
        headers.insert(header::AUTHORIZATION, authorization.clone());
    }
    if path.ends_with(TextApi::Messages.path()) {
        let version = HeaderValue::from_static("2023-06-01");
        headers.insert("anthropic-version", version);
    }
    headers.extend(target.headers().clone());
    request
}

/// Sets path, host and user agent. An invalid path becomes the root; paths are made of checked
/// parts.
fn address(request: &mut Request<Full<Bytes>>, origin: &Origin, path: &str) {
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    let headers = request.headers_mut();
    if let Ok(host) = HeaderValue::from_str(&origin.authority()) {
        headers.insert(header::HOST, host);
    }
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("polyllm-bench/", env!("CARGO_PKG_VERSION"))),
    );
}

/// How long to wait before an attempt: as the server says, else from half a second, doubled each time.
fn rate_limit_wait(record: &RequestRecord, attempts: u32) -> Duration {
    let said = record
        .rate_limit
        .and_then(|limit| limit.retry_after_s.or(limit.reset_s));
    let own = 0.5 * f64::from(2_u32.saturating_pow(attempts.min(16)));
    let seconds = said.unwrap_or(own).clamp(0.0, MAX_RATE_LIMIT_WAIT_S);
    // Clients that were rejected together do not return together.
    Duration::from_secs_f64(seconds * (1.0 + 0.1 * fastrand::f64()))
}

const MAX_RATE_LIMIT_WAIT_S: f64 = 60.0;

/// A finish reason such as `stop` or `tool_calls`, which needs no cleaning.
fn is_plain(reason: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    reason.len() <= 20 && reason.bytes().all(word)
}

/// An error with its causes, which hyper's `Display` omits.
fn describe(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
