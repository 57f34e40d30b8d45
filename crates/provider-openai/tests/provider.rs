//! The provider `openai`: keys, registration and paths.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Response};
use llm_http::{HttpClient, MemoryTransport};
use llm_provider::endpoint::ENDPOINTS;
use llm_provider::{
    ApiKey, BaseUrl, Call, Capability, Document, Error, ErrorKind, Provider, Registry, Result,
    Settings,
};
use llm_sim::{Sim, SimOptions};
use llm_types::{ChatRequest, ChatResponse, Message};
use provider_openai::{Dialect, OpenAi, OpenAiClient};

const MODEL: &str = "meta-llama/Llama-3.3-70B-Instruct-Turbo";

fn question(model: &str) -> Call {
    Call::of(&ChatRequest::new(model, vec![Message::user("Hello")]))
}

/// The headers of a chat that is sent with these settings.
async fn headers(settings: Settings) -> HeaderMap {
    let seen = Arc::<Mutex<HeaderMap>>::default();
    let headers = Arc::clone(&seen);
    let transport = MemoryTransport::new(move |request| {
        *headers.lock().unwrap() = request.headers().clone();
        let answer = r#"{"id":"1","created":1,"model":"m","choices":[]}"#;
        Ok(Response::new(answer.into()))
    });
    let settings = settings.with_transport(transport);
    let _ = OpenAi::new(settings).unwrap().send(question("m")).await;
    seen.lock().unwrap().clone()
}

#[tokio::test]
async fn without_a_key_there_is_no_authorization_header() {
    let local = Settings::new().with_api_base("http://localhost:8000/v1");
    let without = headers(local.clone()).await;
    assert!(!without.is_empty() && !without.contains_key(AUTHORIZATION));
    let with = headers(local.with_api_key(ApiKey::new("local-key"))).await;
    assert_eq!(with[AUTHORIZATION], "Bearer local-key");
}

#[tokio::test]
async fn a_registered_upstream_answers_plain_and_streamed() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let mut registry = Registry::new();
    provider_openai::register(&mut registry);
    let settings = Settings::new()
        .with_api_base(sim.together_url())
        .with_api_key(ApiKey::new("good-key"))
        .with_transport(HttpClient::dedicated());
    let upstream = registry.build("openai", settings).unwrap();
    let reply = upstream.send(question(MODEL)).await.unwrap();
    assert_eq!(reply.metadata.provider, "openai");
    let text = reply.read::<ChatResponse>().unwrap();
    assert!(!text.text().unwrap_or_default().is_empty());

    let mut stream = upstream.stream(question(MODEL)).await.unwrap();
    let mut chunks = 0;
    while let Some(chunk) = stream.next_chunk().await.unwrap() {
        chunks += usize::from(!chunk.bytes().is_empty());
    }
    assert!(chunks > 1);
    let models = upstream.models().await.unwrap();
    assert!(models.data.iter().any(|model| model.id == MODEL));
}

#[tokio::test]
async fn every_endpoint_is_sent_to_its_path() {
    let paths = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&paths);
    let transport = MemoryTransport::new(move |request| {
        seen.lock().unwrap().push(request.uri().path().to_owned());
        let mut refusal = Response::new(r#"{"error":{"message":"no"}}"#.into());
        *refusal.status_mut() = http::StatusCode::NOT_FOUND;
        Ok(refusal)
    });
    let settings = Settings::new()
        .with_api_base("http://upstream.example")
        .with_transport(transport);
    let upstream = OpenAi::new(settings).unwrap();
    assert!(upstream.capabilities().has(Capability::Moderations));
    for endpoint in ENDPOINTS {
        let body =
            r#"{"model":"m","messages":[],"prompt":"","input":"","query":"","documents":[]}"#;
        let call = Call::new(*endpoint, Document::from_bytes(body));
        let error = upstream.send(call).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    let expected: Vec<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.path()).collect();
    assert_eq!(*paths.lock().unwrap(), expected);
}

/// An upstream that reports failures in a stream in its own way.
#[derive(Debug)]
struct Faulting;

impl Dialect for Faulting {
    fn provider(&self) -> &'static str {
        "faulting"
    }

    fn chunk(&self, data: Bytes) -> Result<Bytes> {
        if data.starts_with(br#"{"fault""#) {
            return Err(Error::new(ErrorKind::Overloaded, "too many requests"));
        }
        Ok(data)
    }
}

#[tokio::test]
async fn a_dialect_reads_the_failures_in_a_stream() {
    let transport = MemoryTransport::new(|_| {
        let chunk = r#"{"id":"1","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hi"}}]}"#;
        let stream = format!("data: {chunk}\n\ndata: {{\"fault\": 1}}\n\n");
        let response = Response::builder().header(CONTENT_TYPE, "text/event-stream");
        Ok(response.body(stream.into()).unwrap())
    });
    let settings = Settings::new().with_transport(transport);
    let base = BaseUrl::parse("https://faulting.example").unwrap();
    let client = OpenAiClient::new(Faulting, &settings, base, ApiKey::new("good-key")).unwrap();
    let mut stream = client.stream(question("m")).await.unwrap();
    assert!(stream.next_chunk().await.unwrap().is_some());
    let error = stream.next_chunk().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(error.provider(), Some("faulting"));
}
