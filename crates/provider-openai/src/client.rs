use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use llm_http::{Authentication, Deadline, UpstreamClient};
use llm_provider::endpoint::{Accumulate, Endpoint};
use llm_provider::{
    BaseUrl, Call, Capability, Document, Error, ErrorKind, Record, Reply, ReplyStream, RequestBody,
    Result, Settings,
};
use llm_types::ModelList;
use serde_json::{Map, Value};

use crate::models;
use crate::stream::records;
use crate::wire::Dialect;

/// A client of an OpenAI-compatible upstream.
#[derive(Clone, Debug)]
pub struct OpenAiClient<D> {
    dialect: Arc<D>,
    upstream: UpstreamClient,
}

impl<D: Dialect> OpenAiClient<D> {
    /// A client of the upstream at `base`; transport, timeouts, extra headers and retries are
    /// those of `settings`. An [`ApiKey`](llm_provider::ApiKey) is sent as a bearer token, unless
    /// it is empty.
    ///
    /// # Errors
    /// Those of [`Connection::new`](llm_http::Connection::new).
    pub fn new(
        dialect: D,
        settings: &Settings,
        base: BaseUrl,
        authentication: impl Into<Authentication>,
    ) -> Result<Self> {
        Ok(Self {
            upstream: UpstreamClient::new(dialect.provider(), settings, base, authentication)?,
            dialect: Arc::new(dialect),
        })
    }

    /// The deadline of a call that starts now and is not streamed.
    ///
    /// Each method has this time limit. A provider that needs several methods for one call limits
    /// them together with one deadline.
    pub fn deadline(&self, call: &Call) -> Deadline {
        self.upstream.deadline(call)
    }

    /// The deadline of the head of the response to a streamed call that starts now.
    ///
    /// See [`deadline`](Self::deadline).
    pub fn stream_deadline(&self, call: &Call) -> Deadline {
        self.upstream.stream_deadline(call)
    }

    /// Sends a call and returns the complete reply.
    ///
    /// # Errors
    /// Those of the upstream and of the connection.
    pub async fn send(&self, call: Call) -> Result<Reply> {
        let exchange = self.upstream.exchange(&call);
        let mut metadata = exchange.metadata();
        let work = async {
            let (endpoint, body) = (call.endpoint, call.body.clone());
            let mut call = self.translate(call)?;
            request_plain(&mut call.body);
            metadata.dropped_params = call.dropped_params;
            let mut request = self.request(Method::POST, endpoint.path(), call.body.pieces())?;
            if let Some(headers) = call.headers {
                request.headers_mut().extend(*headers);
            }
            let response = exchange.send(request, self.refusal()).await?;
            metadata.upstream_id = self.upstream.upstream_id(response.headers());
            check_encoding(response.headers())?;
            let answer = without_mark(response.into_body().collect(MAX_BODY).await?);
            let reply = Document::from_bytes(answer.clone());
            let reply = endpoint.normalize(&body, reply, &mut metadata);
            reply.map_err(|error| reported(&answer).unwrap_or(error))
        };
        let answer = exchange.run(Box::pin(work)).await?;
        Ok(exchange.reply(answer, metadata))
    }

