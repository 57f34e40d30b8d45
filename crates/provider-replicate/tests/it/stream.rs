//! Streams: the complete text, even if connections break.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream as streams};
use llm_provider::{
    BodyStream, Call, ErrorKind, Provider, ReplyEvent, ReplyStream, RequestBody, Result, Transport,
};
use provider_replicate::Replicate;
use serde_json::{Value, json};

use crate::support::*;

mod resume;

const EVENTS: &str = "GET /v1/streams/s1";

/// Tokens with spaces, empty lines, nothing, and characters of two to four bytes.
const TOKENS: &[&str] = &[
    "\n\n", "Here is", " a ha", "iku — ", "ü", "🦙🦙", ":\n\nF", "uzzy", "  ", "\n", "漢字", "",
    ".",
];

/// The tokens as events with ids, from `start` on, as Replicate writes them.
fn events(start: usize) -> String {
    let mut out = ": hi\n\n".to_owned();
    for (index, token) in TOKENS.iter().enumerate().skip(start) {
        out += &format!("event: output\nid: 17:{index}\n");
        for line in token.split('\n') {
            out += &format!("data: {line}\n");
        }
        out += "\n";
    }
    out + "event: done\nid: 17:99\ndata: {}\n\n"
}

fn text() -> String {
    TOKENS.concat()
}

/// A prediction that can be streamed.
fn streamed(url: &str, status: &str) -> Value {
    let mut prediction = prediction(url, status, Value::Null);
    prediction["urls"]["stream"] = json!(format!("{url}/v1/streams/s1"));
    prediction
}

/// Serves a model. `events` returns the response to the nth connection of the event stream. The
/// prediction has succeeded after `running` polls.
async fn model(
    running: usize,
    events: impl Fn(&Received, usize) -> Response + Send + Sync + 'static,
) -> Server {
    Server::start(move |url, seen, before| match seen.line().as_str() {
        LOOK_UP => Response::json(200, official(llama_3())),
        CREATE => Response::json(201, streamed(url, "starting")),
        EVENTS => events(seen, before),
        GET if before < running => {
            let mut prediction = streamed(url, "processing");
            prediction["output"] = json!(TOKENS[..TOKENS.len() / 2]);
            Response::json(200, prediction)
        }
        GET => Response::json(200, succeeded(url, json!(TOKENS))),
        _ => Response::not_found(),
    })
    .await
}

/// Serves a model with these events, whose prediction then has this output.
async fn ended(events: &'static str, output: Value) -> Server {
    Server::start(move |url, seen, _| match seen.line().as_str() {
        LOOK_UP => Response::json(200, official(llama_3())),
        CREATE => Response::json(201, streamed(url, "starting")),
        EVENTS => Response::sse(events),
        GET => Response::json(200, succeeded(url, output.clone())),
        _ => Response::not_found(),
    })
    .await
}

async fn outcome(server: &Server) -> StreamOutcome {
    StreamOutcome::all(
        stream(&server.provider(), chat_request(MODEL))
            .await
            .unwrap(),
    )
    .await
}

#[tokio::test]
async fn chunks_have_openais_shape() {
    let server = ended(
        "event: output\nid: 1\ndata:  Hi\n\nevent: done\n\n",
        json!([" Hi"]),
    );
    let server = server.await;
    let streamed_reply = outcome(&server).await;
    let mut chunks = streamed_reply.chunks;
    for chunk in &mut chunks {
        chunk["created"] = json!(0);
    }
    insta::assert_json_snapshot!("chunks", &chunks[..2]);
    assert_eq!(streamed_reply.progress, ["starting"]);
    let create = server.first(CREATE);
    assert_eq!(
        (create.header("prefer"), create.header("cancel-after")),
        (None, Some("2700s"))
    );
    insta::assert_json_snapshot!("create_stream", create.body);
    let open = server.first(EVENTS);
    assert_eq!(open.header("accept"), Some("text/event-stream"));
    assert_eq!(open.header("authorization"), Some("Bearer r8_test"));
}

#[tokio::test]
async fn the_text_is_exact_at_every_chunking() {
    for size in 1..=40 {
        let server = model(0, move |_, _| Response::sse(events(0)).in_pieces(size)).await;
        let outcome = outcome(&server).await;
        outcome.assert_whole();
        assert_eq!(outcome.text, text(), "in pieces of {size}");
        assert_eq!(
            (
                server.count(EVENTS),
                server.count(GET),
                server.count(CANCEL)
            ),
            (1, 1, 0)
        );
    }
}

