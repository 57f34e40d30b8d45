//! Chats that are not streamed: requests, replies, errors and time limits.

use std::time::Duration;

use crate::support::*;
use llm_provider::{Call, ErrorKind, Provider};
use llm_types::{ChatRequest, ChatResponse, Message};
use provider_replicate::Replicate;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Serves the official model. Its prediction ends with `end` after `polls` polls.
async fn model(polls: usize, end: impl Fn(&str) -> Value + Send + Sync + 'static) -> Server {
    Server::start(move |url, seen, before| match seen.line().as_str() {
        LOOK_UP => Response::json(200, official(llama_3())),
        CREATE if polls == 0 => Response::json(201, end(url)),
        CREATE => Response::json(201, prediction(url, "starting", Value::Null)),
        GET if before + 1 < polls => {
            Response::json(200, prediction(url, "processing", json!(["par"])))
        }
        GET => Response::json(200, end(url)),
        _ => Response::not_found(),
    })
    .await
}

#[tokio::test]
async fn a_finished_reply_needs_no_polling() {
    let server = model(0, |url| succeeded(url, json!(["Hel", "lo", "!", ""]))).await;
    let provider = server.provider();
    chat(&provider, chat_request(MODEL)).await.unwrap();
    let reply = chat(&provider, chat_request(MODEL)).await.unwrap();
    assert_eq!(server.lines(), [LOOK_UP, CREATE, CREATE]);
    assert_eq!(server.first(CREATE).header("prefer"), Some("wait=5"));
    assert_eq!(
        server.first(CREATE).header("authorization"),
        Some("Bearer r8_test")
    );
    let mut body: Value = serde_json::from_slice(reply.body.bytes()).unwrap();
    body["created"] = json!(0);
    insta::assert_json_snapshot!("response", body);
    insta::assert_json_snapshot!(
        "metadata",
        json!({
            "upstream_id": reply.metadata.upstream_id,
            "dropped_params": reply.metadata.dropped_params,
            "extra": reply.metadata.extra,
        })
    );
}

#[tokio::test]
async fn the_prompt_of_litellms_page_is_sent_exactly() {
    let server = model(0, |url| succeeded(url, json!("ok"))).await;
    let messages = vec![
        Message::system("Be a good human!"),
        Message::user("What do you know about earth?"),
    ];
    chat(&server.provider(), ChatRequest::new(MODEL, messages))
        .await
        .unwrap();
    insta::assert_json_snapshot!("litellms_page", server.first(CREATE).body);
}

#[tokio::test(start_paused = true)]
async fn output_of_an_unfinished_prediction_is_polled_at_once() {
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        CREATE => Response::json(201, prediction(url, "processing", json!(["Hi"]))),
        GET => Response::json(200, succeeded(url, json!(["Hi"]))),
        _ => Response::not_found(),
    })
    .await;
    let started = Instant::now();
    let reply = chat(&server.provider(), chat_request(MODEL)).await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(50));
    let response = reply.read::<ChatResponse>().unwrap();
    assert_eq!(response.usage.value().unwrap().prompt(), 18);
    assert_eq!(server.count(GET), 1);
}