    /// Sends a call and returns the reply as a stream of chunks.
    ///
    /// # Errors
    /// Those of the upstream and of the connection, until the response's head has arrived;
    /// [`ErrorKind::Unsupported`] for an endpoint that cannot be streamed.
    pub async fn stream(&self, call: Call) -> Result<ReplyStream> {
        let exchange = self.upstream.stream_exchange(&call);
        let mut metadata = exchange.metadata();
        let work = async {
            let normalizer = call.endpoint.chunks(&call.body);
            let normalizer = normalizer.ok_or_else(|| not_streamed(call.endpoint))?;
            let mut call = self.translate(call)?;
            request_stream(call.endpoint, &mut call.body);
            metadata.dropped_params = call.dropped_params;
            let path = call.endpoint.path();
            let mut request = self.request(Method::POST, path, call.body.pieces())?;
            if let Some(headers) = call.headers {
                request.headers_mut().extend(*headers);
            }
            let response = exchange.send(request, self.refusal()).await?;
            check_encoding(response.headers())?;
            if may_be_event_stream(response.headers()) {
                return Ok((response, normalizer));
            }
            let answer = response.into_body().collect(MAX_BODY).await?;
            Err(reported(&answer).unwrap_or_else(|| {
                let message = "the upstream's response is not an event stream";
                Error::new(ErrorKind::UnexpectedBody, message)
            }))
        };
        let (response, normalizer) = exchange.run(Box::pin(work)).await?;
        metadata.upstream_id = self.upstream.upstream_id(response.headers());
        let dialect = Arc::clone(&self.dialect);
        let records = records(response.into_body()).map(move |record| match record? {
            Record::Chunk(data) => dialect.chunk(data).map(Record::Chunk),
            record => Ok(record),
        });
        Ok(exchange.reply_stream(metadata, records, normalizer))
    }

    /// Like [`send`](Self::send), for a model that only streams: requests a stream and joins the
    /// chunks.
    ///
    /// # Errors
    /// Those of [`stream`](Self::stream).
    pub async fn send_by_stream(&self, call: Call) -> Result<Reply> {
        let exchange = self.upstream.exchange(&call);
        let work = async {
            let endpoint = call.endpoint;
            let mut stream = self.stream(call).await?;
            let accumulator = endpoint.accumulator();
            let accumulator = accumulator.ok_or_else(|| not_streamed(endpoint))?;
            let answer = join(&mut stream, accumulator, MAX_CHUNKS).await?;
            Ok(Reply::new(answer, stream.metadata))
        };
        exchange.run(Box::pin(work)).await
    }

    /// Lists the models. The `extra` of each has all other members that the upstream sends.
    ///
    /// # Errors
    /// Those of the upstream and of the connection.
    pub async fn models(&self) -> Result<ModelList> {
        let exchange = self.upstream.exchange_for("models");
        let work = async {
            let request = self.request(Method::GET, MODELS, RequestBody::default())?;
            let response = exchange.send(request, self.refusal()).await?;
            let bytes = response.into_body().collect(MAX_BODY).await?;
            let list: ModelList = serde_json::from_slice(&bytes).map_err(|error| {
                let message = "the upstream's answer is not a list of models";
                Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
            })?;
            Ok(models::normalize(list))
        };
        exchange.run(work).await
    }

    /// The call in the upstream's dialect.
    fn translate(&self, mut call: Call) -> Result<Call> {
        call.body.require_object()?;
        self.dialect.request(&mut call)?;
        Ok(call)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: impl Into<RequestBody>,
    ) -> Result<Request<RequestBody>> {
        let mut request = self.upstream.request(method, path, body)?;
        let accept = HeaderValue::from_static(JSON_OR_EVENTS);
        request.headers_mut().insert(ACCEPT, accept);
        Ok(request)
    }

    fn refusal(&self) -> impl Fn(StatusCode, &HeaderMap, Bytes) -> Error {
        |status, headers, body| self.dialect.error(status, headers, body)
    }
}

/// Joins the chunks of a stream, up to `limit` bytes.
async fn join(
    stream: &mut ReplyStream,
    mut answer: Box<dyn Accumulate>,
    limit: usize,
) -> Result<Document> {
    let mut bytes = 0_usize;
    while let Some(chunk) = stream.next_chunk().await? {
        bytes = bytes.saturating_add(chunk.bytes().len());
        if bytes > limit {
            let message = format!("the upstream sent chunks of more than {limit} bytes");
            return Err(Error::new(ErrorKind::UnexpectedBody, message));
        }
        answer.push(&chunk)?;
    }
    Ok(answer.finish())
}

