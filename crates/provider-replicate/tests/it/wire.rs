//! Every request on the wire: method, path, headers and body.

use llm_provider::{Call, Provider};
use llm_types::completions::CompletionRequest;
use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn a_plain_call() {
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        LOOK_UP => Response::json(200, official(llama_3())),
        CREATE => Response::json(201, prediction(url, "processing", json!(["Hi"]))),
        GET => Response::json(200, succeeded(url, json!(["Hi"]))),
        _ => Response::not_found(),
    })
    .await;
    chat(&server.provider(), chat_request(MODEL)).await.unwrap();
    insta::assert_json_snapshot!("plain_call", requests(&server));
}

#[tokio::test]
async fn a_stream_that_is_resumed_and_then_dropped() {
    let server = Server::start(|url, seen, before| match (seen.line().as_str(), before) {
        (LOOK_UP, _) => Response::json(200, official(llama_3())),
        (CREATE, _) => {
            let mut prediction = prediction(url, "starting", Value::Null);
            prediction["urls"]["stream"] = json!(format!("{url}/v1/streams/s1"));
            Response::json(201, prediction)
        }
        ("GET /v1/streams/s1", 0) => Response::sse("event: output\nid: 17:0\ndata: Hi\n\n"),
        ("GET /v1/streams/s1", _) => {
            Response::sse("event: output\nid: 17:1\ndata:  there\n\n").ending(End::Hang)
        }
        (GET, _) => Response::json(200, prediction(url, "processing", Value::Null)),
        (CANCEL, _) => Response::json(200, prediction(url, "canceled", Value::Null)),
        _ => Response::not_found(),
    })
    .await;
    let mut stream = stream(&server.provider(), chat_request(MODEL))
        .await
        .unwrap();
    let mut text = String::new();
    while text != "Hi there" {
        text += &stream.next_text().await.unwrap().unwrap();
    }
    drop(stream);
    server.wait_for(CANCEL).await;
    cleaned_up().await;
    insta::assert_json_snapshot!("resumed_and_dropped", requests(&server));
}

#[tokio::test]
async fn completions_and_the_list_of_models() {
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        LOOK_UP => Response::json(200, official(llama_3())),
        CREATE => Response::json(201, succeeded(url, json!("ok"))),
        "GET /v1/deployments" => Response::json(200, json!({"results": [], "next": null})),
        _ => Response::json(200, json!({"slug": "language-models", "models": []})),
    })
    .await;
    let replicate = server.provider();
    let request = CompletionRequest::new(MODEL, "Once upon a time").with_max_tokens(3);
    let call = Call::of(&request);
    replicate.send(call.clone()).await.unwrap();
    let mut stream = replicate.stream(call).await.unwrap();
    assert_eq!(stream.next_text().await.unwrap().as_deref(), Some("ok"));
    replicate.models().await.unwrap();
    insta::assert_json_snapshot!("completions_and_models", requests(&server));
}
