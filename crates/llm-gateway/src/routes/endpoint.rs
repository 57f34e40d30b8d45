//! `POST` to an endpoint, from the request's body to the response; the same for all endpoints.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use llm_provider::{Call, Document, Endpoint, Metadata, Provider};
use llm_types::RawObject;

use crate::error::ApiError;
use crate::gateway::Shared;
use crate::headers;
use crate::response::{self, ResponseBody};
use crate::sse::{Frames, Source};

/// Serves a request.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    endpoint: &'static dyn Endpoint,
    body: Bytes,
) -> Result<Response<ResponseBody>, ApiError> {
    let body = Document::from_bytes(body);
    endpoint.check(&body)?;
    send(shared, endpoint, body).await
}

/// Serves a request to version 2 of Cohere's rerank, which has no `return_documents` and returns no
/// documents.
pub(super) async fn serve_rerank_v2(
    shared: &Arc<Shared>,
    endpoint: &'static dyn Endpoint,
    body: Bytes,
) -> Result<Response<ResponseBody>, ApiError> {
    let mut body = Document::from_bytes(body);
    endpoint.check(&body)?;
    body.set_default("return_documents", false);
    send(shared, endpoint, body).await
}

/// Sends a request whose body has been checked.
async fn send(
    shared: &Arc<Shared>,
    endpoint: &'static dyn Endpoint,
    body: Document,
) -> Result<Response<ResponseBody>, ApiError> {
    let call = Call::new(endpoint, body).with_drop_params(shared.drop_params);
    if endpoint.is_streamed() && call.body.get("stream") == Some(b"true") {
        streamed(Arc::clone(shared), call).await
    } else {
        whole(shared, call).await
    }
}

/// The response in one piece.
async fn whole(shared: &Shared, call: Call) -> Result<Response<ResponseBody>, ApiError> {
    let (endpoint, model) = (call.endpoint, call.model());
    let mut reply = shared.router.send(call).await?;
    reply.body.require_object().map_err(|_| unreadable())?;
    if endpoint.names_model() || reply.body.has("model") {
        // Clients expect the model name of their request.
        reply.body.set("model", model);
    }
    let mut response = response::json(reply.body.bytes().clone());
    headers::describe(response.headers_mut(), &reply.metadata);
    Ok(response)
}

/// The response as a stream.
///
/// The status waits for the upstream's first event, so that a failure before it is an HTTP error. It
/// waits no longer than a client may be idle: after that, the response starts with a comment, and a
/// failure is an event.
async fn streamed(shared: Arc<Shared>, call: Call) -> Result<Response<ResponseBody>, ApiError> {
    let keep_alive = shared.options.keep_alive;
    let (model, include_usage) = (call.model(), include_usage(&call.body));
    let mut opening = Box::pin(async move { shared.router.stream(call).await });
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

/// Whether the client requested the chunk with the usage.
fn include_usage(request: &Document) -> bool {
    let options = request.get("stream_options").map(RawObject::parse);
    let options = options.and_then(Result::ok);
    options.and_then(|options| options.bool("include_usage")) == Some(true)
}

fn unreadable() -> ApiError {
    ApiError::new(
        StatusCode::BAD_GATEWAY,
        "api_error",
        "the upstream's response is not a JSON object",
    )
    .with_code("upstream_unreadable")
}

/// Keeps nginx from buffering frames.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
