//! `POST` to an endpoint, from the request's body to the response; the same for all endpoints.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use llm_provider::{Call, Document, Endpoint, Metadata};
use llm_router::RouteOptions;
use llm_types::RawObject;

use crate::auth::Client;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::response::{self, ResponseBody};
use crate::spend::{self, RateCharge};
use crate::sse::{ChunkWriter, FrameWriter, Frames, Source};
use crate::{call_options, headers};

use super::models;

/// Serves a request.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    client: &Client,
    headers: &HeaderMap,
    endpoint: &'static dyn Endpoint,
    body: Bytes,
) -> Result<Response<ResponseBody>, ApiError> {
    let body = Document::from_bytes(body);
    endpoint.check(&body)?;
    send(shared, client, headers, endpoint, body).await
}

/// Serves a request whose path names the model, as the requests of Azure OpenAI's clients do.
pub(super) async fn serve_model(
    shared: &Arc<Shared>,
    client: &Client,
    headers: &HeaderMap,
    endpoint: &'static dyn Endpoint,
    model: &str,
    body: Bytes,
) -> Result<Response<ResponseBody>, ApiError> {
    let mut body = Document::from_bytes(body);
    body.set("model", models::name_in_path(model)?);
    endpoint.check(&body)?;
    send(shared, client, headers, endpoint, body).await
}

/// Serves a request to version 2 of Cohere's rerank, which has no `return_documents` and returns no
/// documents.
pub(super) async fn serve_rerank_v2(
    shared: &Arc<Shared>,
    client: &Client,
    headers: &HeaderMap,
    endpoint: &'static dyn Endpoint,
    body: Bytes,
) -> Result<Response<ResponseBody>, ApiError> {
    let mut body = Document::from_bytes(body);
    endpoint.check(&body)?;
    body.set_default("return_documents", false);
    send(shared, client, headers, endpoint, body).await
}

/// Sends a request whose body has been checked.
async fn send(
    shared: &Arc<Shared>,
    client: &Client,
    headers: &HeaderMap,
    endpoint: &'static dyn Endpoint,
    body: Document,
) -> Result<Response<ResponseBody>, ApiError> {
    let mut call = Call::new(endpoint, body).with_drop_params(shared.drop_params);
    let alias = check_model(client, &mut call)?;
    // Clients expect the model name of their request.
    let model = alias.unwrap_or_else(|| call.model().into_owned());
    let route = call_options::take(client, headers, &mut call, shared.reads_tags)?;
    if endpoint.is_streamed() && call.body.get("stream") == Some(b"true") {
        let writer = ChunkWriter::new(model, include_usage(&call.body));
        streamed(Arc::clone(shared), client, call, route, writer).await
    } else {
        whole(shared, client, call, model, route).await
    }
}

/// Replaces an alias of the key by its model group, and checks whether the key may call that. Returns
/// the alias, if the request names one.
pub(super) fn check_model(client: &Client, call: &mut Call) -> Result<Option<String>, ApiError> {
    let Some(access) = client.access() else {
        return Ok(None);
    };
    let model = call.model();
    let group = access.resolve(&model);
    client.require_model(group)?;
    if group == model {
        return Ok(None);
    }
    let (alias, group) = (model.to_string(), group.to_owned());
    call.body.set("model", group);
    Ok(Some(alias))
}

/// The response in one piece, which names `model`.
pub(super) async fn whole(
    shared: &Arc<Shared>,
    client: &Client,
    call: Call,
    model: String,
    mut route: RouteOptions,
) -> Result<Response<ResponseBody>, ApiError> {
    let endpoint = call.endpoint;
    let running = spend::admit(shared, client, &call, &mut route, RateCharge::WithChoice).await?;
    // Pinned here: moving a future of this size costs more than polling it.
    let reply = pin!(shared.router.send_with(call, route));
    let (mut reply, bill) = running.send(reply).await?;
    reply.body.require_object().map_err(|_| unreadable())?;
    if endpoint.names_model() || reply.body.has("model") {
        reply.body.set("model", model);
    }
    let mut response = response::json(reply.body.bytes().clone());
    headers::describe(response.headers_mut(), &reply.metadata);
    bill.describe(&mut response);
    Ok(response)
}

/// The response as a stream.
///
/// The status waits for the upstream's first event, so that a failure before it is an HTTP error. It
/// waits no longer than a client may be idle: after that, the response starts with a comment, and a
/// failure is an event.
pub(super) async fn streamed<W: FrameWriter>(
    shared: Arc<Shared>,
    client: &Client,
    call: Call,
    mut route: RouteOptions,
    writer: W,
) -> Result<Response<ResponseBody>, ApiError> {
    let keep_alive = shared.options.keep_alive;
    let running = spend::admit(&shared, client, &call, &mut route, RateCharge::WithChoice).await?;
    let bill = running.rates();
    let mut opening =
        Box::pin(async move { running.stream(shared.router.stream_with(call, route)).await });
    let (source, metadata) = match tokio::time::timeout(keep_alive, &mut opening).await {
        Ok(stream) => {
            let stream = stream.map_err(|error| bill.error(error))?;
            let metadata = stream.metadata.clone();
            (Source::Open(stream), metadata)
        }
        Err(_) => (Source::Opening(opening), Metadata::default()),
    };
    let frames = Frames::new(source, writer, keep_alive);
    let mut response = response::events(frames);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    headers::describe(headers, &metadata);
    bill.describe(&mut response);
    Ok(response)
}

/// Whether the client requested the chunk with the usage.
fn include_usage(request: &Document) -> bool {
    let options = request.get("stream_options").map(RawObject::parse);
    let options = options.and_then(Result::ok);
    options.and_then(|options| options.bool("include_usage")) == Some(true)
}

pub(super) fn unreadable() -> ApiError {
    ApiError::new(
        StatusCode::BAD_GATEWAY,
        "api_error",
        "the upstream's response is not a JSON object",
    )
    .with_code("upstream_unreadable")
}

/// Keeps nginx from buffering frames.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
