use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, TryStreamExt};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use llm_provider::endpoint::Normalize;
use llm_provider::{
    BaseUrl, Call, Document, Error, ErrorKind, Metadata, Record, Reply, ReplyStream, RequestBody,
    Result, Settings, upstream_id,
};
use tokio::time::Instant;
use tracing::{Instrument, debug};

use crate::{
    Authentication, Body, CallSpan, Connection, Deadline, RetryPolicy, SendOptions, with_limit,
};

/// A provider's client for one upstream: a connection, retries, and the provider's name.
///
/// Most providers are built on it, regardless of their upstream's API. Each call is an [`Exchange`],
/// which enforces the call's time limit and names provider and model in its errors.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// use http::{Method, Response};
/// use llm_http::{MemoryTransport, UpstreamClient};
/// use llm_provider::{ApiKey, BaseUrl, Error, Settings};
///
/// let transport = MemoryTransport::new(|_| Ok(Response::new("[\"acme-large\"]".into())));
/// let settings = Settings::new().with_transport(transport);
/// let base: BaseUrl = "https://api.acme.example".parse()?;
/// let upstream = UpstreamClient::new("acme", &settings, base, ApiKey::new("a key"))?;
///
/// let exchange = upstream.exchange_for("models");
/// let models = exchange.run(async {
///     let request = upstream.request(Method::GET, "/v1/models", "")?;
///     let response = exchange.send(request, Error::from_response).await?;
///     response.into_body().collect(1 << 20).await
/// });
/// assert_eq!(models.await?, "[\"acme-large\"]");
/// # Ok::<(), Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct UpstreamClient {
    provider: &'static str,
    connection: Connection,
    retries: RetryPolicy,
}

impl UpstreamClient {
    /// Creates a client for `provider`, such as `together_ai`, of the upstream at `base`. Transport,
    /// timeouts, extra headers and retries are those of `settings`.
    ///
    /// # Errors
    /// Those of [`Connection::new`].
    pub fn new(
        provider: &'static str,
        settings: &Settings,
        base: BaseUrl,
        authentication: impl Into<Authentication>,
    ) -> Result<Self> {
        let connection = Connection::new(settings, base, authentication);
        Ok(Self {
            provider,
            connection: connection.map_err(|error| error.with_provider(provider))?,
            retries: RetryPolicy::from(settings),
        })
    }

    /// The connection to the upstream.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The deadline of a call that begins now and is not streamed.
    ///
    /// An [`Exchange`] has its own time limit. A provider that needs several exchanges for one call
    /// limits them together with one deadline.
    pub fn deadline(&self, call: &Call) -> Deadline {
        Deadline::after(self.connection.timeouts().of_call(call.timeout))
    }

    /// The deadline of the head of the response to a streamed call that begins now.
    ///
    /// See [`deadline`](Self::deadline).
    pub fn stream_deadline(&self, call: &Call) -> Deadline {
        Deadline::after(self.connection.timeouts().of_stream(call.timeout))
    }

    /// The upstream's id of a request, from the headers of its response.
    pub fn upstream_id(&self, headers: &HeaderMap) -> Option<String> {
        let mut id = upstream_id(headers)?;
        self.connection.secrets().redact_in(&mut id);
        Some(id)
    }

    /// Creates a request to `path`, which begins with a slash. Its `content-type` and `accept` are
    /// JSON: change them if the upstream expects something else.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when `path` is not valid in a URL.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        body: impl Into<RequestBody>,
    ) -> Result<Request<RequestBody>> {
        let mut request = Request::new(body.into());
        *request.method_mut() = method;
        *request.uri_mut() = self.connection.base().join(path)?;
        let headers = request.headers_mut();
        headers.reserve(USUAL_HEADERS);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(request)
    }

    /// Begins the exchange of a call that is not streamed.
    ///
    /// The exchange is a tracing span `call` at debug level, with provider, model and endpoint.
    pub fn exchange(&self, call: &Call) -> Exchange<'_> {
        let model = call.model().into_owned();
        let span = CallSpan::new(self.provider, &model, call.endpoint);
        let limit = self.connection.timeouts().of_call(call.timeout);
        Exchange::new(self, Some(model), limit, span)
    }

    /// Begins the exchange of a streamed call; see [`exchange`](Self::exchange).
    pub fn stream_exchange(&self, call: &Call) -> Exchange<'_> {
        let model = call.model().into_owned();
        let span = CallSpan::of_stream(self.provider, &model, call.endpoint);
        let limit = self.connection.timeouts().of_stream(call.timeout);
        Exchange::new(self, Some(model), limit, span)
    }

    /// Begins the exchange of an operation that is not a call, such as `models`.
    pub fn exchange_for(&self, operation: &'static str) -> Exchange<'_> {
        let span = CallSpan::of_operation(self.provider, operation);
        let limit = self.connection.timeouts().of_call(None);
        Exchange::new(self, None, limit, span)
    }

    /// Adds the provider's name to an error, and redacts the secrets that the upstream repeated in it.
    pub fn describe(&self, error: Error) -> Error {
        let error = error.with_provider(self.provider);
        self.connection.redact(error)
    }
}

