use std::borrow::Cow;
use std::time::Duration;

use futures_util::TryStreamExt;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use llm_http::{Body, Connection, Deadline, Policy, with_limit};
use llm_provider::endpoint::{Accumulate, Endpoint};
use llm_provider::{
    ApiKey, BaseUrl, Call, Document, Error, ErrorKind, Metadata, Reply, ReplyStream, RequestBody,
    Result, Settings, upstream_id,
};
use llm_types::ModelList;
use serde_json::json;
use tokio::time::Instant;

use crate::models;
use crate::stream::Chunks;
use crate::wire::Dialect;

/// A client of an OpenAI-compatible upstream.
#[derive(Debug)]
pub struct OpenAiClient<D> {
    dialect: D,
    connection: Connection,
    retries: Policy,
}

impl<D: Dialect> OpenAiClient<D> {
    /// A client of the upstream at `base`; transport, timeouts, extra headers and retries are
    /// those of `settings`. With an empty key, requests have no `Authorization` header.
    ///
    /// # Errors
    /// Those of [`Connection::new`].
    pub fn new(dialect: D, settings: &Settings, base: BaseUrl, api_key: ApiKey) -> Result<Self> {
        Ok(Self {
            connection: Connection::new(settings, base, api_key)
                .map_err(|error| error.with_provider(dialect.provider()))?,
            dialect,
            retries: Policy::of(settings),
        })
    }

    /// When a call that begins now has to have ended; for a stream, when its head has to be there.
    ///
    /// Each method keeps to that by itself. A provider that needs several of them for one call
    /// bounds them all by one deadline.
    pub fn deadline(&self, call: &Call, stream: bool) -> Deadline {
        let limit = self.connection.timeouts().of_call(call.timeout, stream);
        Deadline::after(limit)
    }

    /// Answers a call in one piece.
    ///
    /// # Errors
    /// Those of the upstream and of the connection.
    pub async fn send(&self, call: Call) -> Result<Reply> {
        let limit = self.connection.timeouts().of_call(call.timeout, false);
        let mut metadata = self.metadata(&call);
        let exchange = async {
            let (endpoint, request) = (call.endpoint, call.body.clone());
            let mut call = self.translate(call)?;
            unstreamed(&mut call.body);
            metadata.dropped_params = call.dropped_params;
            let body = call.body.pieces().into();
            let sent = self.exchange(Method::POST, endpoint.path(), body, limit);
            let response = sent.await?;
            metadata.upstream_id = self.upstream_id(&response);
            let answer = response.into_body().collect(MAX_BODY).await?;
            endpoint.normalize(&request, Document::from_bytes(answer), &mut metadata)
        };
        let answer = self.within(limit, Box::pin(exchange)).await;
        let answer = answer.map_err(|error| self.describe(error, &metadata.model))?;
        if metadata.upstream_id.is_none() {
            let id = answer.str("id").map(Cow::into_owned);
            metadata.upstream_id = id.map(|id| self.without_secrets(id));
        }
        Ok(Reply::new(answer, metadata))
    }

    /// Answers a call in chunks.
    ///
    /// # Errors
    /// Those of the upstream and of the connection, up to the head of the answer;
    /// [`ErrorKind::Unsupported`] for an endpoint whose answers are not streamed.
    pub async fn stream(&self, call: Call) -> Result<ReplyStream> {
        let limit = self.connection.timeouts().of_call(call.timeout, true);
        let mut metadata = self.metadata(&call);
        let exchange = async {
            let normalizer = call.endpoint.chunks(&call.body);
            let normalizer = normalizer.ok_or_else(|| not_streamed(call.endpoint))?;
            let mut call = self.translate(call)?;
            streamed(&mut call.body);
            metadata.dropped_params = call.dropped_params;
            let body = call.body.pieces().into();
            let sent = self.exchange(Method::POST, call.endpoint.path(), body, limit);
            let response = sent.await?;
            if !is_event_stream(response.headers()) {
                let message = "the upstream was asked for an event stream and sent something else";
                return Err(Error::new(ErrorKind::UnexpectedBody, message));
            }
            Ok((response, normalizer))
        };
        let opened = self.within(limit, Box::pin(exchange)).await;
        let (response, normalizer) =
            opened.map_err(|error| self.describe(error, &metadata.model))?;
        metadata.upstream_id = self.upstream_id(&response);
        let (provider, model) = (self.dialect.provider(), metadata.model.clone());
        let chunks = Chunks::new(response.into_body(), normalizer);
        let secrets = self.connection.secrets().clone();
        let events = chunks.map_err(move |error| {
            let error = error.with_provider(provider).with_model(model.clone());
            error.redacted(&secrets)
        });
        Ok(ReplyStream::new(metadata, events))
    }

    /// As [`send`](Self::send), for a model that only streams: the chunks are joined.
    ///
    /// # Errors
    /// Those of [`stream`](Self::stream).
    pub async fn send_by_stream(&self, call: Call) -> Result<Reply> {
        let limit = self.connection.timeouts().of_call(call.timeout, false);
        let (endpoint, model) = (call.endpoint, call.model());
        let exchange = async {
            let mut stream = self.stream(call).await?;
            let accumulator = endpoint.accumulator();
            let accumulator = accumulator.ok_or_else(|| not_streamed(endpoint))?;
            let answer = join(&mut stream, accumulator).await?;
            Ok(Reply::new(answer, stream.metadata))
        };
        let reply = self.within(limit, Box::pin(exchange)).await;
        reply.map_err(|error| self.describe(error, &model))
    }

