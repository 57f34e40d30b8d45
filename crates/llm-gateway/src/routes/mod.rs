//! From a request to its response: the steps of all requests, and the routes.

mod endpoint;
mod models;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use llm_provider::Endpoint;
use llm_provider::endpoint::{ENDPOINTS, Rerank};
use llm_provider::text::excerpt;
use serde_json::json;

use crate::body::BodyReader;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::guard::{self, Exposure};
use crate::response::{self, ResponseBody};
use crate::{auth, headers};

/// Serves a request: checks its key, sets an id, writes a log line, and runs its route.
pub(crate) async fn serve<B>(
    shared: Arc<Shared>,
    exposure: Exposure,
    request: Request<B>,
) -> Response<ResponseBody>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let mut body = BodyReader::new(body);
    let id = headers::request_id(&head.headers);
    // A panic in a provider must not end the connection.
    let response = AssertUnwindSafe(route(&shared, exposure, &head, &mut body)).catch_unwind();
    let response = response.await.unwrap_or_else(|_| Err(panicked()));
    body.drain(&head.headers, &shared.options).await;
    let mut response = response.unwrap_or_else(ApiError::response);
    tracing::info!(
        request = id.to_str().unwrap_or_default(),
        method = &*excerpt(head.method.as_str()),
        path = &*excerpt(head.uri.path()),
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

async fn route<B>(
    shared: &Arc<Shared>,
    exposure: Exposure,
    head: &Parts,
    body: &mut BodyReader<B>,
) -> Result<Response<ResponseBody>, ApiError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let (method, path) = (&head.method, head.uri.path());
    let route = Route::of(path);
    if !matches!(route, Some(Route::Alive | Route::Ready)) {
        match &shared.master_key {
            Some(key) => auth::check(key, &head.headers)?,
            None => guard::check(exposure, head)?,
        }
    }
    let Some(route) = route else {
        return Err(unknown_path(method, path));
    };
    if !route.takes(method) {
        return Err(wrong_method(method, path, &route));
    }
    if route.takes(&Method::POST) && shared.master_key.is_none() {
        guard::check_type(exposure, &head.headers)?;
    }
    match route {
        Route::Alive => Ok(response::json_of(&"I'm alive!")),
        Route::Ready => Ok(response::json_of(&json!({ "status": "healthy" }))),
        Route::Models => Ok(models::list(shared)),
        Route::Model(id) => models::one(shared, id),
        Route::Endpoint(endpoint) => {
            let body = body.read(&head.headers, &shared.options).await?;
            endpoint::serve(shared, endpoint, body).await
        }
        Route::RerankV2 => {
            let body = body.read(&head.headers, &shared.options).await?;
            endpoint::serve_rerank_v2(shared, &Rerank, body).await
        }
    }
}

/// The target of a path.
enum Route<'p> {
    Alive,
    Ready,
    Models,
    Model(&'p str),
    Endpoint(&'static dyn Endpoint),
    RerankV2,
}

impl<'p> Route<'p> {
    /// The route of a path. Paths below `/v1` are also served without it.
    fn of(path: &'p str) -> Option<Self> {
        match path {
            // LiteLLM's paths.
            "/health/liveliness" | "/health/liveness" => return Some(Self::Alive),
            "/health/readiness" => return Some(Self::Ready),
            _ => {}
        }
        let below = |path: &'p str| {
            path.strip_prefix("/v1")
                .filter(|rest| rest.starts_with('/'))
        };
        let path = below(path).unwrap_or(path);
        let is_path = |endpoint: &&&dyn Endpoint| below(endpoint.path()) == Some(path);
        if let Some(endpoint) = ENDPOINTS.iter().find(is_path) {
            return Some(Self::Endpoint(*endpoint));
        }
        Some(match path {
            "/v2/rerank" => Self::RerankV2,
            "/models" => Self::Models,
            other => {
                let id = other.strip_prefix("/models/")?;
                Self::Model(Some(id).filter(|id| !id.is_empty())?)
            }
        })
    }

    fn takes(&self, method: &Method) -> bool {
        match self {
            Self::Endpoint(_) | Self::RerankV2 => *method == Method::POST,
            _ => matches!(*method, Method::GET | Method::HEAD),
        }
    }
}

fn deployment(response: &Response<ResponseBody>) -> Option<&str> {
    response.headers().get(headers::DEPLOYMENT)?.to_str().ok()
}

fn panicked() -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "server_error",
        "internal error; see the gateway's log",
    )
    .with_code("internal_error")
}

fn unknown_path(method: &Method, path: &str) -> ApiError {
    let message = format!("unknown URL: {}; {}", quoted(method, path), served());
    ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message).with_code("unknown_url")
}

fn wrong_method(method: &Method, path: &str, route: &Route<'_>) -> ApiError {
    let message = format!("method not allowed: {}; {}", quoted(method, path), served());
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let is_post = route.takes(&Method::POST);
    ApiError::new(status, "invalid_request_error", message)
        .with_code("method_not_allowed")
        .with_allow(if is_post { "POST" } else { "GET,HEAD" })
}

fn quoted(method: &Method, path: &str) -> String {
    format!("{} {}", excerpt(method.as_str()), excerpt(path))
}

/// All routes, for errors.
fn served() -> String {
    let posts = ENDPOINTS
        .iter()
        .map(|endpoint| format!("POST {}", endpoint.path()));
    let posts: Vec<_> = posts.collect();
    format!(
        "the gateway serves {}, POST /v2/rerank, GET /v1/models, GET /v1/models/ID, \
         GET /health/liveliness and GET /health/readiness, also without /v1",
        posts.join(", ")
    )
}
