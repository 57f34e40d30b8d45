//! From a request to its answer, for operations of every sort.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use llm_provider::{Call, Json, Metadata, Operation, StreamingOperation};
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::gateway::Shared;
use crate::headers;
use crate::request::Params;
use crate::response::{self, Body};
use crate::sse::{Frames, Source};

/// An operation that has a route.
pub(super) trait Served: Operation {
    /// Whether every answer names its model, as OpenAI's do; in others it is renamed if it is there.
    const NAMES_MODEL: bool = true;

    /// Checks a body and reads what decides about its way, without parsing the rest.
    fn read(body: &Json<Self>) -> Result<Params, ApiError>;
}

/// The answer to the request of an operation that has no streams.
pub(super) async fn plain<R: Served>(
    shared: &Shared,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let (params, call) = question::<R>(shared, body)?;
    whole(shared, params, call).await
}

/// The answer in one piece, or as a stream to whoever wants one.
pub(super) async fn plain_or_streamed<R: Served + StreamingOperation>(
    shared: &Arc<Shared>,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let (params, call) = question::<R>(shared, body)?;
    if params.stream {
        streamed(Arc::clone(shared), params, call).await
    } else {
        whole(shared, params, call).await
    }
}

pub(super) fn question<R: Served>(
    shared: &Shared,
    body: Bytes,
) -> Result<(Params, Call<R>), ApiError> {
    let body = Json::from_bytes(body);
    let params = R::read(&body)?;
    Ok((params, Call::new(body).with_drop_params(shared.drop_params)))
}

pub(super) async fn whole<R: Served>(
    shared: &Shared,
    params: Params,
    call: Call<R>,
) -> Result<Response<Body>, ApiError> {
    let reply = shared.router.send(&params.model, call).await?;
    let none = Map::new();
    let body = if R::NAMES_MODEL || reply.body.has_field("model") {
        // Clients know the model by the name that they asked for.
        let model = Value::String(params.model);
        reply.body.edit([("model", model)], &none)
    } else {
        reply.body.edit([], &none)
    };
    let body = body.map_err(|_| unreadable())?;
    let mut response = response::json(body.bytes().clone());
    headers::describe(response.headers_mut(), &reply.metadata);
    Ok(response)
}

/// The status waits for the upstream's first sign of life, but not longer than a client's idle
/// connection can bear: after that the answer begins with a comment, and a failure is an event.
async fn streamed<R: StreamingOperation>(
    shared: Arc<Shared>,
    params: Params,
    call: Call<R>,
) -> Result<Response<Body>, ApiError> {
    let keep_alive = shared.options.keep_alive;
    let Params {
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
    let mut response = response::events(frames);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    headers::describe(headers, &metadata);
    Ok(response)
}

fn unreadable() -> ApiError {
    ApiError::new(
        StatusCode::BAD_GATEWAY,
        "api_error",
        "the upstream's answer is no JSON",
    )
    .with_code("upstream_unreadable")
}

/// Keeps nginx from holding frames back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
