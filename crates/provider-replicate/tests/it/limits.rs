//! Time limits, also while a call or a stream is not polled.

use std::time::Duration;

use llm_provider::{Call, ErrorKind, Provider, ReplyEvent};
use provider_replicate::Replicate;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::*;

const EVENTS: &str = "GET /events";

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn running(url: &str, status: &str) -> Value {
    let mut prediction = prediction(url, status, Value::Null);
    prediction["urls"]["stream"] = json!(format!("{url}/events"));
    prediction
}

/// A model that writes one token and never ends.
async fn endless() -> Server {
    Server::start(|url, seen, _| match seen.line().as_str() {
        LOOK_UP => Response::json(200, official(llama_3())),
        CREATE => Response::json(201, running(url, "starting")),
        GET => Response::json(200, running(url, "processing")),
        EVENTS => Response::sse("event: output\nid: 1\ndata: Hi\n\n").ending(End::Hang),
        CANCEL => Response::json(200, prediction(url, "canceled", Value::Null)),
        _ => Response::not_found(),
    })
    .await
}

/// A provider with a boot timeout of 40 s and a run timeout of 50 s.
fn limited(server: &Server) -> Replicate {
    let settings = settings(&server.url)
        .with_extra("boot_timeout", 40)
        .with_extra("run_timeout", 50);
    Replicate::new(settings).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_unpolled_stream_is_cancelled_at_its_limit() {
    advance_in_small_steps();
    for (timeout, early, late) in [
        // The limit of the call up to its first chunk, and that of the boot.
        (Some(seconds(20)), 15, 10),
        (None, 35, 10),
    ] {
        let server = endless().await;
        let call = Call::of(&chat_request(MODEL)).with_timeout(timeout);
        let stream = limited(&server).stream(call).await.unwrap();
        sleep(seconds(early)).await;
        assert_eq!(server.count(CANCEL), 0, "{timeout:?}");
        sleep(seconds(late)).await;
        server.wait_for(CANCEL).await;
        // The next poll of the stream returns the error, and sends no request.
        let outcome = StreamOutcome::all(stream).await;
        assert_eq!(outcome.error.unwrap().kind(), ErrorKind::Timeout);
        assert_eq!(outcome.text, "");
        cleaned_up().await;
        assert_eq!((server.count(CANCEL), server.count(EVENTS)), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_no_longer_polled_is_cancelled_at_its_run_timeout() {
    advance_in_small_steps();
    let server = endless().await;
    let call = Call::of(&chat_request(MODEL)).with_timeout(seconds(5));
    let mut stream = limited(&server).stream(call).await.unwrap();
    while !matches!(stream.next().await, Some(Ok(ReplyEvent::Chunk(_)))) {}
    // The limit of the call applied only to the first chunk.
    sleep(seconds(45)).await;
    assert_eq!(server.count(CANCEL), 0);
    sleep(seconds(10)).await;
    server.wait_for(CANCEL).await;
    let outcome = StreamOutcome::all(stream).await;
    assert_eq!(outcome.error.unwrap().kind(), ErrorKind::Timeout);
    cleaned_up().await;
    assert_eq!(server.count(CANCEL), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_no_longer_polled_is_cancelled_at_its_run_timeout() {
    advance_in_small_steps();
    let server = endless().await;
    let provider = limited(&server);
    let call = chat(&provider, chat_request(MODEL));
    let mut call = std::pin::pin!(call);
    tokio::select! {
        reply = &mut call => panic!("{reply:?}"),
        () = server.wait_for(GET) => {}
    }
    sleep(seconds(100)).await;
    server.wait_for(CANCEL).await;
    assert_eq!(call.await.unwrap_err().kind(), ErrorKind::Timeout);
    cleaned_up().await;
    assert_eq!(server.count(CANCEL), 1);
}

#[tokio::test(start_paused = true)]
async fn a_prediction_that_ended_in_time_is_not_cancelled_later() {
    advance_in_small_steps();
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        CREATE => Response::json(201, running(url, "starting")),
        EVENTS => {
            Response::sse("event: output\nid: 1\ndata: Hi\n\nevent: done\nid: 2\ndata: {}\n\n")
        }
        GET => Response::json(200, succeeded(url, json!(["Hi"]))),
        _ => Response::not_found(),
    })
    .await;
    let provider = limited(&server);
    StreamOutcome::all(stream(&provider, chat_request(MODEL)).await.unwrap())
        .await
        .assert_whole();
    chat(&provider, chat_request(MODEL)).await.unwrap();
    sleep(seconds(200)).await;
    cleaned_up().await;
    assert_eq!(server.count(CANCEL), 0);
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_call_bounds_look_up_creation_and_run_together() {
    advance_in_small_steps();
    let slow = || async {
        Server::start(|url, seen, _| match seen.line().as_str() {
            LOOK_UP => Response::json(200, official(llama_3())).after(seconds(8)),
            CREATE => Response::json(201, running(url, "starting")).after(seconds(8)),
            EVENTS => {
                Response::sse("event: output\nid: 1\ndata: Hi\n\nevent: done\n\n").after(seconds(8))
            }
            GET => Response::json(200, succeeded(url, json!(["Hi"]))).after(seconds(8)),
            _ => Response::not_found(),
        })
        .await
    };
    for (limit, is_enough) in [(20, false), (60, true)] {
        let call = || Call::of(&chat_request(MODEL)).with_timeout(seconds(limit));
        let plain = slow().await.provider().send(call()).await;
        assert_eq!(plain.is_ok(), is_enough, "{limit}");
        let stream = slow().await.provider().stream(call()).await.unwrap();
        let error = StreamOutcome::all(stream).await.error;
        assert_eq!(error.is_none(), is_enough, "{limit}: {error:?}");
    }
}