#[tokio::test]
async fn a_timeout_comment_does_not_end_the_reply() {
    let server = model(1, |_, before| match before {
        0 => Response::sse(": hi\n\n:408: 408 Request Timeout\n\n"),
        _ => Response::sse(events(0)),
    })
    .await;
    let outcome = outcome(&server).await;
    outcome.assert_whole();
    assert_eq!((outcome.text, server.count(EVENTS)), (text(), 2));
}

#[tokio::test(start_paused = true)]
async fn without_a_stream_the_growing_output_is_streamed() {
    advance_in_small_steps();
    let server = Server::start(|url, seen, before| match seen.line().as_str() {
        CREATE => Response::json(201, prediction(url, "starting", Value::Null)),
        GET if before == 0 => Response::json(200, prediction(url, "queued", Value::Null)),
        GET if before <= 3 => Response::json(
            200,
            prediction(url, "processing", json!(TOKENS[..before * 3])),
        ),
        GET => Response::json(200, succeeded(url, json!(TOKENS))),
        _ => Response::not_found(),
    })
    .await;
    let outcome = outcome(&server).await;
    outcome.assert_whole();
    assert_eq!(
        (outcome.text.as_str(), outcome.chunks.len()),
        (text().as_str(), 6)
    );
    assert_eq!(outcome.progress, ["starting", "queued"]);
}

#[tokio::test(start_paused = true)]
async fn an_unusable_stream_is_replaced_by_the_output() {
    advance_in_small_steps();
    for stream in [
        "/v1/elsewhere",
        "ftp://example.invalid/x",
        "http://127.0.0.1:1/gone",
        "//",
        "",
    ] {
        let server = Server::start(move |url, seen, before| match seen.line().as_str() {
            CREATE => {
                let mut prediction = streamed(url, "processing");
                prediction["urls"]["stream"] = json!(stream);
                Response::json(201, prediction)
            }
            GET if before < 5 => Response::json(200, streamed(url, "processing")),
            GET => Response::json(200, succeeded(url, json!(TOKENS))),
            _ => Response::json(200, json!({})),
        })
        .await;
        let outcome = outcome(&server).await;
        outcome.assert_whole();
        assert_eq!(outcome.text, text(), "{stream}");
    }
}

#[tokio::test]
async fn the_token_is_not_sent_to_another_host() {
    let foreign = Server::start(|_, _, _| Response::sse(events(0))).await;
    let url = format!("{}/v1/streams/s1", foreign.url);
    let server = Server::start(move |base, seen, _| match seen.line().as_str() {
        CREATE => {
            let mut prediction = streamed(base, "starting");
            prediction["urls"] = json!({
                "stream": url, "get": "http://127.0.0.1:1/get", "cancel": "http://127.0.0.1:1/cancel"
            });
            Response::json(201, prediction)
        }
        GET => Response::json(200, succeeded(base, json!(TOKENS))),
        _ => Response::not_found(),
    })
    .await;
    let outcome = outcome(&server).await;
    outcome.assert_whole();
    assert_eq!(outcome.text, text());
    assert_eq!(foreign.first(EVENTS).header("authorization"), None);
}

