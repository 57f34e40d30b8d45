//! Errors and metadata show no secret of a deployment, wherever the upstream repeats it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/canaries.rs"]
mod canaries;
#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::fmt;
use std::sync::{Arc, Mutex};

use canaries::{CANARIES, KEY, assert_clean, assert_metadata_clean, planted, settings, spellings};
use llm_http::Connection;
use llm_provider::{ApiKey, BaseUrl, Call, Error, ErrorKind, Result, Settings};
use llm_types::{ChatRequest, Message};
use provider_openai::{Dialect, OpenAiClient};
use serde_json::{Value, json};
use support::{Script, Server};
use tracing::field::Field;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};

#[derive(Debug)]
struct Plain;

impl Dialect for Plain {
    fn provider(&self) -> &'static str {
        "plain"
    }
}

async fn client(script: Script) -> OpenAiClient<Plain> {
    let server = Server::start(script).await;
    let base = BaseUrl::parse(&server.base()).unwrap();
    let settings = settings(&server.base());
    OpenAiClient::new(Plain, &settings, base, ApiKey::new(KEY)).unwrap()
}

fn call() -> Call {
    let request = ChatRequest::new("acme/model", vec![Message::user("Hi")]);
    Call::of(&request)
}

/// Reads a stream to its end, or to its error.
async fn streamed(client: &OpenAiClient<Plain>, case: &str) -> Result<()> {
    let mut stream = client.stream(call()).await?;
    assert_metadata_clean(&stream.metadata, case);
    while let Some(event) = stream.next().await {
        event?;
    }
    Ok(())
}

/// What each kind of call fails with.
async fn failures(script: Script, case: &str) -> Vec<Error> {
    let client = client(script).await;
    vec![
        client.send(call()).await.unwrap_err(),
        streamed(&client, case).await.unwrap_err(),
        client.send_by_stream(call()).await.unwrap_err(),
        client.models().await.unwrap_err(),
    ]
}

/// Every supported shape of an error body.
fn errors() -> Vec<Value> {
    vec![
        json!({ "id": "a", "error": { "message": "No.", "type": "t", "param": "n", "code": "c",
                "error_type": "e", "retry_after": 1 } }),
        json!({ "error": "No." }),
        json!({ "message": "No.", "code": 1 }),
        json!({ "detail": "No." }),
        json!(["No."]),
    ]
}

#[tokio::test]
async fn no_secret_comes_back_in_an_error_answer() {
    for canary in CANARIES {
        for document in errors().iter().flat_map(|error| planted(error, canary)) {
            for body in spellings(&document) {
                for status in ["401 Unauthorized", "500 Internal Server Error"] {
                    let case = format!("{status} with {body}");
                    for error in failures(Script::json(status, body.clone()), &case).await {
                        assert_clean(&error, &case);
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn no_secret_comes_back_in_a_page_or_a_redirect() {
    let encoded = "sk-canary%2F4f1c%2Bkey%22%269";
    for canary in CANARIES.into_iter().chain([encoded]) {
        for status in ["403 Forbidden", "502 Bad Gateway", "307 Temporary Redirect"] {
            let body = format!("<html>\u{1b}{canary}</html>");
            let script = Script::new(status, &format!("text/{canary}"), body)
                .header("location", &format!("https://{canary}@elsewhere.example/"));
            for error in failures(script, status).await {
                assert_clean(&error, status);
            }
        }
    }
}

#[tokio::test]
async fn no_secret_comes_back_in_the_headers_of_an_answer() {
    let names = [
        "x-request-id",
        "cf-ray",
        "retry-after",
        "x-ratelimit-reset",
        "x-should-retry",
        "www-authenticate",
    ];
    let good = r#"{"id":"a","choices":[]}"#;
    for canary in CANARIES {
        for name in names {
            let error = Script::json("429 Too Many Requests", "{}").header(name, canary);
            for error in failures(error, name).await {
                assert_clean(&error, name);
            }
            let good = Script::json("200 OK", good).header(name, canary);
            let reply = client(good).await.send(call()).await.unwrap();
            assert_metadata_clean(&reply.metadata, name);
            let stream = Script::sse("data: [DONE]\n\n").header(name, canary);
            assert_clean(
                &streamed(&client(stream).await, name).await.unwrap_err(),
                name,
            );
        }
        let good = json!({ "id": canary, "choices": [] }).to_string();
        let reply = client(Script::json("200 OK", good))
            .await
            .send(call())
            .await;
        assert_metadata_clean(&reply.unwrap().metadata, "an id");
    }
}

#[tokio::test]
async fn no_secret_comes_back_in_an_error_in_mid_stream() {
    let piece = json!({ "choices": [{ "index": 0, "delta": { "content": "Hel" } }] });
    for canary in CANARIES {
        for document in errors().iter().flat_map(|error| planted(error, canary)) {
            for data in spellings(&document) {
                for before in [String::new(), format!("data: {piece}\n\n")] {
                    let case = format!("an event after {before:?} with {data}");
                    let client = client(Script::sse(format!("{before}data: {data}\n\n"))).await;
                    assert_clean(&streamed(&client, &case).await.unwrap_err(), &case);
                    let folded = client.send_by_stream(call()).await;
                    assert_clean(&folded.unwrap_err(), &case);
                }
            }
        }
    }
}

#[tokio::test]
async fn no_secret_comes_back_in_an_answer_that_cannot_be_read() {
    for canary in CANARIES {
        for body in [
            canary.to_owned(),
            format!("{{\"choices\":\"{canary}\"}}"),
            format!("{{\"choices\":[{{\"index\":\"{canary}\"}}]}}"),
        ] {
            let mut errors = failures(Script::json("200 OK", body.clone()), &body).await;
            let client = client(Script::sse(format!("data: {body}\n\n"))).await;
            errors.push(streamed(&client, &body).await.unwrap_err());
            for error in errors {
                assert_clean(&error, &body);
            }
        }
    }
}

/// One test: if two threads log from the same place for the first time, one of them may not see the
/// subscriber of the other.
#[test]
fn a_short_key_is_accepted_not_redacted_and_not_shown_in_the_warning() {
    let warnings = |key| {
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || connection(key));
        log.0.lock().unwrap().clone()
    };
    let warned = warnings("banana1");
    assert!(warned[0].contains("localhost:1"), "{warned:?}");
    assert!(warned[0].contains("fewer than 8 characters"), "{warned:?}");
    assert!(!warned[0].contains("banana1"), "{warned:?}");
    assert_eq!(warned.len(), 1);
    for silent in ["", "banana12"] {
        assert!(warnings(silent).is_empty(), "{silent}");
    }

    let error = || Error::new(ErrorKind::Auth, "a bad banana");
    for key in ["", "a", "ba", "banana"] {
        let redacted = connection(key).redact(error());
        assert_eq!(redacted.message(), "a bad banana", "{key}");
    }
    assert_eq!(connection("bad banana").redact(error()).message(), "a ***");
}

fn connection(key: &str) -> Connection {
    let base = BaseUrl::parse("http://localhost:1").unwrap();
    Connection::new(&Settings::new(), base, ApiKey::new(key)).unwrap()
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("llm_http")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = String::new();
        event.record(&mut |field: &Field, value: &dyn fmt::Debug| {
            line += &format!("{field}={value:?} ");
        });
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
