//! The stream of a provider that only implements `send`.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use futures_core::future::BoxFuture;
use llm_provider::endpoint::{Chat, Completions, Embeddings, Endpoint};
use llm_provider::{
    Call, Capabilities, Capability, Document, ErrorKind, Metadata, Provider, Reply, ReplyEvent,
    Result,
};

#[derive(Debug)]
struct Whole(&'static str);

impl Provider for Whole {
    fn name(&self) -> &'static str {
        "whole"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new([Capability::Chat, Capability::Completions])
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        Box::pin(async move {
            self.require(&call)?;
            let body = Document::from_bytes(self.0);
            Ok(Reply::new(body, Metadata::new("whole", "m")))
        })
    }
}

/// The text, and whether there were a finish and a usage.
async fn streamed(reply: &'static str, endpoint: &'static dyn Endpoint) -> (String, bool, bool) {
    let call = Call::new(endpoint, Document::from_bytes(r#"{"model":"m"}"#));
    let mut stream = Whole(reply).stream(call).await.unwrap();
    let (mut text, mut is_finished, mut has_usage) = (String::new(), false, false);
    while let Some(event) = stream.next().await {
        if let ReplyEvent::Chunk(chunk) = event.unwrap() {
            text += &chunk.text().unwrap().unwrap_or_default();
            is_finished |= chunk.is_finish();
            has_usage |= chunk.usage().is_some();
        }
    }
    (text, is_finished, has_usage)
}

#[tokio::test]
async fn a_stream_has_the_reply_in_one_piece() {
    let chat = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,
        "message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    assert_eq!(streamed(chat, &Chat).await, ("Hello".into(), true, true));
    let completion = r#"{"id":"1","object":"text_completion","created":1,"model":"m",
        "choices":[{"index":0,"text":"Hello","logprobs":null,"finish_reason":"length"}],
        "usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    let found = streamed(completion, &Completions).await;
    assert_eq!(found, ("Hello".into(), true, true));
}

#[tokio::test]
async fn what_cannot_be_streamed_is_unsupported() {
    let call = Call::new(&Embeddings, Document::from_bytes(r#"{"model":"m"}"#));
    let error = Whole("{}").stream(call).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let call = Call::new(&Chat, Document::from_bytes(r#"{"model":"m"}"#));
    let error = Whole("[]").stream(call).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedBody);
}
