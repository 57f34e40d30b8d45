//! Outputs that are lists, of pieces of a text or of files, and what the logs tell about them.

use llm_types::{ChatRequest, ChatResponse, Message};
use serde_json::{Value, json};

use crate::support::*;

/// The text of a reply of a model with this output schema, plain and streamed.
async fn texts(schema: Value) -> (String, String) {
    let server = Server::start(move |url, seen, _| match seen.line().as_str() {
        LOOK_UP => {
            let mut model = official(llama_3());
            let schemas = &mut model["latest_version"]["openapi_schema"]["components"]["schemas"];
            schemas["Output"] = schema.clone();
            Response::json(200, model)
        }
        CREATE => {
            let mut created = prediction(url, "starting", Value::Null);
            created["urls"]["stream"] = json!(format!("{url}/v1/streams/s1"));
            Response::json(201, created)
        }
        GET => Response::json(200, succeeded(url, json!(["https://a", "https://b"]))),
        "GET /v1/streams/s1" => {
            let events = "event: output\nid: 1\ndata: https://a\n\n\
                          event: output\nid: 2\ndata: https://b\n\n\
                          event: done\nid: 3\ndata: {}\n\n";
            Response::new(200, "text/event-stream", events)
        }
        _ => Response::not_found(),
    })
    .await;
    let provider = server.provider();
    let reply = chat(&provider, chat_request(MODEL)).await.unwrap();
    let plain: ChatResponse = reply.read().unwrap();
    let plain = plain.text().unwrap().into_owned();
    let streamed = stream(&provider, chat_request(MODEL)).await.unwrap();
    let streamed = StreamOutcome::all(streamed).await;
    streamed.assert_whole();
    (plain, streamed.text)
}

#[tokio::test]
async fn only_the_pieces_of_one_text_are_joined() {
    let text = json!({"type": "string"});
    let file = json!({"type": "string", "format": "uri"});
    for (schema, separator) in [
        // Not described.
        (Value::Null, ""),
        (
            json!({"type": "array", "items": text, "x-cog-array-type": "iterator",
                "x-cog-array-display": "concatenate"}),
            "",
        ),
        (
            json!({"type": "array", "items": text, "x-cog-array-type": "iterator"}),
            "",
        ),
        (
            json!({"type": "array", "items": file, "x-cog-array-type": "iterator"}),
            "\n",
        ),
        (json!({"type": "array", "items": file}), "\n"),
    ] {
        let expected = format!("https://a{separator}https://b");
        let (plain, streamed) = texts(schema.clone()).await;
        assert_eq!((&plain, &streamed), (&expected, &expected), "{schema}");
    }
}

/// The usage of a reply of 40 characters to `request`, with these logs and metrics.
async fn usage(request: ChatRequest, logs: &'static str, metrics: Value) -> Value {
    let server = Server::start(move |url, seen, _| match seen.line().as_str() {
        LOOK_UP => Response::json(200, official(llama_3())),
        CREATE => {
            let mut prediction = prediction(url, "succeeded", json!(["1234567890".repeat(4)]));
            prediction["logs"] = json!(logs);
            prediction["metrics"] = metrics.clone();
            Response::json(201, prediction)
        }
        _ => Response::not_found(),
    })
    .await;
    let reply = chat(&server.provider(), request).await.unwrap();
    let body: Value = serde_json::from_slice(reply.body.bytes()).unwrap();
    body["usage"].clone()
}

#[tokio::test]
async fn a_prompt_in_the_logs_does_not_count_tokens() {
    for logs in [
        "Formatted prompt: Hi\nInput token count: 0\nOutput token count: 0\n",
        "Prompt: Hi\nInput token count: 0\nOutput token count: 0\n",
        "Random seed used: `1`\nsome text\nInput token count: 0\nOutput token count: 0\n",
    ] {
        let usage = usage(chat_request(MODEL), logs, json!({})).await;
        let found = (&usage["completion_tokens"], &usage["estimated"]);
        assert_eq!(found, (&json!(10), &json!(true)), "{logs}");
    }
}

#[tokio::test]
async fn absurd_counts_of_tokens_are_estimated() {
    let logs = "Input token count: 18446744073709551615\nOutput token count: 99999999999\n";
    let metrics = json!({"input_token_count": 1e30, "output_token_count": -5});
    for (logs, metrics) in [(logs, json!({})), ("", metrics)] {
        let usage = usage(chat_request(MODEL), logs, metrics).await;
        let found = (&usage["completion_tokens"], &usage["estimated"]);
        assert_eq!(found, (&json!(10), &json!(true)), "{usage}");
    }
    let logs = "- Reasoning tokens: 500\n";
    let counts = json!({"input_token_count": 1, "output_token_count": 2});
    let usage = usage(chat_request(MODEL), logs, counts).await;
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 2);
}

#[tokio::test]
async fn the_system_prompt_counts_in_an_estimate() {
    let mut request = chat_request(MODEL);
    let system = Message::system("word ".repeat(800));
    request.messages.insert(0, system);
    let usage = usage(request, "", json!({})).await;
    assert!(usage["prompt_tokens"].as_u64().unwrap() >= 1000, "{usage}");
}

#[tokio::test]
async fn reasoning_tokens_come_from_the_logs() {
    let logs = "Input token count: 644\nOutput token count: 757\n- Reasoning tokens: 742\n";
    let server = Server::start(move |url, seen, _| match seen.line().as_str() {
        CREATE => {
            let mut prediction = prediction(url, "succeeded", json!(["7"]));
            prediction["logs"] = json!(logs);
            Response::json(201, prediction)
        }
        _ => Response::not_found(),
    })
    .await;
    let reply = chat(&server.provider(), chat_request(MODEL)).await.unwrap();
    let body: Value = serde_json::from_slice(reply.body.bytes()).unwrap();
    assert_eq!(
        body["usage"],
        json!({"prompt_tokens": 644, "completion_tokens": 757, "total_tokens": 1401,
            "completion_tokens_details": {"reasoning_tokens": 742}})
    );
}
