//! `POST /v1/chat/completions` in one piece: requests, responses, errors.

use std::time::Duration;

use crate::support::*;
use axum::body::Body as Upload;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, StatusCode};
use llm_gateway::{Config, Gateway, GatewayOptions};
use llm_provider::{Error, ErrorKind};

const ANSWER: &str = r#"{"id":"a1", "model":"upstream/model","choices":[{"index":0,"message":{"role":"assistant","content":"Blue.","x":1.50},"finish_reason":"stop","logprobs":null}]}"#;

#[tokio::test]
async fn both_bodies_are_forwarded_byte_for_byte_except_for_the_model() {
    let provider = Scripted::new([Step::Json(ANSWER)]);
    let request = r#"{ "model": "llama", "messages": [{"role":"user","content":"Grüße, 🌍 \u00e9"}], "temperature": 1.50, "top_k": 20, "vendor": {"b":1,"a":2} }"#;
    for path in ["/v1/chat/completions", "/chat/completions"] {
        let response = send(gateway(provider.clone()), post(path, request)).await;
        assert_eq!(response.status(), StatusCode::OK);
        let headers = response.headers().clone();
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["x-polyllm-provider"], "scripted");
        assert_eq!(headers["x-polyllm-deployment"], "scripted/upstream/model");
        assert_eq!(headers["x-polyllm-attempts"], "1");
        assert!(!headers.contains_key("x-polyllm-simulated"));
        assert_eq!(
            text(response).await,
            ANSWER.replace(r#""model":"upstream/model""#, r#""model":"llama""#)
        );
        let sent = provider.calls.lock().unwrap().pop().unwrap();
        assert_eq!(
            sent,
            request.replace(r#""model": "llama""#, r#""model": "upstream/model""#)
        );
    }
}

#[tokio::test]
async fn a_valid_request_id_of_the_client_is_kept() {
    let provider = Scripted::new([Step::Json(ANSWER)]);
    for (given, kept) in [
        ("trace-1.b_c", true),
        ("", false),
        ("a b", false),
        (&"x".repeat(200), false),
    ] {
        let mut request = chat_request("");
        request
            .headers_mut()
            .insert("x-request-id", given.parse().unwrap());
        let response = send(gateway(provider.clone()), request).await;
        let id = response.headers()["x-request-id"].to_str().unwrap();
        assert_eq!(id == given, kept, "{given} became {id}");
        assert!(!id.is_empty());
    }
}

#[tokio::test]
async fn an_invalid_chat_request_is_an_error_that_says_what_is_wrong() {
    let cases = [
        ("", None, "the body is empty"),
        (
            "{\n \"model\": \"llama\",\n \"messages\": [],\n}",
            None,
            "JSON: trailing comma at line 3 column 16",
        ),
        ("{'model': 1}", None, "line 1 column 2"),
        ("[]", None, "expected a JSON object, found an array"),
        ("{\"model\":\"llama\"", None, "the text ends here"),
        (
            r#"{"messages":[{"role":"user","content":"x"}]}"#,
            Some("model"),
            "`model` is required",
        ),
        (
            r#"{"model":"","messages":[{"role":"user"}]}"#,
            Some("model"),
            "`model` is required",
        ),
        (
            r#"{"model":3,"messages":[{"role":"user"}]}"#,
            Some("model"),
            "expected a string, found a number",
        ),
        (
            r#"{"model":"llama"}"#,
            Some("messages"),
            "`messages` is required",
        ),
        (
            r#"{"model":"llama","messages":null}"#,
            Some("messages"),
            "`messages` is required",
        ),
        (
            r#"{"model":"llama","messages":[]}"#,
            Some("messages"),
            "at least one message",
        ),
        (
            r#"{"model":"llama","messages":"Hi"}"#,
            Some("messages"),
            "expected an array, found a string",
        ),
        (
            r#"{"model":"llama","messages":[{"role":"user"},"Hi"]}"#,
            Some("messages[1]"),
            "`messages[1]`",
        ),
        (
            r#"{"model":"llama","messages":[{"content":"Hi"}]}"#,
            Some("messages[0].role"),
            "`messages[0].role` is required",
        ),
        (
            r#"{"model":"llama","messages":[{"role":1}]}"#,
            Some("messages[0].role"),
            "expected a string",
        ),
        (
            r#"{"model":"llama","messages":[{"role":"user","content":7}]}"#,
            Some("messages[0].content"),
            "a string or an array of content parts",
        ),
        (
            r#"{"model":"llama","messages":[{"role":"user","content":[{"text":"x"}]}]}"#,
            Some("messages[0].content[0].type"),
            "`messages[0].content[0].type` is required",
        ),
        (
            r#"{"model":"llama","messages":[{"role":"user"}],"stream":"yes"}"#,
            Some("stream"),
            "expected a boolean, found a string",
        ),
        (
            r#"{"model":"llama","messages":[{"role":"user"}],"max_tokens":"lots"}"#,
            Some("max_tokens"),
            "expected a number, found a string",
        ),
        (
            r#"{"model":"llama","messages":[{"role":"user"}],"stream_options":{"include_usage":1}}"#,
            Some("stream_options.include_usage"),
            "expected a boolean",
        ),
    ];
    let provider = Scripted::new([Step::Json(ANSWER)]);
    for (body, param, message) in cases {
        let response = send(
            gateway(provider.clone()),
            post("/v1/chat/completions", body),
        )
        .await;
        let (status, error) = error(response).await;
        assert_eq!(status, 400, "{body}");
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(error["param"].as_str(), param, "{body}: {error}");
        assert!(
            error["message"].as_str().unwrap().contains(message),
            "{body}: {error}"
        );
    }
    assert!(
        provider.calls.lock().unwrap().is_empty(),
        "a bad request travelled"
    );
}

#[tokio::test]
async fn null_counts_as_absent() {
    let provider = Scripted::new([Step::Json(ANSWER)]);
    let request = chat_request(
        r#","stream":null,"stream_options":{"include_usage":null},"max_tokens":null,"tools":null"#,
    );
    assert_eq!(
        send(gateway(provider), request).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn an_unknown_model_is_an_error_with_the_nearest_names() {
    let provider = Scripted::new([Step::Json(ANSWER)]);
    let request = post(
        "/v1/chat/completions",
        r#"{"model":"lama","messages":[{"role":"user","content":"x"}],"stream":true}"#,
    );
    let (status, error) = error(send(gateway(provider), request).await).await;
    assert_eq!(status, 404);
    assert_eq!(error["code"], "model_not_found");
    assert_eq!(error["param"], "model");
    assert!(
        error["message"].as_str().unwrap().contains("llama"),
        "{error}"
    );
}

#[tokio::test]
async fn a_body_above_the_limit_is_rejected_with_and_without_content_length() {
    let provider = Scripted::new([Step::Json(ANSWER)]);
    let gateway = || {
        let config = Config::new(vec![deployment(provider.clone())]);
        Gateway::new(config, GatewayOptions::new().with_body_limit(1000))
    };
    let long = format!(
        r#"{{"model":"llama","messages":[{{"role":"user","content":"{}"}}]}}"#,
        "x".repeat(1000)
    );
    let with_length = Request::post("/v1/chat/completions")
        .header("content-length", long.len())
        .body(Upload::from(long.clone()))
        .unwrap();
    let pieces: Vec<Result<Bytes, std::io::Error>> = long
        .as_bytes()
        .chunks(300)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let chunked = post(
        "/v1/chat/completions",
        Upload::from_stream(stream::iter(pieces)),
    );
    for request in [with_length, chunked] {
        let (status, error) = error(send(gateway(), request).await).await;
        assert_eq!(status, 413);
        assert!(
            error["message"].as_str().unwrap().contains("1000 bytes"),
            "{error}"
        );
    }
    let just = r#"{"model":"llama","messages":[{"role":"user","content":""}]}"#;
    let just = just.replace("\"\"", &format!("\"{}\"", "x".repeat(1000 - just.len())));
    assert_eq!(just.len(), 1000);
    let pieces: Vec<Result<Bytes, std::io::Error>> = just
        .as_bytes()
        .chunks(300)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let request = post(
        "/v1/chat/completions",
        Upload::from_stream(stream::iter(pieces)),
    );
    assert_eq!(send(gateway(), request).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn reading_a_body_that_never_ends_times_out() {
    let provider = Scripted::new([Step::Json(ANSWER)]);
    let body = Upload::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let response = send(gateway(provider), post("/v1/chat/completions", body)).await;
    assert_eq!(error(response).await.0, 408);
}

#[tokio::test]
async fn a_compressed_body_is_rejected() {
    let mut request = chat_request("");
    request
        .headers_mut()
        .insert("content-encoding", "gzip".parse().unwrap());
    let (status, error) = error(send(gateway(Scripted::new([])), request).await).await;
    assert_eq!(status, 415);
    assert!(error["message"].as_str().unwrap().contains("compressed"));
}

#[tokio::test]
async fn failures_of_the_upstream_have_their_status_and_code() {
    fn of(kind: ErrorKind) -> Error {
        Error::new(kind, "no")
            .with_provider("scripted")
            .with_model("upstream/model")
    }
    type Case = (fn() -> Error, u16, Option<&'static str>);
    let cases: [Case; 17] = [
        (|| of(ErrorKind::Auth), 401, Some("false")),
        (|| of(ErrorKind::InsufficientCredit), 402, Some("false")),
        (|| of(ErrorKind::Permission), 403, Some("false")),
        (|| of(ErrorKind::NotFound), 404, Some("false")),
        (|| of(ErrorKind::InvalidRequest), 400, Some("false")),
        (|| of(ErrorKind::ModelFailed), 422, Some("false")),
        (
            || of(ErrorKind::UpstreamFailed).with_should_retry(false),
            502,
            Some("false"),
        ),
        (
            || of(ErrorKind::InvalidRequest).with_status(StatusCode::UNPROCESSABLE_ENTITY),
            422,
            Some("false"),
        ),
        (
            || of(ErrorKind::ContextWindow).with_status(StatusCode::FORBIDDEN),
            400,
            Some("false"),
        ),
        (
            || of(ErrorKind::NotFound).with_status(StatusCode::UNPROCESSABLE_ENTITY),
            404,
            Some("false"),
        ),
        (|| of(ErrorKind::RateLimited), 429, None),
        (
            || of(ErrorKind::Overloaded).with_status(StatusCode::from_u16(529).unwrap()),
            503,
            None,
        ),
        (
            || of(ErrorKind::Timeout).with_status(StatusCode::REQUEST_TIMEOUT),
            504,
            None,
        ),
        (|| of(ErrorKind::Transport), 502, None),
        (
            || of(ErrorKind::UnexpectedBody).with_status(StatusCode::OK),
            502,
            None,
        ),
        (
            || of(ErrorKind::UpstreamFailed).with_status(StatusCode::INTERNAL_SERVER_ERROR),
            502,
            None,
        ),
        (|| of(ErrorKind::Cancelled), 502, Some("false")),
    ];
    for (fail, expected, should_retry) in cases {
        for more in ["", r#","stream":true"#] {
            let response = send(
                gateway(Scripted::new([Step::Fail(fail)])),
                chat_request(more),
            )
            .await;
            assert_eq!(
                response
                    .headers()
                    .get("x-should-retry")
                    .map(|value| value.to_str().unwrap()),
                should_retry,
                "{:?}",
                fail()
            );
            assert_eq!(response.headers()["x-polyllm-provider"], "scripted");
            let (status, error) = error(response).await;
            assert_eq!(status, expected, "{:?}", fail());
            assert_eq!(error["message"], "scripted: no");
        }
    }
}

#[tokio::test]
async fn status_and_retry_advice_of_the_upstream_are_forwarded() {
    let fail = || {
        Error::new(ErrorKind::RateLimited, "slow down")
            .with_provider("scripted")
            .with_status(StatusCode::TOO_MANY_REQUESTS)
            .with_retry_after(Duration::from_millis(1500))
            .with_code("dynamic_request_limited".to_owned())
            .with_param("model".to_owned())
            .with_body(Bytes::from_static(b"a prompt, quoted"))
    };
    let response = send(gateway(Scripted::new([Step::Fail(fail)])), chat_request("")).await;
    assert_eq!(response.headers()["retry-after"], "2");
    let (_, error) = error(response).await;
    assert_eq!(error["code"], "dynamic_request_limited");
    assert_eq!(error["param"], "model");
    assert!(!error.to_string().contains("quoted"));
}

#[tokio::test]
async fn a_reply_that_is_not_json_is_a_bad_gateway() {
    let response = send(
        gateway(Scripted::new([Step::Json("<html>")])),
        chat_request(""),
    )
    .await;
    let (status, error) = error(response).await;
    assert_eq!(
        (status, &error["code"]),
        (502, &"upstream_unreadable".into())
    );
}

#[tokio::test]
async fn drop_params_and_simulated_come_from_config_and_options() {
    let provider = Scripted::new([Step::Json(ANSWER)]);
    let config = Config::new(vec![deployment(provider.clone())]).with_drop_params(true);
    let gateway = Gateway::new(config, GatewayOptions::new().with_simulated(true));
    for more in ["", r#","stream":true"#] {
        let response = send(gateway.clone(), chat_request(more)).await;
        assert_eq!(response.headers()["x-polyllm-simulated"], "true");
        assert_eq!(response.headers()["x-polyllm-dropped-params"], "seed,tools");
    }
    let response = send(gateway, get("/nowhere")).await;
    assert_eq!(response.headers()["x-polyllm-simulated"], "true");
}

#[tokio::test]
async fn a_panic_in_a_provider_is_an_error_response() {
    let provider = Scripted::new([Step::Fail(|| panic!("a bug, on purpose"))]);
    for more in ["", r#","stream":true"#] {
        let (status, error) =
            error(send(gateway(provider.clone()), chat_request(more)).await).await;
        assert_eq!((status, &error["code"]), (500, &"internal_error".into()));
    }
}