#[tokio::test(start_paused = true)]
async fn failures_are_the_last_item() {
    advance_in_small_steps();
    let end = |status: &'static str, error: Value| {
        move |url: &str| {
            let mut prediction = streamed(url, status);
            prediction["error"] = error.clone();
            prediction
        }
    };
    let output = "event: output\nid: 1:0\ndata: Once\n\n";
    let failed = "event: error\ndata: {\"detail\": \"Something went wrong\"}\n\nevent: done\ndata: {\"reason\": \"error\"}\n\n";
    let canceled = "event: done\ndata: {\"reason\": \"canceled\"}\n\n";
    for (events, end, kind, message) in [
        (
            failed,
            end("failed", json!("out of memory (E1001)")),
            ErrorKind::ModelFailed,
            "the prediction failed: out of memory (E1001)",
        ),
        (
            failed,
            end("processing", Value::Null),
            ErrorKind::ModelFailed,
            "the prediction failed: Something went wrong",
        ),
        (
            canceled,
            end("canceled", Value::Null),
            ErrorKind::Cancelled,
            "the prediction was cancelled",
        ),
        (
            "",
            end("aborted", Value::Null),
            ErrorKind::Cancelled,
            "the prediction was aborted before it started",
        ),
    ] {
        let body = format!("{output}{events}");
        let server = Server::start(move |url, seen, _| match seen.line().as_str() {
            CREATE => Response::json(201, streamed(url, "starting")),
            EVENTS => Response::sse(body.clone()),
            GET => Response::json(200, end(url)),
            _ => Response::not_found(),
        })
        .await;
        let outcome = outcome(&server).await;
        let error = outcome.error.unwrap();
        assert_eq!(
            (outcome.text.as_str(), error.kind(), error.message()),
            ("Once", kind, message)
        );
        assert_eq!(
            (error.provider(), error.model()),
            (Some("replicate"), Some(MODEL))
        );
    }
}

#[tokio::test]
async fn output_that_contradicts_the_events_is_an_error() {
    for (output, kind) in [
        (json!(["Something else"]), ErrorKind::UnexpectedBody),
        (json!([]), ErrorKind::UnexpectedBody),
        (json!({"a": 1}), ErrorKind::Unsupported),
    ] {
        let server = Server::start(move |url, seen, _| match seen.line().as_str() {
            CREATE => Response::json(201, streamed(url, "starting")),
            EVENTS => Response::sse("event: output\nid: 1\ndata: Once\n\n"),
            GET => Response::json(200, succeeded(url, output.clone())),
            _ => Response::not_found(),
        })
        .await;
        let error = outcome(&server).await.error.unwrap();
        assert_eq!(error.kind(), kind);
    }
}

#[tokio::test]
async fn text_that_events_lost_is_an_error_after_their_end() {
    for (output, kind) in [
        (
            json!(["The answer is ", "not ", "5"]),
            Some(ErrorKind::UnexpectedBody),
        ),
        (json!({"a": 1}), Some(ErrorKind::Unsupported)),
        // More text, the same text with other white space, and output that is no longer there.
        (json!(["The answer is ", "5", "!"]), None),
        (json!(["The answer  is 5\n"]), None),
        (json!(null), None),
    ] {
        let events = "event: output\nid: 1\ndata: The answer is \n\n\
                      event: output\nid: 2\ndata: 5\n\nevent: done\ndata: {}\n\n";
        let server = ended(events, output.clone()).await;
        let error = outcome(&server).await.error;
        assert_eq!(error.map(|error| error.kind()), kind, "{output}");
    }
}

#[tokio::test]
async fn the_final_state_decides_after_an_unknown_reason() {
    let events = "event: output\nid: 1\ndata: Hi\n\n\
                  event: done\ndata: {\"reason\":\"completed\"}\n\n";
    let server = ended(events, json!(["Hi"])).await;
    let outcome = outcome(&server).await;
    outcome.assert_whole();
    assert_eq!(outcome.text, "Hi");
}

#[tokio::test]
async fn the_reason_of_an_error_event_may_be_plain_text() {
    for data in [
        "out of luck",
        "\"out of luck\"",
        r#"{"detail":"out of luck"}"#,
    ] {
        let events = format!("event: output\nid: 1\ndata: Hi\n\nevent: error\ndata: {data}\n\n");
        let server = ended(events.leak(), json!(["Hi"])).await;
        let error = outcome(&server).await.error.unwrap();
        assert!(error.message().contains("out of luck"), "{data}: {error}");
    }
}

