//! Requests and streams of the Responses API.

use llm_adapters::responses::{ResponsesAdapter, ResponsesReplies};
use llm_types::responses::{ResponsesEvent, ResponsesRequest};
use llm_types::{ChatChunk, Value, parse};
use serde_json::json;

/// Converts the replies to a request with these members.
pub(crate) fn replies(members: Value) -> ResponsesReplies {
    let mut request = json!({"model": "m", "input": "Hi"});
    for (key, value) in members.as_object().unwrap() {
        request[key] = value.clone();
    }
    let request: ResponsesRequest = parse(request.to_string().as_bytes()).unwrap();
    ResponsesAdapter::new().convert(request).unwrap().replies
}

/// The events of a stream.
pub(crate) fn convert(
    replies: &ResponsesReplies,
    chunks: impl IntoIterator<Item = ChatChunk>,
) -> Vec<ResponsesEvent> {
    let mut stream = replies.clone().stream();
    let mut events = Vec::new();
    for chunk in chunks {
        events.extend(stream.push(chunk));
    }
    events.extend(stream.finish());
    events
}
