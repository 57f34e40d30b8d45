use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Request, Response};
use llm_types::{ChatRequest, ChatResponse};
use serde_json::{Map, json};

use super::dialect::Dialect;
use super::response::normalize;
use super::stream::chat_events;
use crate::http::{Body, with_limit};
use crate::{
    ApiKey, BaseUrl, Call, ChatStream, Error, ErrorKind, HttpClient, Json, Metadata, Reply, Result,
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
        let limit = call.timeout.unwrap_or(self.timeout);
        let (body, mut metadata) = self.prepare(&call, false)?;
        let model = metadata.model.clone();
        let exchange = async {
            let response = self.send(CHAT, body, limit).await?;
            metadata.upstream_id = upstream_id(response.headers());
            response.into_body().collect(MAX_BODY).await
        };
        let bytes = with_limit(Some(limit), exchange)
            .await
            .unwrap_or_else(|| Err(self.too_late()))
            .map_err(|error| self.name(error, &model))?;
        let response = normalize(Json::from_bytes(bytes));
        let body = response.map_err(|error| self.name(error, &model))?;
        if metadata.upstream_id.is_none() {
            metadata.upstream_id = body.str_field("id");
        }
        Ok(Reply::new(body, metadata))
    }

    /// Answers a chat in chunks.
    ///
    /// # Errors
    /// Those of the upstream and of the way to it, up to the head of the answer.
    pub async fn chat_stream(&self, call: Call<ChatRequest>) -> Result<ChatStream> {
        let limit = call.timeout.unwrap_or(self.timeout);
        let (body, mut metadata) = self.prepare(&call, true)?;
        let response = with_limit(Some(limit), self.send(CHAT, body, limit))
            .await
            .unwrap_or_else(|| Err(self.too_late()))
            .map_err(|error| self.name(error, &metadata.model))?;
        if !is_event_stream(response.headers()) {
            let error = Error::new(
                ErrorKind::UnexpectedBody,
                "the upstream was asked for an event stream and sent something else",
            );
            return Err(self.name(error, &metadata.model));
        }
        metadata.upstream_id = upstream_id(response.headers());
        let (provider, model) = (self.dialect.provider(), metadata.model.clone());
        let choices = call.body.u64_field("n").unwrap_or(1);
        let choices = usize::try_from(choices).unwrap_or(usize::MAX);
        let events = chat_events(response.into_body(), choices, move |error| {
            error.with_provider(provider).with_model(model.clone())
        });
        Ok(ChatStream::new(metadata, events))
    }

    fn prepare(&self, call: &Call<ChatRequest>, stream: bool) -> Result<(Bytes, Metadata)> {
        let translated = self.dialect.chat_request(call)?;
        let none = Map::new();
        let body = if stream {
            // The usage is always asked for: whoever counts needs it, whoever serves drops it.
            let usage = json!({ "include_usage": true });
            translated
                .body
                .edit([("stream", true.into()), ("stream_options", usage)], &none)?
        } else {
            translated.body.edit([("stream", false.into())], &none)?
        };
        let model = call.body.str_field("model").unwrap_or_default();
        let mut metadata = Metadata::new(self.dialect.provider(), model);
        metadata.dropped_params = translated.dropped_params;
        Ok((body.bytes().clone(), metadata))
    }

    async fn send(&self, path: &str, body: Bytes, idle: Duration) -> Result<Response<Body>> {
        let request = Request::post(self.base.join(path))
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

    fn too_late(&self) -> Error {
        Error::new(
            ErrorKind::Timeout,
            format!("{} did not answer in time", self.base.host()),
        )
    }

    fn name(&self, error: Error, model: &str) -> Error {
        error
            .with_provider(self.dialect.provider())
            .with_model(model)
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

const CHAT: &str = "/v1/chat/completions";
const MAX_BODY: usize = 64 << 20;
const MAX_ERROR_BODY: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(600);
