//! Abandoned calls cancel their predictions.

use std::time::Duration;

use llm_provider::ReplyEvent;
use serde_json::{Value, json};

use crate::support::*;

/// A prediction that never ends by itself; `create` is how long its creation takes. The first attempt
/// to cancel it fails.
async fn endless(create: Duration) -> Server {
    endless_with(create, |url, before| match before {
        0 => Response::new(503, "text/plain", "Service Unavailable"),
        _ => Response::json(200, prediction(url, "canceled", Value::Null)),
    })
    .await
}

/// The same with the responses to cancellations, by the server's URL and the number of earlier ones.
async fn endless_with(create: Duration, cancel: fn(&str, usize) -> Response) -> Server {
    Server::start(move |url, seen, before| match seen.line().as_str() {
        LOOK_UP => Response::json(200, official(llama_3())),
        CREATE => {
            let mut prediction = prediction(url, "starting", Value::Null);
            prediction["urls"]["stream"] = json!(format!("{url}/events"));
            Response::json(201, prediction).after(create)
        }
        GET => Response::json(200, prediction(url, "processing", Value::Null)),
        "GET /events" => Response::sse("event: output\nid: 1\ndata: Hi\n\n").ending(End::Hang),
        CANCEL => cancel(url, before),
        _ => Response::not_found(),
    })
    .await
}

#[tokio::test]
async fn cancelling_a_dropped_stream_is_retried_until_it_succeeds() {
    let server = endless(Duration::ZERO).await;
    let mut stream = stream(&server.provider(), chat_request(MODEL))
        .await
        .unwrap();
    while !matches!(stream.next().await, Some(Ok(ReplyEvent::Chunk(_)))) {}
    assert_eq!(server.count(CANCEL), 0);
    drop(stream);
    server.wait_for(CANCEL).await;
    cleaned_up().await;
    assert_eq!(server.count(CANCEL), 2);
}

#[tokio::test]
async fn a_cancellation_is_not_repeated_if_that_cannot_help() {
    let missing = |_: &str, _| Response::not_found();
    // The status says that it is cancelled.
    let unreadable = |_: &str, _| Response::new(200, "text/plain", "OK");
    for cancel in [missing as fn(&str, usize) -> Response, unreadable] {
        let server = endless_with(Duration::ZERO, cancel).await;
        let stream = stream(&server.provider(), chat_request(MODEL))
            .await
            .unwrap();
        drop(stream);
        server.wait_for(CANCEL).await;
        cleaned_up().await;
        assert_eq!(server.count(CANCEL), 1);
    }
}

#[tokio::test]
async fn a_dropped_chat_is_cancelled() {
    let server = endless(Duration::ZERO).await;
    let provider = server.provider();
    tokio::select! {
        reply = chat(&provider, chat_request(MODEL)) => panic!("{reply:?}"),
        () = server.wait_for(GET) => {}
    }
    server.wait_for(CANCEL).await;
}

#[tokio::test]
async fn a_chat_dropped_while_its_prediction_is_created_is_cancelled() {
    for streams in [false, true] {
        let server = endless(Duration::from_millis(200)).await;
        let provider = server.provider();
        let call = async {
            if streams {
                drop(stream(&provider, chat_request(MODEL)).await);
            } else {
                drop(chat(&provider, chat_request(MODEL)).await);
            }
        };
        tokio::select! {
            () = call => panic!("the prediction was made too soon"),
            () = server.wait_for(CREATE) => {}
        }
        drop(provider);
        server.wait_for(CANCEL).await;
    }
}

#[tokio::test]
async fn an_ended_prediction_is_not_cancelled() {
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        CREATE => Response::json(201, succeeded(url, json!(["Hi"]))),
        _ => Response::not_found(),
    })
    .await;
    chat(&server.provider(), chat_request(MODEL)).await.unwrap();
    drop(
        stream(&server.provider(), chat_request(MODEL))
            .await
            .unwrap(),
    );
    cleaned_up().await;
    assert_eq!(server.count(CANCEL), 0);
}
