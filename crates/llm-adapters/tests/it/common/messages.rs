//! Requests and streams of the Messages API.

use llm_adapters::messages::{MessagesAdapter, MessagesReplies};
use llm_types::messages::{MessagesEvent, MessagesRequest};
use llm_types::{ChatChunk, Value, parse};
use serde_json::json;

/// Converts the replies to a request with these members.
pub(crate) fn replies(members: Value) -> MessagesReplies {
    let mut request = json!({"model": "claude-x", "max_tokens": 10,
        "messages": [{"role": "user", "content": "Hi"}]});
    for (key, value) in members.as_object().unwrap() {
        request[key] = value.clone();
    }
    let request: MessagesRequest = parse(request.to_string().as_bytes()).unwrap();
    MessagesAdapter::new().convert(request).unwrap().replies
}

/// The events of a stream.
pub(crate) fn convert(
    replies: &MessagesReplies,
    chunks: impl IntoIterator<Item = ChatChunk>,
) -> Vec<MessagesEvent> {
    let mut stream = replies.clone().stream();
    let mut events = Vec::new();
    for chunk in chunks {
        events.extend(stream.push(chunk));
    }
    events.extend(stream.finish());
    events
}
