use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method, Request, Response};
use llm_types::completions::{CompletionRequest, CompletionResponse};
use llm_types::embeddings::{EmbeddingRequest, EmbeddingResponse};
use llm_types::rerank::{RerankRequest, RerankResponse};
use llm_types::{ChatRequest, ChatResponse, ModelList};

use super::dialect::Dialect;
use super::exchange::{self, Exchange, unexpected};
use super::models;
use super::stream::{self, Normalizer, WireChunk};
use crate::http::{Body, with_limit};
use crate::{
    ApiKey, BaseUrl, Call, ChatStream, CompletionStream, Error, ErrorKind, HttpClient, Json,
    Metadata, Reply, ReplyStream, Result, StreamingOperation,
};

/// A client of an OpenAI-compatible upstream.
#[derive(Debug)]
pub struct OpenAiClient<D> {
    dialect: D,
    http: HttpClient,
    base: BaseUrl,
    api_key: ApiKey,
    timeout: Duration,
}

impl<D: Dialect> OpenAiClient<D> {
    /// A client of the upstream at `base`.
    pub fn new(dialect: D, http: HttpClient, base: BaseUrl, api_key: ApiKey) -> Self {
        Self {
            dialect,
            http,
            base,
            api_key,
            timeout: TIMEOUT,
        }
    }

    /// How long a call may take that does not say so itself.
    #[must_use]
    pub fn with_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into().unwrap_or(TIMEOUT);
        self
    }

    /// Answers a chat in one piece.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it.
    pub async fn chat(&self, call: Call<ChatRequest>) -> Result<Reply<ChatResponse>> {
        self.whole(call).await
    }

    /// Answers a chat in chunks.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it, up to the head of the answer.
    pub async fn chat_stream(&self, call: Call<ChatRequest>) -> Result<ChatStream> {
        self.streamed(call).await
    }

    /// Goes on from a text, in one piece.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it.
    pub async fn complete(
        &self,
        call: Call<CompletionRequest>,
    ) -> Result<Reply<CompletionResponse>> {
        self.whole(call).await
    }

    /// Goes on from a text, in chunks.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it, up to the head of the answer.
    pub async fn complete_stream(&self, call: Call<CompletionRequest>) -> Result<CompletionStream> {
        self.streamed(call).await
    }

    /// Turns texts into vectors, in base64 when the request asks for that, else as numbers.
    ///
    /// OpenAI's clients need the token counts. Where the upstream tells none they are estimated
    /// at four characters a token, and have a member `estimated`.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it.
    pub async fn embed(&self, call: Call<EmbeddingRequest>) -> Result<Reply<EmbeddingResponse>> {
        self.whole(call).await
    }

    /// Sorts documents by relevance; the answer has Cohere's `id` and `meta`.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it.
    pub async fn rerank(&self, call: Call<RerankRequest>) -> Result<Reply<RerankResponse>> {
        self.whole(call).await
    }

    /// Lists the models; whatever the upstream tells of each is in its `extra`.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it.
    pub async fn models(&self) -> Result<ModelList> {
        let exchange = async {
            let response = self.send(Method::GET, MODELS, Bytes::new(), self.timeout);
            response.await?.into_body().collect(MAX_BODY).await
        };
        let bytes = self.within(self.timeout, exchange).await;
        let list = bytes.and_then(|bytes| {
            let list: ModelList = serde_json::from_slice(&bytes)
                .map_err(|error| unexpected("a list of models", error))?;
            Ok(models::normalize(list))
        });
        list.map_err(|error| error.with_provider(self.dialect.provider()))
    }

    /// One request, and its answer in one piece.
    async fn whole<R: Exchange>(&self, call: Call<R>) -> Result<Reply<R::Response>> {
        let limit = call.timeout.unwrap_or(self.timeout);
        let mut metadata = self.metadata(&call.body);
        let exchange = async {
            let body = self.translate(&call, &mut metadata)?;
            let body = exchange::unstreamed(body)?;
            let response = self
                .send(Method::POST, R::PATH, body.bytes().clone(), limit)
                .await?;
            metadata.upstream_id = upstream_id(response.headers());
            let bytes = response.into_body().collect(MAX_BODY).await?;
            R::normalize(&call.body, Json::from_bytes(bytes), &mut metadata)
        };
        let body = self.within(limit, exchange).await;
        let body = body.map_err(|error| self.name(error, &call.body))?;
        if metadata.upstream_id.is_none() {
            metadata.upstream_id = body.str_field("id");
        }
        Ok(Reply::new(body, metadata))
    }

    /// One request, and its answer in chunks.
    async fn streamed<R>(&self, call: Call<R>) -> Result<ReplyStream<R::Chunk>>
    where
        R: Exchange + StreamingOperation<Chunk: WireChunk>,
    {
        let limit = call.timeout.unwrap_or(self.timeout);
        let mut metadata = self.metadata(&call.body);
        let exchange = async {
            let body = self.translate(&call, &mut metadata)?;
            let body = exchange::streamed(body)?;
            let response = self
                .send(Method::POST, R::PATH, body.bytes().clone(), limit)
                .await?;
            if !is_event_stream(response.headers()) {
                let message = "the upstream was asked for an event stream and sent something else";
                return Err(Error::new(ErrorKind::UnexpectedBody, message));
            }
            Ok(response)
        };
        let response = self.within(limit, exchange).await;
        let response = response.map_err(|error| self.name(error, &call.body))?;
        metadata.upstream_id = upstream_id(response.headers());
        let normalizer = Normalizer::new(&call.body);
        let (provider, model) = (self.dialect.provider(), metadata.model.clone());
        let events = stream::events(response.into_body(), normalizer, move |error| {
            error.with_provider(provider).with_model(model.clone())
        });
        Ok(ReplyStream::new(metadata, events))
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

    async fn within<T>(
        &self,
        limit: Duration,
        exchange: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let too_late = || {
            let message = format!("{} did not answer in time", self.base.host());
            Err(Error::new(ErrorKind::Timeout, message))
        };
        with_limit(Some(limit), exchange)
            .await
            .unwrap_or_else(too_late)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        idle: Duration,
    ) -> Result<Response<Body>> {
        let request = Request::builder()
            .method(method)
            .uri(self.base.join(path))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .header(AUTHORIZATION, self.api_key.bearer()?)
            .body(body)
            .map_err(|error| {
                Error::new(
                    ErrorKind::InvalidRequest,
                    "the upstream's address is not a URL",
                )
                .with_source(error)
            })?;
        let response = self.http.send(request, None, idle).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = body.collect(MAX_ERROR_BODY).await.unwrap_or_default();
        Err(self.dialect.error(parts.status, &parts.headers, body))
    }

    fn name<R: Exchange>(&self, error: Error, body: &Json<R>) -> Error {
        error
            .with_provider(self.dialect.provider())
            .with_model(body.str_field("model").unwrap_or_default())
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().starts_with("text/event-stream"))
}

fn upstream_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(HeaderName::from_static("x-request-id"))?;
    id.to_str().ok().map(str::to_owned)
}

const MODELS: &str = "/v1/models";
const MAX_BODY: usize = 64 << 20;
const MAX_ERROR_BODY: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(600);