/// Requests a reply in one piece.
fn request_plain(body: &mut Document) {
    if body.has("stream") {
        body.set("stream", false);
    }
    // Upstreams reject stream options in a request that is not streamed.
    body.remove("stream_options");
}

/// Requests a stream with usage. The gateway removes the usage chunk unless its client asked for it.
fn request_stream(endpoint: &dyn Endpoint, body: &mut Document) {
    body.set("stream", true);
    let native = [Capability::Messages, Capability::Responses];
    // These APIs always report it.
    if native.contains(&endpoint.capability()) {
        return;
    }
    // The client's other options are kept.
    let options = body.read_member::<Map<String, Value>>("stream_options");
    let mut options = options.ok().flatten().unwrap_or_default();
    options.insert("include_usage".to_owned(), true.into());
    body.set("stream_options", options);
}

/// The error that the upstream returned in place of a reply, with the status of a success.
fn reported(answer: &Bytes) -> Option<Error> {
    let answer_has_error = Document::from_bytes(answer.clone()).has_value("error");
    answer_has_error.then(|| Error::in_stream(answer))
}

/// The body without a byte order mark, which JSON must not have.
fn without_mark(body: Bytes) -> Bytes {
    match body.starts_with(BYTE_ORDER_MARK) {
        true => body.slice(BYTE_ORDER_MARK.len()..),
        false => body,
    }
}

/// Rejects a compressed response, which was not requested and would not be readable.
fn check_encoding(headers: &HeaderMap) -> Result<()> {
    let Some(encoding) = headers.get(CONTENT_ENCODING) else {
        return Ok(());
    };
    let encoding = encoding.to_str().unwrap_or_default().trim();
    if encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") {
        return Ok(());
    }
    let message = "the upstream's response is compressed, although the request does not allow it; turn off \
                   compression at the upstream or in the proxy before it";
    Err(Error::new(ErrorKind::UnexpectedBody, message))
}

fn not_streamed(endpoint: &dyn Endpoint) -> Error {
    let message = format!("{} cannot be streamed", endpoint.capability());
    Error::new(ErrorKind::Unsupported, message).with_param("stream".to_owned())
}

/// Whether the body may be a stream of events. Simple servers send events as plain text or without a type.
fn may_be_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_none_or(|value| {
        let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
        let type_ = value.split(';').next().unwrap_or_default().trim();
        [
            "text/event-stream",
            "text/plain",
            "application/octet-stream",
        ]
        .contains(&type_)
    })
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const MODELS: &str = "/v1/models";
const MAX_BODY: usize = 64 << 20;
/// The maximum number of bytes of one streamed reply: twice the limit of a plain reply, because
/// each chunk repeats members such as `id` and `model`.
const MAX_CHUNKS: usize = 2 * MAX_BODY;
const JSON_OR_EVENTS: &str = "application/json, text/event-stream";

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use llm_provider::endpoint::Completions;
    use llm_provider::{Chunk, Metadata, ReplyEvent};
    use llm_types::completions::CompletionResponse;

    use super::*;

    #[tokio::test]
    async fn a_stream_longer_than_the_limit_is_an_error() {
        let chunk = r#"{"id":"c","model":"m","created":1,"choices":[{"index":0,"text":"x"}]}"#;
        let joined = async |limit| {
            let chunks = [chunk, chunk].map(|text| Chunk::new(Document::from_bytes(text)));
            let chunks = stream::iter(chunks.map(|chunk| Ok(ReplyEvent::Chunk(chunk))));
            let mut stream = ReplyStream::new(Metadata::default(), chunks);
            join(&mut stream, Completions.accumulator().unwrap(), limit).await
        };
        let answer = joined(2 * chunk.len()).await.unwrap();
        let answer: CompletionResponse = answer.read().unwrap();
        assert_eq!(answer.choices[0].text, "xx");
        let error = joined(2 * chunk.len() - 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedBody);
    }
}