    /// Lists the models; everything that the upstream reports of each is in its `extra`.
    ///
    /// # Errors
    /// Those of the upstream and of the connection.
    pub async fn models(&self) -> Result<ModelList> {
        let limit = self.connection.timeouts().of_call(None, false);
        let exchange = async {
            let response = self.exchange(Method::GET, MODELS, RequestBody::default(), limit);
            response.await?.into_body().collect(MAX_BODY).await
        };
        let bytes = self.within(limit, exchange).await;
        let list = bytes.and_then(|bytes| {
            let list: ModelList = serde_json::from_slice(&bytes).map_err(|error| {
                let message = "the upstream's answer is not a list of models";
                Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
            })?;
            Ok(models::normalize(list))
        });
        list.map_err(|error| {
            let error = error.with_provider(self.dialect.provider());
            self.connection.redact(error)
        })
    }

    /// The upstream's own id of a request, from the head of its answer.
    fn upstream_id(&self, response: &Response<Body>) -> Option<String> {
        upstream_id(response.headers()).map(|id| self.without_secrets(id))
    }

    fn without_secrets(&self, mut text: String) -> String {
        self.connection.secrets().redact_in(&mut text);
        text
    }

    fn metadata(&self, call: &Call) -> Metadata {
        Metadata::new(self.dialect.provider(), call.model())
    }

    /// The call in the upstream's dialect.
    fn translate(&self, mut call: Call) -> Result<Call> {
        call.body.require_object()?;
        self.dialect.request(&mut call)?;
        Ok(call)
    }

    /// Takes the exchange boxed: each layer that it passes through would copy it.
    async fn within<T>(
        &self,
        limit: Duration,
        exchange: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let too_late = || {
            let message = format!("{} did not answer in time", self.connection.base().host());
            Err(Error::new(ErrorKind::Timeout, message))
        };
        with_limit(Some(limit), exchange)
            .await
            .unwrap_or_else(too_late)
    }

    /// Sends a request, again where the policy says so, and waits for the head of the answer.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: RequestBody,
        limit: Duration,
    ) -> Result<Response<Body>> {
        let url = self.connection.base().join(path)?;
        let timeouts = self.connection.timeouts();
        let deadline = Instant::now().checked_add(limit);
        let attempt = |_| {
            let mut request = Request::new(body.clone());
            *request.method_mut() = method.clone();
            *request.uri_mut() = url.clone();
            let headers = request.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
            headers.insert(ACCEPT, HeaderValue::from_static(JSON_OR_EVENTS));
            let refusal =
                |status, headers: &HeaderMap, body| self.dialect.error(status, headers, body);
            let idle = timeouts.idle_of(limit);
            self.connection
                .send(request, timeouts.first_byte, idle, refusal)
        };
        self.retries.run(deadline, attempt).await
    }

    fn describe(&self, error: Error, model: &str) -> Error {
        let error = error
            .with_provider(self.dialect.provider())
            .with_model(model);
        self.connection.redact(error)
    }
}

/// Joins the chunks of a stream, up to [`MAX_CHUNKS`] bytes.
async fn join(stream: &mut ReplyStream, mut answer: Box<dyn Accumulate>) -> Result<Document> {
    let mut bytes = 0_usize;
    while let Some(chunk) = stream.next_chunk().await? {
        bytes = bytes.saturating_add(chunk.bytes().len());
        if bytes > MAX_CHUNKS {
            let message = format!("the upstream sent chunks of more than {MAX_CHUNKS} bytes");
            return Err(Error::new(ErrorKind::UnexpectedBody, message));
        }
        answer.push(&chunk)?;
    }
    Ok(answer.finish())
}

/// Asks for an answer in one piece.
fn unstreamed(body: &mut Document) {
    if body.has("stream") {
        body.set("stream", false);
    }
    // Upstreams reject options of a stream where there is none.
    body.remove("stream_options");
}

/// Asks for a stream with usage: whoever serves clients that did not ask for it drops it.
fn streamed(body: &mut Document) {
    body.set("stream", true);
    body.set("stream_options", json!({ "include_usage": true }));
}

fn not_streamed(endpoint: &dyn Endpoint) -> Error {
    let message = format!("{} cannot be streamed", endpoint.capability());
    Error::new(ErrorKind::Unsupported, message).with_param("stream".to_owned())
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().starts_with("text/event-stream"))
}

const MODELS: &str = "/v1/models";
const MAX_BODY: usize = 64 << 20;
/// The most bytes of chunks for one answer: twice the limit of an answer in one piece, as chunks
/// repeat what such an answer has once.
const MAX_CHUNKS: usize = 2 * MAX_BODY;
const JSON: &str = "application/json";
const JSON_OR_EVENTS: &str = "application/json, text/event-stream";

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;

    use super::*;
    use llm_provider::endpoint::Completions;
    use llm_provider::{Chunk, ReplyEvent};

    #[tokio::test]
    async fn an_answer_of_endless_chunks_is_an_error() {
        let text = "x".repeat(4 << 20);
        let choices = format!(r#"[{{"index":0,"text":"{text}"}}]"#);
        let chunk = format!(r#"{{"id":"c","model":"m","created":1,"choices":{choices}}}"#);
        let chunk = Chunk::new(Document::from_bytes(Bytes::from(chunk)));
        let chunks = stream::repeat_with(move || Ok(ReplyEvent::Chunk(chunk.clone())));
        let mut endless = ReplyStream::new(Metadata::default(), chunks);
        let answer = Completions.accumulator().unwrap();
        let error = join(&mut endless, answer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedBody);
    }
}
