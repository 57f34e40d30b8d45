//! The routes, each with and without `/v1`.

mod answer;
mod chat;
mod completions;
mod embeddings;
mod health;
mod models;
mod rerank;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::FutureExt;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use llm_types::ChatRequest;
use llm_types::completions::CompletionRequest;
use llm_types::embeddings::EmbeddingRequest;
use llm_types::rerank::RerankRequest;
use serde::Serialize;

use crate::error::ApiError;
use crate::gateway::Shared;
use crate::{auth, headers};

pub(crate) fn router(shared: Arc<Shared>) -> axum::Router {
    let mut router = axum::Router::new()
        .route("/health/liveliness", get(health::liveliness))
        .route("/health/liveness", get(health::liveliness))
        .route("/health/readiness", get(health::readiness));
    for base in ["", "/v1"] {
        router = router
            .route(
                &format!("{base}/chat/completions"),
                post(answer::plain_or_streamed::<ChatRequest>),
            )
            .route(
                &format!("{base}/completions"),
                post(answer::plain_or_streamed::<CompletionRequest>),
            )
            .route(
                &format!("{base}/embeddings"),
                post(answer::plain::<EmbeddingRequest>),
            )
            .route(
                &format!("{base}/rerank"),
                post(answer::plain::<RerankRequest>),
            )
            .route(&format!("{base}/v2/rerank"), post(rerank::v2))
            .route(&format!("{base}/models"), get(models::list))
            .route(&format!("{base}/models/{{*id}}"), get(models::one));
    }
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&shared),
            envelope,
        ))
        .with_state(shared)
}

/// What all requests have in common: the key, the id, a line in the log.
async fn envelope(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = headers::request_id(request.headers());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let refused = if path.starts_with("/health/") {
        None
    } else {
        auth::check(shared.master_key.as_ref(), request.headers()).err()
    };
    let mut response = match refused {
        Some(error) => error.into_response(),
        // A provider that panics must not take the connection with it.
        None => AssertUnwindSafe(next.run(request))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| panicked().into_response()),
    };
    tracing::info!(
        request = id.to_str().unwrap_or_default(),
        %method,
        path,
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

fn deployment(response: &Response) -> Option<&str> {
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

/// An answer in JSON.
fn json<T: Serialize>(value: &T) -> Response {
    // Writing can only fail for maps whose keys are not strings; no type here has one.
    let body = serde_json::to_vec(value).unwrap_or_default();
    (
        [(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        body,
    )
        .into_response()
}

async fn unknown_path(method: Method, uri: Uri) -> ApiError {
    let message = format!("there is no {method} {}; there is {KNOWN}", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message).with_code("unknown_url")
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!(
        "{method} is not allowed on {}; there is {KNOWN}",
        uri.path()
    );
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "invalid_request_error",
        message,
    )
    .with_code("method_not_allowed")
}

const KNOWN: &str = "POST /v1/chat/completions, POST /v1/completions, POST /v1/embeddings, \
    POST /v1/rerank, POST /v2/rerank, GET /v1/models, GET /v1/models/ID, \
    GET /health/liveliness and GET /health/readiness, also without /v1";
