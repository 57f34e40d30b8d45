use std::borrow::Borrow;
use std::time::Duration;

use futures_util::TryStreamExt;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use llm_types::completions::{CompletionRequest, CompletionResponse};
use llm_types::embeddings::{EmbeddingRequest, EmbeddingResponse};
use llm_types::rerank::{RerankRequest, RerankResponse};
use llm_types::{ChatRequest, ChatResponse, ModelList};
use tokio::time::Instant;

use super::dialect::Dialect;
use super::exchange::{self, Exchange, unexpected};
use super::fold::{self, Fold};
use super::models;
use super::stream::{Chunks, Normalizer, WireChunk};
use crate::error::upstream_id;
use crate::http::{Body, RequestBody, with_limit};
use crate::retry::Policy;
use crate::{
    ApiKey, BaseUrl, Call, ChatStream, CompletionStream, Connection, Error, ErrorKind, Json,
    Metadata, Reply, ReplyStream, Result, Settings, StreamingOperation,
};

/// A client of an OpenAI-compatible upstream.
#[derive(Debug)]
pub struct OpenAiClient<D> {
    dialect: D,
    connection: Connection,
    retries: Policy,
}

impl<D: Dialect> OpenAiClient<D> {
    /// A client of the upstream at `base`; connections, limits of time, extra headers and retries
    /// are those of `settings`.
    ///
    /// # Errors
    /// Those of [`Connection::new`].
    pub fn new(dialect: D, settings: &Settings, base: BaseUrl, api_key: ApiKey) -> Result<Self> {
        Ok(Self {
            connection: Connection::new(settings, base, api_key)
                .map_err(|error| error.with_provider(dialect.provider()))?,
            dialect,
            retries: settings.retries(),
        })
    }

    /// Answers a chat in one piece.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it.
    pub async fn chat(&self, call: impl Borrow<Call<ChatRequest>>) -> Result<Reply<ChatResponse>> {
        self.whole(call.borrow()).await
    }

    /// Answers a chat in chunks.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it, up to the head of the answer.
    pub async fn chat_stream(&self, call: impl Borrow<Call<ChatRequest>>) -> Result<ChatStream> {
        self.streamed(call.borrow()).await
    }

    /// As [`chat`](Self::chat), where the upstream only streams: the chunks are put together.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it.
    pub async fn chat_by_stream(
        &self,
        call: impl Borrow<Call<ChatRequest>>,
    ) -> Result<Reply<ChatResponse>> {
        self.folded(call.borrow()).await
    }

    /// Goes on from a text, in one piece.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it.
    pub async fn complete(
        &self,
        call: impl Borrow<Call<CompletionRequest>>,
    ) -> Result<Reply<CompletionResponse>> {
        self.whole(call.borrow()).await
    }

    /// Goes on from a text, in chunks.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it, up to the head of the answer.
    pub async fn complete_stream(
        &self,
        call: impl Borrow<Call<CompletionRequest>>,
    ) -> Result<CompletionStream> {
        self.streamed(call.borrow()).await
    }

    /// As [`complete`](Self::complete), where the upstream only streams: the chunks are put
    /// together.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it.
    pub async fn complete_by_stream(
        &self,
        call: impl Borrow<Call<CompletionRequest>>,
    ) -> Result<Reply<CompletionResponse>> {
        self.folded(call.borrow()).await
    }

    /// Turns texts into vectors, in base64 when the request asks for that, else as numbers.
    ///
    /// OpenAI's clients need the token counts. Where the upstream tells none they are estimated
    /// at four characters a token, and have a member `estimated`.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it.
    pub async fn embed(
        &self,
        call: impl Borrow<Call<EmbeddingRequest>>,
    ) -> Result<Reply<EmbeddingResponse>> {
        self.whole(call.borrow()).await
    }

    /// Sorts documents by relevance; the answer has Cohere's `id` and `meta`.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it.
    pub async fn rerank(
        &self,
        call: impl Borrow<Call<RerankRequest>>,
    ) -> Result<Reply<RerankResponse>> {
        self.whole(call.borrow()).await
    }

