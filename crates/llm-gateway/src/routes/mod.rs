//! From any request to its answer: the envelope that all have in common, and the routes.

mod answer;
mod chat;
mod completions;
mod embeddings;
mod models;
mod rerank;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use llm_types::ChatRequest;
use llm_types::completions::CompletionRequest;
use llm_types::embeddings::EmbeddingRequest;
use llm_types::rerank::RerankRequest;
use serde_json::json;

use crate::error::ApiError;
use crate::gateway::Shared;
use crate::response::{self, Body};
use crate::{auth, body, headers};

/// Answers a request: the key, the id, a line in the log, and what its route says.
pub(crate) async fn serve<B>(shared: Arc<Shared>, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let id = headers::request_id(&head.headers);
    // A provider that panics must not take the connection with it.
    let answer = AssertUnwindSafe(route(&shared, &head, body)).catch_unwind();
    let answer = answer.await.unwrap_or_else(|_| Err(panicked()));
    let mut response = answer.unwrap_or_else(ApiError::response);
    tracing::info!(
        request = id.to_str().unwrap_or_default(),
        method = %head.method,
        path = head.uri.path(),
        status = response.status().as_u16(),
        deployment = deployment(&response),
        ms = started.elapsed().as_millis(),
    );
    let headers = response.headers_mut();
    headers.insert(headers::REQUEST_ID, id);
    if shared.options.simulated {
        headers.insert(headers::SIMULATED, HeaderValue::from_static("true"));
    }
    response
}

async fn route<B>(shared: &Arc<Shared>, head: &Parts, body: B) -> Result<Response<Body>, ApiError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let (method, path) = (&head.method, head.uri.path());
    let route = Route::of(path);
    if !matches!(route, Some(Route::Get(Look::Alive | Look::Ready))) {
        auth::check(shared.master_key.as_ref(), &head.headers)?;
    }
    match route {
        Some(Route::Get(look)) if matches!(*method, Method::GET | Method::HEAD) => {
            look.answer(shared)
        }
        Some(Route::Post(ask)) if *method == Method::POST => {
            let body = body::read(&head.headers, body, &shared.options).await?;
            ask.answer(shared, body).await
        }
        Some(route) => Err(wrong_method(method, path, &route)),
        None => Err(unknown_path(method, path)),
    }
}

/// What a path leads to.
enum Route<'p> {
    Get(Look<'p>),
    Post(Ask),
}

/// What can be looked at.
enum Look<'p> {
    Alive,
    Ready,
    Models,
    Model(&'p str),
}

/// What can be asked for.
enum Ask {
    Chat,
    Completions,
    Embeddings,
    Rerank,
    RerankV2,
}

impl<'p> Route<'p> {
    fn of(path: &'p str) -> Option<Self> {
        match path {
            // In LiteLLM's words.
            "/health/liveliness" | "/health/liveness" => return Some(Self::Get(Look::Alive)),
            "/health/readiness" => return Some(Self::Get(Look::Ready)),
            _ => {}
        }
        let versionless = path
            .strip_prefix("/v1")
            .filter(|rest| rest.starts_with('/'));
        Some(match versionless.unwrap_or(path) {
            "/chat/completions" => Self::Post(Ask::Chat),
            "/completions" => Self::Post(Ask::Completions),
            "/embeddings" => Self::Post(Ask::Embeddings),
            "/rerank" => Self::Post(Ask::Rerank),
            "/v2/rerank" => Self::Post(Ask::RerankV2),
            "/models" => Self::Get(Look::Models),
            other => {
                let id = other.strip_prefix("/models/")?;
                Self::Get(Look::Model(Some(id).filter(|id| !id.is_empty())?))
            }
        })
    }
}

impl Look<'_> {
    fn answer(self, shared: &Shared) -> Result<Response<Body>, ApiError> {
        Ok(match self {
            Self::Alive => response::json_of(&"I'm alive!"),
            Self::Ready => response::json_of(&json!({ "status": "healthy" })),
            Self::Models => models::list(shared),
            Self::Model(id) => models::one(shared, id)?,
        })
    }
}

impl Ask {
    async fn answer(self, shared: &Arc<Shared>, body: Bytes) -> Result<Response<Body>, ApiError> {
        match self {
            Self::Chat => answer::plain_or_streamed::<ChatRequest>(shared, body).await,
            Self::Completions => answer::plain_or_streamed::<CompletionRequest>(shared, body).await,
            Self::Embeddings => answer::plain::<EmbeddingRequest>(shared, body).await,
            Self::Rerank => answer::plain::<RerankRequest>(shared, body).await,
            Self::RerankV2 => rerank::v2(shared, body).await,
        }
    }
}

fn deployment(response: &Response<Body>) -> Option<&str> {
    response.headers().get(headers::DEPLOYMENT)?.to_str().ok()
}

fn panicked() -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "server_error",
        "the gateway failed; its log tells more",
    )
    .with_code("internal_error")
}

fn unknown_path(method: &Method, path: &str) -> ApiError {
    let message = format!("there is no {method} {path}; there is {KNOWN}");
    ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message).with_code("unknown_url")
}

fn wrong_method(method: &Method, path: &str, route: &Route<'_>) -> ApiError {
    let message = format!("{method} is not allowed on {path}; there is {KNOWN}");
    let status = StatusCode::METHOD_NOT_ALLOWED;
    ApiError::new(status, "invalid_request_error", message)
        .with_code("method_not_allowed")
        .with_allow(match route {
            Route::Get(_) => "GET,HEAD",
            Route::Post(_) => "POST",
        })
}

const KNOWN: &str = "POST /v1/chat/completions, POST /v1/completions, POST /v1/embeddings, \
    POST /v1/rerank, POST /v2/rerank, GET /v1/models, GET /v1/models/ID, \
    GET /health/liveliness and GET /health/readiness, also without /v1";
