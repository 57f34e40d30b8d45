//! The Messages and Responses APIs at upstreams that have them: the bytes of requests and replies go
//! through. Only the name of the model changes.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::header::{HeaderMap, HeaderName};
use llm_provider::{Call, Capability, Chunk, Document, Endpoint, ReplyEvent, Result};
use serde_json::json;
use serde_json::value::RawValue;

use super::endpoint::{check_model, streamed, whole};
use crate::api::messages_error;
use crate::auth::Client;
use crate::call_options;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::response::ResponseBody;
use crate::sse::{self, FrameWriter};

/// The body of a request that goes through: if every deployment of its model has the API itself.
pub(super) fn body(
    shared: &Shared,
    client: &Client,
    capability: Capability,
    body: &Bytes,
) -> Option<Document> {
    if !shared.native.has(capability) {
        return None;
    }
    let body = Document::from_bytes(body.clone());
    let is_native = {
        let model = body.str("model")?;
        let group = client
            .access()
            .map_or(&*model, |access| access.resolve(&model));
        shared.router.all_support(group, capability)
    };
    is_native.then_some(body)
}

/// Sends the body of a request.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    client: &Client,
    headers: &HeaderMap,
    endpoint: &'static dyn Endpoint,
    body: Document,
) -> Result<Response<ResponseBody>, ApiError> {
    endpoint.check(&body)?;
    let mut call = Call::new(endpoint, body).with_headers(forwarded(endpoint, headers)?);
    let model = call.model().into_owned();
    check_model(client, &mut call)?;
    let route = call_options::take(client, headers, &mut call, shared.reads_tags)?;
    if call.body.get("stream") != Some(b"true") {
        return whole(shared, client, call, model, route).await;
    }
    let writer = NativeWriter {
        model,
        is_messages: endpoint.capability() == Capability::Messages,
    };
    streamed(Arc::clone(shared), client, call, route, writer).await
}

/// The headers of a request that the upstream needs, too.
fn forwarded(endpoint: &dyn Endpoint, headers: &HeaderMap) -> Result<HeaderMap, ApiError> {
    let mut forwarded = HeaderMap::new();
    let mut length = 0;
    for name in endpoint.request_headers() {
        for value in headers.get_all(*name) {
            length += value.len();
            if value.to_str().is_err() || length > MAX_FORWARDED {
                let message = format!(
                    "the header {name} is invalid: expected visible ASCII, of at most \
                     {MAX_FORWARDED} bytes together with other headers of the API"
                );
                return Err(ApiError::invalid(message).with_param(*name));
            }
            forwarded.append(HeaderName::from_static(name), value.clone());
        }
    }
    Ok(forwarded)
}

/// Writes the events of the upstream.
struct NativeWriter {
    /// The name that the client uses.
    model: String,
    is_messages: bool,
}

impl NativeWriter {
    fn frame(&self, chunk: &Chunk) -> Bytes {
        let mut event = chunk.body().clone();
        for key in ["message", "response"] {
            self.rename(&mut event, key);
        }
        let name = event.str("type").unwrap_or_default();
        let mut frame = Vec::with_capacity(event.bytes().len() + ROOM);
        sse_codec::encode_event(&mut frame, Some(&name), None, event.bytes());
        frame.into()
    }

    /// Sets the model of the reply that an event contains.
    fn rename(&self, event: &mut Document, key: &'static str) {
        let Some(reply) = event.get(key).filter(|reply| reply.starts_with(b"{")) else {
            return;
        };
        let mut reply = Document::from_bytes(reply.to_vec());
        if !reply.has("model") {
            return;
        }
        reply.set("model", &*self.model);
        let text = String::from_utf8_lossy(reply.bytes()).into_owned();
        // A document with a changed member is valid JSON.
        if let Ok(reply) = RawValue::from_string(text) {
            event.set(key, reply);
        }
    }
}

impl FrameWriter for NativeWriter {
    fn event(&mut self, event: &ReplyEvent) -> Result<Option<Bytes>> {
        Ok(match event {
            ReplyEvent::Chunk(chunk) => Some(self.frame(chunk)),
            other => sse::progress(other),
        })
    }

    fn end(&mut self) -> Bytes {
        match self.is_messages {
            true => Bytes::new(),
            false => Bytes::from_static(b"data: [DONE]\n\n"),
        }
    }

    fn failure(&mut self, error: ApiError) -> Bytes {
        let event = if self.is_messages {
            let error = messages_error(&error).error;
            json!({ "type": "error", "error": error })
        } else {
            let error = error.error().error;
            json!({
                "type": "error", "code": error.code(), "message": error.message,
                "param": error.param(),
            })
        };
        sse::named_events([event].into_iter(), |_| "error")
    }
}

/// The most bytes of headers that are forwarded.
const MAX_FORWARDED: usize = 4096;
/// What a frame has besides its JSON, in bytes.
const ROOM: usize = 64;