    /// Lists the models; whatever the upstream tells of each is in its `extra`.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it.
    pub async fn models(&self) -> Result<ModelList> {
        let limit = self.connection.timeouts().of_call(None, false);
        let exchange = async {
            let response = self.send(Method::GET, MODELS, RequestBody::default(), limit);
            response.await?.into_body().collect(MAX_BODY).await
        };
        let bytes = self.within(limit, exchange).await;
        let list = bytes.and_then(|bytes| {
            let list: ModelList = serde_json::from_slice(&bytes)
                .map_err(|error| unexpected("a list of models", error))?;
            Ok(models::normalize(list))
        });
        list.map_err(|error| {
            let error = error.with_provider(self.dialect.provider());
            self.connection.discreet(error)
        })
    }

    /// One request, and its answer in one piece.
    async fn whole<R: Exchange>(&self, call: &Call<R>) -> Result<Reply<R::Response>> {
        let limit = self.connection.timeouts().of_call(call.timeout, false);
        let mut metadata = self.metadata(&call.body);
        let exchange = async {
            let body = self.translate(call, &mut metadata)?;
            let body = exchange::unstreamed(body)?;
            let response = self
                .send(Method::POST, R::PATH, body.pieces().into(), limit)
                .await?;
            metadata.upstream_id = upstream_id(response.headers());
            let bytes = response.into_body().collect(MAX_BODY).await?;
            R::normalize(&call.body, Json::from_bytes(bytes), &mut metadata)
        };
        let body = self.within(limit, Box::pin(exchange)).await;
        let body = body.map_err(|error| self.name(error, &call.body))?;
        if metadata.upstream_id.is_none() {
            metadata.upstream_id = body.str_field("id");
        }
        Ok(Reply::new(body, metadata))
    }

    /// One request, and its answer in chunks.
    async fn streamed<R>(&self, call: &Call<R>) -> Result<ReplyStream<R::Chunk>>
    where
        R: Exchange + StreamingOperation<Chunk: WireChunk>,
    {
        let limit = self.connection.timeouts().of_call(call.timeout, true);
        let mut metadata = self.metadata(&call.body);
        let exchange = async {
            let body = self.translate(call, &mut metadata)?;
            let body = exchange::streamed(body)?;
            let response = self
                .send(Method::POST, R::PATH, body.pieces().into(), limit)
                .await?;
            if !is_event_stream(response.headers()) {
                let message = "the upstream was asked for an event stream and sent something else";
                return Err(Error::new(ErrorKind::UnexpectedBody, message));
            }
            Ok(response)
        };
        let response = self.within(limit, Box::pin(exchange)).await;
        let response = response.map_err(|error| self.name(error, &call.body))?;
        metadata.upstream_id = upstream_id(response.headers());
        let normalizer = Normalizer::new(&call.body);
        let (provider, model) = (self.dialect.provider(), metadata.model.clone());
        let chunks = Chunks::new(response.into_body(), normalizer);
        let events =
            chunks.map_err(move |error| error.with_provider(provider).with_model(model.clone()));
        Ok(ReplyStream::new(metadata, events))
    }

    /// One request, and its answer in chunks that are put together.
    async fn folded<R: Fold>(&self, call: &Call<R>) -> Result<Reply<R::Response>> {
        let limit = self.connection.timeouts().of_call(call.timeout, false);
        let body = call.body.clone();
        let exchange = async { fold::fold::<R>(self.streamed(call).await?).await };
        let reply = self.within(limit, exchange).await;
        reply.map_err(|error| self.name(error, &body))
    }

    fn metadata<R: Exchange>(&self, body: &Json<R>) -> Metadata {
        let model = body.str_field("model").unwrap_or_default();
        Metadata::new(self.dialect.provider(), model)
    }

    fn translate<R: Exchange>(&self, call: &Call<R>, metadata: &mut Metadata) -> Result<Json<R>> {
        let translated = R::translate(&self.dialect, call)?;
        metadata.dropped_params = translated.dropped_params;
        Ok(translated.body)
    }

    /// Takes the exchange boxed: each layer it is passed through would copy it.
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

    /// Sends the request, again where the policy says so, and waits for the head of the answer.
    async fn send(
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

    fn name<R: Exchange>(&self, error: Error, body: &Json<R>) -> Error {
        let error = error
            .with_provider(self.dialect.provider())
            .with_model(body.str_field("model").unwrap_or_default());
        self.connection.discreet(error)
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().starts_with("text/event-stream"))
}

const MODELS: &str = "/v1/models";
const MAX_BODY: usize = 64 << 20;
const JSON: &str = "application/json";
const JSON_OR_EVENTS: &str = "application/json, text/event-stream";