#[tokio::test(start_paused = true)]
async fn a_prediction_that_runs_is_polled_with_pauses() {
    advance_in_small_steps();
    let server = model(10, |url| succeeded(url, json!("ok"))).await;
    let started = Instant::now();
    chat(&server.provider(), chat_request(MODEL)).await.unwrap();
    assert_eq!(server.count(GET), 10);
    assert!(started.elapsed() > Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn failed_polls_neither_lose_nor_repeat_the_prediction() {
    advance_in_small_steps();
    let server = Server::start(|url, seen, before| match (seen.line().as_str(), before) {
        (CREATE, _) => Response::json(201, prediction(url, "starting", Value::Null)),
        (GET, 0) => Response::not_found(),
        (GET, 1) => Response::new(503, "text/plain", "Service Unavailable"),
        (GET, 2) => Response::json(200, json!({"odd": true})),
        (GET, 3) => Response::json(200, prediction(url, "queued", Value::Null)),
        (GET, 4) => Response::new(200, "application/json", "{\"id\":").ending(End::Cut),
        (GET, _) => Response::json(200, succeeded(url, json!(["Hi"]))),
        _ => Response::not_found(),
    })
    .await;
    let reply = chat(&server.provider(), chat_request(MODEL)).await.unwrap();
    assert_eq!(reply.read::<ChatResponse>().unwrap().text().unwrap(), "Hi");
    assert_eq!(
        (
            server.count(CREATE),
            server.count(GET),
            server.count(CANCEL)
        ),
        (1, 6, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_reached_token_limit_is_a_finish_reason() {
    advance_in_small_steps();
    let server = model(2, |url| succeeded(url, json!(["a", "b", "c", "d"]))).await;
    let reason = async |tokens: Option<u64>| {
        let mut request = chat_request(MODEL);
        request.max_tokens = tokens;
        let reply = chat(&server.provider(), request).await.unwrap();
        let body: Value = serde_json::from_slice(reply.body.bytes()).unwrap();
        body["choices"][0]["finish_reason"].clone()
    };
    assert_eq!(reason(Some(4)).await, "length");
    assert_eq!(reason(Some(5)).await, "stop");
    assert_eq!(reason(None).await, "stop");
}

#[tokio::test]
async fn logs_and_estimates_stand_in_for_missing_metrics() {
    let logs = "Model variant: x\nInput token count: 644\nOutput token count: 757\nTTFT: 0.2s";
    let with_logs = move |url: &str| {
        let mut prediction = prediction(url, "succeeded", json!("12345678"));
        prediction["logs"] = json!(logs);
        prediction
    };
    let server = model(0, with_logs).await;
    let reply = chat(&server.provider(), chat_request(MODEL).with_max_tokens(757))
        .await
        .unwrap();
    let body: Value = serde_json::from_slice(reply.body.bytes()).unwrap();
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    let usage = reply.read::<ChatResponse>().unwrap().usage;
    let usage = usage.into_value().unwrap();
    assert_eq!(
        (usage.prompt(), usage.completion(), usage.extra.len()),
        (644, 757, 0)
    );

    // One of both counts is not enough.
    for line in ["Input token count: 644", "Output token count: 757"] {
        let with_log = move |url: &str| {
            let mut prediction = prediction(url, "succeeded", json!("12345678"));
            prediction["logs"] = json!(line);
            prediction
        };
        let server = model(0, with_log).await;
        let reply = chat(&server.provider(), chat_request(MODEL)).await.unwrap();
        let usage = reply.read::<ChatResponse>().unwrap().usage;
        let usage = usage.into_value().unwrap();
        assert_eq!(usage.extra["estimated"], json!(true), "{line}");
    }

    let server = model(0, |url| prediction(url, "succeeded", json!("12345678"))).await;
    let reply = chat(&server.provider(), chat_request(MODEL)).await.unwrap();
    let usage = reply.read::<ChatResponse>().unwrap().usage;
    let usage = usage.into_value().unwrap();
    assert_eq!(
        (usage.completion(), &usage.extra["estimated"]),
        (2, &json!(true))
    );
    // At four characters per token, 400 more characters are 100 more tokens.
    let mut request = chat_request(MODEL);
    request.messages.push(Message::user("x".repeat(400)));
    let longer = chat(&server.provider(), request).await.unwrap();
    let longer = longer
        .read::<ChatResponse>()
        .unwrap()
        .usage
        .value()
        .unwrap()
        .prompt();
    let more = longer - usage.prompt();
    assert!((100..115).contains(&more), "{more} tokens more");
}

#[tokio::test]
async fn no_output_is_an_empty_reply_and_other_output_an_error() {
    let server = model(0, |url| succeeded(url, Value::Null)).await;
    let reply = chat(&server.provider(), chat_request(MODEL)).await.unwrap();
    assert_eq!(reply.read::<ChatResponse>().unwrap().text().unwrap(), "");

    let server = model(0, |url| succeeded(url, json!({"text": "x", "score": 1}))).await;
    let error = chat(&server.provider(), chat_request(MODEL))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(
        error.to_string(),
        "replicate: the model's output is an object, not text: it is not a language model"
    );

    let removed = |url: &str| {
        let mut prediction = succeeded(url, Value::Null);
        prediction["data_removed"] = json!(true);
        prediction
    };
    let server = model(0, removed).await;
    let error = chat(&server.provider(), chat_request(MODEL))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedBody);
}

#[tokio::test(start_paused = true)]
async fn failed_predictions_are_typed_errors() {
    advance_in_small_steps();
    for (status, reason, kind) in [
        (
            "failed",
            json!("CUDA out of memory (E1001)"),
            ErrorKind::ModelFailed,
        ),
        (
            "failed",
            json!("please retry (code: PA)"),
            ErrorKind::UpstreamFailed,
        ),
        ("failed", json!({"odd": 1}), ErrorKind::ModelFailed),
        ("failed", Value::Null, ErrorKind::ModelFailed),
        ("canceled", Value::Null, ErrorKind::Cancelled),
        ("aborted", Value::Null, ErrorKind::Cancelled),
    ] {
        let end = move |url: &str| {
            let mut prediction = prediction(url, status, json!(["some"]));
            prediction["error"] = reason.clone();
            prediction
        };
        let server = model(1, end).await;
        let error = chat(&server.provider(), chat_request(MODEL))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.provider()),
            (kind, Some("replicate")),
            "{status}"
        );
        assert_eq!((error.model(), server.count(CANCEL)), (Some(MODEL), 0));
    }
}

#[tokio::test]
async fn error_statuses_are_typed_errors() {
    for (status, body, kind) in [
        (
            401,
            json!({"detail": "You did not pass a valid authentication token"}),
            ErrorKind::Auth,
        ),
        (
            402,
            json!({"title": "Insufficient credit"}),
            ErrorKind::InsufficientCredit,
        ),
        (404, json!({"detail": "Not found."}), ErrorKind::NotFound),
        (
            422,
            json!({"detail": "- input: prompt is required\n"}),
            ErrorKind::InvalidRequest,
        ),
        (
            429,
            json!({"detail": "Your rate limit resets in ~30s."}),
            ErrorKind::RateLimited,
        ),
        (
            500,
            json!({"detail": "Internal server error"}),
            ErrorKind::UpstreamFailed,
        ),
        (302, json!({}), ErrorKind::UnexpectedBody),
    ] {
        let server = Server::start(move |_, seen, _| match seen.line().as_str() {
            CREATE => {
                Response::json(status, body.clone()).header("location", "http://127.0.0.1:1/")
            }
            _ => Response::not_found(),
        })
        .await;
        let error = chat(&server.provider(), chat_request(MODEL))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.status().unwrap().as_u16()),
            (kind, status)
        );
        assert_eq!(
            error.retry_after(),
            (status == 429).then_some(Duration::from_secs(30))
        );
        assert!(
            !format!("{error:?}").contains("Hello!"),
            "the prompt is shown"
        );
        assert_eq!(server.count(CREATE), 1);
    }
}