#[tokio::test]
async fn lines_of_the_output_may_end_differently_than_those_of_events() {
    let server = Server::start(move |url, seen, _| match seen.line().as_str() {
        CREATE => Response::json(201, streamed(url, "starting")),
        EVENTS => Response::sse("event: output\nid: 1\ndata: Once\ndata: upon\n\n"),
        GET => Response::json(200, succeeded(url, json!(["Once\r\nupon\r\n", "a time"]))),
        _ => Response::not_found(),
    })
    .await;
    let outcome = outcome(&server).await;
    outcome.assert_whole();
    assert_eq!(outcome.text, "Once\nupon\na time");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_hangs_before_its_first_event_is_noticed() {
    advance_in_small_steps();
    let server = model(0, |_, _| Response::sse(": hi\n\n").ending(End::Hang)).await;
    let outcome = outcome(&server).await;
    outcome.assert_whole();
    assert_eq!((outcome.text, server.count(GET)), (text(), 1));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_applies_only_to_the_first_chunk() {
    advance_in_small_steps();
    let call = || Call::of(&chat_request(MODEL)).with_timeout(Duration::from_secs(20));
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        CREATE | GET => Response::json(200, streamed(url, "starting")),
        EVENTS => Response::sse(": hi\n\n").ending(End::Hang),
        _ => Response::not_found(),
    })
    .await;
    let stream = server.provider().stream(call()).await.unwrap();
    assert_eq!(
        StreamOutcome::all(stream).await.error.unwrap().kind(),
        ErrorKind::Timeout
    );
    server.wait_for(CANCEL).await;

    let server = model(0, |_, _| Response::sse(events(0))).await;
    let mut stream = server.provider().stream(call()).await.unwrap();
    while !matches!(stream.next().await, Some(Ok(ReplyEvent::Chunk(_)))) {}
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(StreamOutcome::all(stream).await.error.is_none());
}

/// The event stream of a prediction as a body that counts how many of its pieces were read.
#[derive(Clone, Debug)]
struct Counted {
    piece: fn(usize) -> String,
    pieces: usize,
    read: Arc<AtomicUsize>,
}

impl Counted {
    fn new(piece: fn(usize) -> String, pieces: usize) -> Self {
        Self {
            piece,
            pieces,
            read: Arc::default(),
        }
    }

    fn read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }

    fn provider(&self) -> Replicate {
        let settings = settings("http://replicate.example").with_transport(self.clone());
        Replicate::new(settings).unwrap()
    }
}

impl Transport for Counted {
    fn send(
        &self,
        request: http::Request<RequestBody>,
    ) -> BoxFuture<'_, Result<http::Response<BodyStream>>> {
        let line = format!("{} {}", request.method(), request.uri().path());
        let whole = |body: Value| streams::iter([Ok(Bytes::from(body.to_string()))]).boxed();
        let body = match line.as_str() {
            LOOK_UP => whole(official(llama_3())),
            CREATE => whole(streamed("http://replicate.example", "starting")),
            EVENTS => {
                let (piece, read) = (self.piece, Arc::clone(&self.read));
                streams::iter(0..self.pieces)
                    .map(move |number| {
                        read.fetch_add(1, Ordering::Relaxed);
                        Ok(Bytes::from(piece(number)))
                    })
                    .boxed()
            }
            _ => whole(streamed("http://replicate.example", "processing")),
        };
        let type_ = match line.as_str() {
            EVENTS => "text/event-stream",
            _ => "application/json",
        };
        let response = http::Response::builder().header("content-type", type_);
        Box::pin(async { Ok(response.body(body).unwrap()) })
    }
}

#[tokio::test]
async fn a_slow_reader_applies_backpressure() {
    let upstream = Counted::new(|_| "event: output\ndata: Hi\n\n".to_owned(), 10_000);
    let mut stream = stream_of(&upstream.provider()).await;
    for _ in 0..10 {
        stream.next().await.unwrap().unwrap();
    }
    let read = upstream.read();
    assert!((10..100).contains(&read), "{read} events were read");
}

#[tokio::test(start_paused = true)]
async fn an_endless_text_is_an_error() {
    let long_text = |_| format!("event: output\ndata: {}\n\n", "x".repeat(1 << 20));
    // An event of 1 MiB that has no text.
    let long_id = |number| {
        format!(
            "event: output\nid: {number}{}\ndata:\n\n",
            "x".repeat(1 << 20)
        )
    };
    for event in [long_text as fn(usize) -> String, long_id] {
        let upstream = Counted::new(event, 1000);
        let mut stream = stream_of(&upstream.provider()).await;
        let error = loop {
            match stream.next().await.unwrap() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::UnexpectedBody, "{error}");
        assert!(error.message().contains("longer than 64 MiB"), "{error}");
        assert!(stream.next().await.is_none());
        assert!((64..=66).contains(&upstream.read()), "{}", upstream.read());
    }
}

async fn stream_of(provider: &Replicate) -> ReplyStream {
    stream(provider, chat_request(MODEL)).await.unwrap()
}