/// One call at an upstream, with its time limit; see [`UpstreamClient::exchange`].
#[derive(Clone, Debug)]
pub struct Exchange<'u> {
    upstream: &'u UpstreamClient,
    model: Option<String>,
    limit: Duration,
    /// `None` if it is too late for an `Instant`.
    deadline: Option<Instant>,
    span: CallSpan,
}

impl<'u> Exchange<'u> {
    fn new(
        upstream: &'u UpstreamClient,
        model: Option<String>,
        limit: Duration,
        span: CallSpan,
    ) -> Self {
        Self {
            upstream,
            model,
            limit,
            deadline: Instant::now().checked_add(limit),
            span,
        }
    }

    /// The metadata of the reply, with provider and model.
    pub fn metadata(&self) -> Metadata {
        Metadata::new(
            self.upstream.provider,
            self.model.clone().unwrap_or_default(),
        )
    }

    /// Runs `work` within the time limit, and adds provider and model to its error. Box a large
    /// future: each layer around it would copy it.
    ///
    /// # Errors
    /// Those of `work`, with provider and model and without secrets, and [`ErrorKind::Timeout`].
    pub async fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let work = with_limit(Some(self.limit), work).instrument(self.span.span().clone());
        let done = work.await.unwrap_or_else(|| {
            let host = self.upstream.connection.base().host();
            let message = format!("{host} did not respond in time");
            Err(Error::new(ErrorKind::Timeout, message))
        });
        done.map_err(|error| {
            self.span.error(&error);
            let span = self.span.span();
            span.in_scope(|| debug!(error = display(error.kind()), "failed"));
            self.describe(error)
        })
    }

    /// Sends a request and waits for the head of a successful response. Retries as the retry policy
    /// allows.
    ///
    /// `refusal` creates the error for a response with any other status; see [`Connection::send`].
    ///
    /// # Errors
    /// Those of `refusal` and of the transport.
    pub async fn send(
        &self,
        request: Request<RequestBody>,
        refusal: impl Fn(StatusCode, &HeaderMap, Bytes) -> Error,
    ) -> Result<Response<Body>> {
        let UpstreamClient {
            connection,
            retries,
            ..
        } = self.upstream;
        let timeouts = connection.timeouts();
        let options =
            SendOptions::new(timeouts.idle_of(self.limit)).with_first_byte(timeouts.first_byte);
        let mut next = Some(request);
        let attempt = |number| {
            let options = options.with_attempt(number);
            let request = next.take().unwrap_or_default();
            if !retries.is_last(number) {
                // The copy has no room for more headers, as the original has.
                next = Some(request.clone());
            }
            connection.send(request, options, &refusal)
        };
        retries.run(self.deadline, attempt).await
    }

    /// The reply in one piece. Without an upstream id in `metadata`, the `id` of the body is used.
    pub fn reply(&self, body: Document, mut metadata: Metadata) -> Reply {
        if metadata.upstream_id.is_none()
            && let Some(id) = body.str("id")
        {
            let mut id = id.into_owned();
            self.upstream.connection.secrets().redact_in(&mut id);
            metadata.upstream_id = Some(id);
        }
        let reply = Reply::new(body, metadata);
        self.span.reply(&reply);
        reply
    }

    /// The streamed reply: the chunks of `records`, normalized by `normalizer`. Its errors
    /// name provider and model, like those of [`run`](Self::run).
    pub fn reply_stream(
        self,
        metadata: Metadata,
        records: impl Stream<Item = Result<Record>> + Send + Unpin + 'static,
        normalizer: Box<dyn Normalize>,
    ) -> ReplyStream {
        let connection = &self.upstream.connection;
        let (secrets, host) = (connection.secrets().clone(), connection.host().to_owned());
        let (provider, model, span) = (self.upstream.provider, self.model, self.span);
        let mut observe = span.clone().observer();
        // The span lasts as long as the stream, which owns it.
        let describe = move |error: Error| {
            span.span()
                .in_scope(|| debug!(error = display(error.kind()), "the stream failed"));
            named(error, provider, model.as_deref())
                .redacted(&secrets)
                .with_host(host.as_str())
        };
        ReplyStream::from_records(metadata, records, normalizer).map_events(|events| {
            events
                .inspect(move |event| observe(event))
                .map_err(describe)
        })
    }

    fn describe(&self, error: Error) -> Error {
        let error = named(error, self.upstream.provider, self.model.as_deref());
        self.upstream.connection.redact(error)
    }
}

fn named(error: Error, provider: &'static str, model: Option<&str>) -> Error {
    let error = error.with_provider(provider);
    match model {
        Some(model) => error.with_model(model),
        None => error,
    }
}

/// The number of headers that a request usually gets.
const USUAL_HEADERS: usize = 8;
