//! A small client for the tests.

use llm_sim::{Sim, SimOptions};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use sse_codec::{Decoder, Event};

pub(crate) const KEY: &str = "sk-simulated";

pub(crate) async fn start() -> Sim {
    start_with(SimOptions::default()).await
}

pub(crate) async fn start_with(options: SimOptions) -> Sim {
    Sim::start(options)
        .await
        .expect("loopback ports can be had")
}

pub(crate) fn client() -> Client {
    // If other crates enable TLS, the client needs a crypto provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .build()
        .expect("a client without TLS can be built")
}

pub(crate) fn post(url: String, body: &Value) -> RequestBuilder {
    client().post(url).bearer_auth(KEY).json(body)
}

pub(crate) fn get(url: String) -> RequestBuilder {
    client().get(url).bearer_auth(KEY)
}

pub(crate) async fn json(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

/// `(event, id, data)` of a whole stream.
pub(crate) async fn events(response: Response) -> Vec<(String, String, String)> {
    let body = response.bytes().await.expect("a whole body");
    let mut events = Vec::new();
    let mut decoder = Decoder::new();
    decoder
        .feed(&body, |event: Event<'_>| {
            events.push((
                event.name().to_owned(),
                event.id().to_owned(),
                event.text().into_owned(),
            ));
        })
        .expect("events");
    events
}

/// The JSON of a Together stream, without `[DONE]`, which must be the last event.
pub(crate) async fn chunks(request: RequestBuilder) -> Vec<Value> {
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["content-type"],
        "text/event-stream;charset=utf-8"
    );
    let mut events = events(response).await;
    let (_, _, last) = events.pop().expect("a last event");
    assert_eq!(last, "[DONE]");
    events
        .iter()
        .map(|(_, _, data)| serde_json::from_str(data).expect("JSON"))
        .collect()
}
