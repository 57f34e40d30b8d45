//! Streamed chats: frames, silence and failures.

use std::time::Duration;

use crate::support::*;
use llm_provider::{Error, ErrorKind};

const FIRST: &str = r#"{"id":"c1","model":"upstream/model","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
const HELLO: &str = r#"{"id":"c1","model":"upstream/model","choices":[{"index":0,"delta":{"content":"Grüße \n🌍"},"finish_reason":null}]}"#;
const LAST: &str = r#"{"id":"c1","model":"upstream/model","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"id":"c1","model":"upstream/model","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;

fn renamed(chunk: &str) -> String {
    format!("data: {}\n\n", chunk.replace("upstream/model", "llama"))
}

const STREAM: &str = r#","stream":true"#;

#[tokio::test]
async fn each_chunk_is_a_frame_and_done_is_the_last() {
    let provider = Scripted::new([FIRST, HELLO, LAST, USAGE].map(Step::Json));
    let response = send(gateway(provider.clone()), chat_request(STREAM)).await;
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-cache");
    assert_eq!(headers["x-accel-buffering"], "no");
    assert_eq!(headers["x-polyllm-provider"], "scripted");
    assert_eq!(headers["x-polyllm-attempts"], "1");
    let mut body = response.into_body();
    for expected in [
        renamed(FIRST),
        renamed(HELLO),
        renamed(LAST),
        "data: [DONE]\n\n".to_owned(),
    ] {
        assert_eq!(frame(&mut body).await.unwrap(), expected);
    }
    assert_eq!(frame(&mut body).await, None);
    provider.until_running(0).await;
}

#[tokio::test]
async fn usage_is_sent_on_request() {
    for (options, expected) in [
        (
            r#","stream":true,"stream_options":{"include_usage":true}"#,
            true,
        ),
        (
            r#","stream":true,"stream_options":{"include_usage":false}"#,
            false,
        ),
        (r#","stream":true,"stream_options":{}"#, false),
    ] {
        let provider = Scripted::new([HELLO, LAST, USAGE].map(Step::Json));
        let frames = text(send(gateway(provider), chat_request(options)).await).await;
        assert_eq!(frames.contains(&renamed(USAGE)), expected, "{options}");
    }
}

#[tokio::test]
async fn a_chunk_with_line_breaks_stays_one_event() {
    let provider = Scripted::new([Step::Json(
        "{\n\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}],\r\n\"model\":\"llama\"}",
    )]);
    let frames = text(send(gateway(provider), chat_request(STREAM)).await).await;
    assert_eq!(
        frames,
        "data: {\ndata: \"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}],\ndata: \"model\":\"llama\"}\n\ndata: [DONE]\n\n"
    );
}

#[tokio::test]
async fn a_failure_before_the_first_event_is_an_http_error() {
    let fail = || Error::new(ErrorKind::Overloaded, "full").with_provider("scripted");
    for steps in [
        vec![Step::Fail(fail)],
        vec![Step::Json(FIRST), Step::Fail(fail)],
    ] {
        let (status, error) =
            error(send(gateway(Scripted::new(steps)), chat_request(STREAM)).await).await;
        assert_eq!(status, 503);
        assert_eq!(error["message"], "scripted: full");
    }
}

#[tokio::test]
async fn a_later_failure_is_the_last_event() {
    let fail = || Error::new(ErrorKind::Transport, "cut off").with_provider("scripted");
    let provider = Scripted::new([Step::Json(HELLO), Step::Fail(fail), Step::Json(LAST)]);
    let frames = text(send(gateway(provider), chat_request(STREAM)).await).await;
    let error = r#"{"error":{"message":"scripted: cut off","type":"api_error","param":null,"code":"upstream_unreachable"}}"#;
    assert_eq!(frames, format!("{}data: {error}\n\n", renamed(HELLO)));
}

#[tokio::test]
async fn a_chunk_that_is_not_json_is_a_failure() {
    let provider = Scripted::new([Step::Json(HELLO), Step::Json("{oops")]);
    let frames = text(send(gateway(provider), chat_request(STREAM)).await).await;
    assert!(frames.starts_with(&renamed(HELLO)));
    assert!(
        frames.contains("upstream_unreadable") && !frames.contains("oops"),
        "{frames}"
    );
    assert!(!frames.contains("[DONE]"));
}

#[tokio::test(start_paused = true)]
async fn silence_and_progress_become_comments() {
    let provider = Scripted::new([
        Step::Progress("starting", 12),
        Step::Wait(Duration::from_secs(40)),
        Step::Json(HELLO),
        Step::Wait(Duration::from_secs(14)),
        Step::Json(LAST),
    ]);
    let response = send(gateway(provider), chat_request(STREAM)).await;
    let mut body = response.into_body();
    for expected in [
        ": starting 12 s\n\n".to_owned(),
        ": keep-alive\n\n".to_owned(),
        ": keep-alive\n\n".to_owned(),
        renamed(HELLO),
        renamed(LAST),
        "data: [DONE]\n\n".to_owned(),
    ] {
        assert_eq!(frame(&mut body).await.unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_response_starts_although_the_upstream_is_silent() {
    let fail = || Error::new(ErrorKind::Overloaded, "full").with_provider("scripted");
    let long = Step::Wait(Duration::from_secs(31));
    let started = tokio::time::Instant::now();
    let provider = Scripted::new([long.clone(), Step::Json(HELLO)]);
    let response = send(gateway(provider), chat_request(STREAM)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(started.elapsed().as_secs(), 15);
    let frames = text(response).await;
    assert_eq!(
        frames,
        format!(
            "{}{}data: [DONE]\n\n",
            ": keep-alive\n\n".repeat(2),
            renamed(HELLO)
        )
    );

    // The status has been sent, so the failure is an event.
    let response = send(
        gateway(Scripted::new([long, Step::Fail(fail)])),
        chat_request(STREAM),
    )
    .await;
    assert_eq!(response.status(), 200);
    let frames = text(response).await;
    assert!(
        frames.starts_with(": keep-alive\n\n: keep-alive\n\ndata: {\"error\":"),
        "{frames}"
    );
    assert!(!frames.contains("[DONE]"));
}

#[tokio::test]
async fn dropping_the_body_drops_the_upstreams_stream() {
    let provider = Scripted::new([Step::Json(HELLO), Step::Silence]);
    let response = send(gateway(provider.clone()), chat_request(STREAM)).await;
    provider.until_running(1).await;
    drop(response);
    provider.until_running(0).await;
}