#[tokio::test]
async fn an_unknown_model_is_explained() {
    let server = Server::start(|_, _, _| Response::not_found()).await;
    let error = chat(&server.provider(), chat_request("acme/secret"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("model_not_found"));
    assert_eq!(
        error.message(),
        "Replicate does not know the model acme/secret: Not found; a model that is not \
         official needs its version in the name, owner/name:version"
    );
    let error = chat(&server.provider(), chat_request("a/b/c"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::NotFound, Some("model"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_a_timeout_and_cancelled() {
    advance_in_small_steps();
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        CREATE | GET => Response::json(200, prediction(url, "starting", Value::Null)),
        _ => Response::not_found(),
    })
    .await;
    let call = Call::of(&chat_request(MODEL)).with_timeout(Duration::from_secs(20));
    let error = server.provider().send(call).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(server.first(CREATE).header("cancel-after"), Some("20s"));
    server.wait_for(CANCEL).await;
}

#[tokio::test(start_paused = true)]
async fn polls_that_always_fail_end_and_cancel_the_prediction() {
    advance_in_small_steps();
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        CREATE => Response::json(201, prediction(url, "starting", Value::Null)),
        GET => Response::json(429, json!({"detail": "Your rate limit resets in ~2s."})),
        _ => Response::not_found(),
    })
    .await;
    let error = chat(&server.provider(), chat_request(MODEL))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), server.count(CREATE)),
        (ErrorKind::RateLimited, 1)
    );
    assert_eq!(server.count(GET), 13);
    server.wait_for(CANCEL).await;
}

#[tokio::test]
async fn settings_are_checked_and_bounded() {
    let server = model(0, |url| succeeded(url, json!(["Hi"]))).await;
    let endless = settings(&server.url)
        .with_timeout(Duration::MAX)
        .with_extra("boot_timeout", 1e18)
        .with_extra("run_timeout", 1e18)
        .with_extra("prefer_wait", 1e18);
    let replicate = Replicate::new(endless).unwrap();
    chat(&replicate, chat_request(MODEL)).await.unwrap();
    assert_eq!(server.first(CREATE).header("prefer"), Some("wait=60"));
    StreamOutcome::all(stream(&replicate, chat_request(MODEL)).await.unwrap())
        .await
        .assert_whole();

    for (name, value) in [("boot_timeout", json!("soon")), ("roles", json!(7))] {
        let error = Replicate::new(settings(&server.url).with_extra(name, value)).unwrap_err();
        assert_eq!(
            (error.kind(), error.provider()),
            (ErrorKind::InvalidRequest, Some("replicate"))
        );
    }
    let error = Replicate::new(settings("not a url")).unwrap_err();
    assert_eq!(
        (error.kind(), error.provider()),
        (ErrorKind::InvalidRequest, Some("replicate"))
    );
}
