//! Helpers of the tests.

use std::time::Duration;

use llm_provider::{Call, Error, Provider, Reply, ReplyEvent, ReplyStream, cleanup};
use llm_types::{ChatRequest, Message};
use provider_replicate::Replicate;
use serde_json::{Value, json};

pub(crate) use crate::scripted::*;

impl Server {
    pub(crate) fn provider(&self) -> Replicate {
        Replicate::new(settings(&self.url)).unwrap()
    }
}

pub(crate) fn chat_request(model: &str) -> ChatRequest {
    ChatRequest::new(model, vec![Message::user("Hello!")])
}

pub(crate) async fn chat(provider: &Replicate, request: ChatRequest) -> Result<Reply, Error> {
    provider.send(Call::of(&request)).await
}

pub(crate) async fn stream(
    provider: &Replicate,
    request: ChatRequest,
) -> Result<ReplyStream, Error> {
    provider.stream(Call::of(&request)).await
}

/// Waits until the cleanup of all calls is done, including those of other tests in this process. The
/// pauses are in real time: a test's paused time does not apply to the others.
pub(crate) async fn cleaned_up() {
    for _ in 0..600 {
        if cleanup::finish(Duration::from_secs(60)).await {
            return;
        }
        let pause = || std::thread::park_timeout(Duration::from_millis(100));
        tokio::task::spawn_blocking(pause).await.unwrap();
    }
    panic!("{} cleanup tasks are left", cleanup::pending());
}

/// The outcome of a stream.
#[derive(Debug, Default)]
pub(crate) struct StreamOutcome {
    pub(crate) text: String,
    pub(crate) progress: Vec<String>,
    pub(crate) chunks: Vec<Value>,
    pub(crate) error: Option<Error>,
}

impl StreamOutcome {
    pub(crate) async fn all(mut stream: ReplyStream) -> Self {
        let mut outcome = Self::default();
        while let Some(event) = stream.next().await {
            assert!(outcome.error.is_none(), "an event follows the error");
            match event {
                Ok(ReplyEvent::Chunk(chunk)) => {
                    let chunk: Value = serde_json::from_slice(chunk.bytes()).unwrap();
                    let text = &chunk["choices"][0]["delta"]["content"];
                    outcome.text.push_str(text.as_str().unwrap_or_default());
                    outcome.chunks.push(chunk);
                }
                Ok(ReplyEvent::Progress(progress)) => outcome.progress.push(progress.status),
                Ok(_) => {}
                Err(error) => outcome.error = Some(error),
            }
        }
        outcome
    }

    /// Checks that the stream succeeded, with one finish reason and then the usage.
    #[track_caller]
    pub(crate) fn assert_whole(&self) {
        assert!(
            self.error.is_none(),
            "{:?} after {:?}",
            self.error,
            self.text
        );
        let reasons = self
            .chunks
            .iter()
            .filter(|c| c["choices"][0]["finish_reason"].is_string());
        assert_eq!(reasons.count(), 1);
        let last = self.chunks.last().unwrap();
        assert_eq!(
            (&last["choices"], last["usage"].is_object()),
            (&json!([]), true)
        );
    }
}

/// A prediction's body.
pub(crate) fn prediction(url: &str, status: &str, output: Value) -> Value {
    json!({
        "id": "p1",
        "model": "meta/meta-llama-3-8b-instruct",
        "version": "hidden",
        "input": {},
        "logs": "",
        "output": output,
        "error": null,
        "status": status,
        "created_at": "2024-10-04T18:07:35.262Z",
        "urls": {
            "get": format!("{url}/v1/predictions/p1"),
            "cancel": format!("{url}/v1/predictions/p1/cancel"),
            "web": "https://replicate.com/p/p1",
        },
    })
}

pub(crate) fn succeeded(url: &str, output: Value) -> Value {
    let mut prediction = prediction(url, "succeeded", output);
    prediction["metrics"] = json!({
        "input_token_count": 18, "output_token_count": 4, "predict_time": 0.5, "total_time": 2.5,
    });
    prediction
}

/// A version with these input properties.
pub(crate) fn version(id: &str, properties: Value) -> Value {
    let schemas = json!({"Input": {"type": "object", "properties": properties}});
    json!({"id": id, "openapi_schema": {"components": {"schemas": schemas}}})
}

pub(crate) fn llama_3() -> Value {
    json!({
        "prompt": {"type": "string"},
        "system_prompt": {"type": "string", "default": "You are a helpful assistant"},
        "max_tokens": {"type": "integer", "default": 512},
        "min_tokens": {"type": "integer"},
        "temperature": {"type": "number", "minimum": 0.0, "maximum": 5.0},
        "top_p": {"type": "number"},
        "top_k": {"type": "integer"},
        "stop_sequences": {"type": "string", "default": "<|end_of_text|>,<|eot_id|>"},
        "presence_penalty": {"type": "number"},
        "frequency_penalty": {"type": "number"},
        "prompt_template": {"type": "string"},
        "seed": {"type": "integer"},
    })
}

/// The official model as Replicate describes it.
pub(crate) fn official(properties: Value) -> Value {
    json!({"owner": "meta", "is_official": true, "latest_version": version("v1", properties)})
}

pub(crate) const MODEL: &str = "meta/meta-llama-3-8b-instruct";
pub(crate) const LOOK_UP: &str = "GET /v1/models/meta/meta-llama-3-8b-instruct";
pub(crate) const CREATE: &str = "POST /v1/models/meta/meta-llama-3-8b-instruct/predictions";
pub(crate) const GET: &str = "GET /v1/predictions/p1";
pub(crate) const CANCEL: &str = "POST /v1/predictions/p1/cancel";
