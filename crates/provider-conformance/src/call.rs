//! The calls of the suite. Only the list of models is called elsewhere.

use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use llm_types::completions::CompletionResponse;
use llm_types::embeddings::EmbeddingResponse;
use llm_types::rerank::RerankResponse;
use llm_types::{ChatChunk, ChatResponse};
use serde::de::DeserializeOwned;
use serde_json::Value;

use llm_provider::endpoint::ENDPOINTS;
use llm_provider::{
    Call, Capability, Chunk, Document, Endpoint, Metadata, Provider, ReplyEvent, Result,
};

/// A request of any operation.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) capability: Capability,
    pub(crate) body: String,
    pub(crate) drop_params: bool,
    pub(crate) timeout: Option<Duration>,
}

/// A stream's chunks, with `None` for progress without a chunk.
pub(crate) type Chunks = BoxStream<'static, Result<Option<Value>>>;

impl Request {
    pub(crate) fn new(capability: Capability, body: impl Into<String>) -> Self {
        Self {
            capability,
            body: body.into(),
            drop_params: false,
            timeout: None,
        }
    }

    pub(crate) fn with_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Whether the operation has a streamed form.
    pub(crate) fn streams(&self) -> bool {
        self.endpoint().is_streamed()
    }

    pub(crate) async fn send(&self, provider: &dyn Provider) -> Result<(Metadata, Value)> {
        let reply = provider.send(self.call()).await?;
        let value = match self.capability {
            Capability::Chat => value_of::<ChatResponse>(&reply.body),
            Capability::Completions => value_of::<CompletionResponse>(&reply.body),
            Capability::Embeddings => value_of::<EmbeddingResponse>(&reply.body),
            Capability::Rerank => value_of::<RerankResponse>(&reply.body),
            _ => value_of::<Value>(&reply.body),
        };
        Ok((reply.metadata, value))
    }

    pub(crate) async fn stream(&self, provider: &dyn Provider) -> Result<(Metadata, Chunks)> {
        let stream = provider.stream(self.call()).await?;
        let (metadata, capability) = (stream.metadata.clone(), self.capability);
        let chunks = stream.map(move |event| {
            event.map(|event| match event {
                ReplyEvent::Chunk(chunk) => Some(value_of_chunk(&chunk, capability)),
                _ => None,
            })
        });
        Ok((metadata, chunks.boxed()))
    }

    fn endpoint(&self) -> &'static dyn Endpoint {
        let mut endpoints = ENDPOINTS.iter();
        let endpoint = endpoints.find(|endpoint| endpoint.capability() == self.capability);
        *endpoint.unwrap_or_else(|| panic!("{} has no request", self.capability))
    }

    fn call(&self) -> Call {
        Call::new(self.endpoint(), Document::from_bytes(self.body.clone()))
            .with_drop_params(self.drop_params)
            .with_timeout(self.timeout)
    }
}

/// The document as it would be sent to a client, which is a `T`.
fn value_of<T: DeserializeOwned>(body: &Document) -> Value {
    if let Err(error) = body.read::<T>() {
        panic!("a reply has another shape: {error}");
    }
    let value = serde_json::from_slice(body.bytes());
    value.unwrap_or_else(|error| panic!("a reply is not JSON: {error}"))
}

/// The chunk as it would be sent to a client; checks that its flags match its content.
fn value_of_chunk(chunk: &Chunk, capability: Capability) -> Value {
    let value = match capability {
        Capability::Chat => value_of::<ChatChunk>(chunk.body()),
        _ => value_of::<CompletionResponse>(chunk.body()),
    };
    let mut choices = value["choices"].as_array().into_iter().flatten();
    let is_finish = choices.any(|choice| choice["finish_reason"].is_string());
    assert_eq!(chunk.is_finish(), is_finish, "is_finish of {value}");
    let usage = chunk.usage().map(serde_json::to_value);
    let usage = usage.map_or(Value::Null, Result::unwrap_or_default);
    assert_eq!(usage, value["usage"], "usage of {value}");
    let adds = |choice: &Value| {
        let texts = ["content", "refusal", "reasoning", "reasoning_content"];
        let has = |text: &Value| text.as_str().is_some_and(|text| !text.is_empty());
        let calls = choice["delta"]["tool_calls"].as_array();
        has(&choice["text"])
            || texts.iter().any(|name| has(&choice["delta"][name]))
            || calls.is_some_and(|calls| !calls.is_empty())
    };
    let mut choices = value["choices"].as_array().into_iter().flatten();
    let has_output = choices.any(adds);
    assert_eq!(chunk.has_output(), has_output, "has_output of {value}");
    value
}
