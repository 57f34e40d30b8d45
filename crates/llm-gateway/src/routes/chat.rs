//! `POST /chat/completions`, in one piece or as a stream.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Request, StatusCode};
use llm_provider::{Call, Json, Metadata};
use llm_types::ChatRequest;
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::gateway::Shared;
use crate::request::ChatParams;
use crate::sse::{Frames, Source};
use crate::{body, headers};

pub(super) async fn chat(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let body = body::read(request, &shared.options).await?;
    let params = ChatParams::read(&body)?;
    let call = Call::new(Json::from_bytes(body)).with_drop_params(shared.drop_params);
    if params.stream {
        streamed(shared, params, call).await
    } else {
        plain(&shared, params, call).await
    }
}

async fn plain(
    shared: &Shared,
    params: ChatParams,
    call: Call<ChatRequest>,
) -> Result<Response, ApiError> {
    let reply = shared.router.send(&params.model, call).await?;
    // Clients know the model by the name that they asked for.
    let answer = reply
        .body
        .edit([("model", Value::String(params.model))], &Map::new());
    let answer = answer.map_err(|_| {
        ApiError::new(
            StatusCode::BAD_GATEWAY,
            "api_error",
            "the upstream's answer is no JSON",
        )
        .with_code("upstream_unreadable")
    })?;
    let mut response = Body::from(answer.bytes().clone()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers::describe(headers, &reply.metadata);
    Ok(response)
}

/// The status waits for the upstream's first sign of life, but not longer than a client's idle
/// connection can bear: after that the answer begins with a comment, and a failure is an event.
async fn streamed(
    shared: Arc<Shared>,
    params: ChatParams,
    call: Call<ChatRequest>,
) -> Result<Response, ApiError> {
    let keep_alive = shared.options.keep_alive;
    let ChatParams {
        model,
        include_usage,
        ..
    } = params;
    let group = model.clone();
    let mut opening = Box::pin(async move { shared.router.stream(&group, call).await });
    let (source, metadata) = match tokio::time::timeout(keep_alive, &mut opening).await {
        Ok(stream) => {
            let stream = stream?;
            let metadata = stream.metadata.clone();
            (Source::Open(stream), metadata)
        }
        Err(_) => (Source::Opening(opening), Metadata::default()),
    };
    let frames = Frames::new(source, model, include_usage, keep_alive);
    let mut response = Body::from_stream(frames).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    headers::describe(headers, &metadata);
    Ok(response)
}

/// Keeps nginx from holding frames back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
