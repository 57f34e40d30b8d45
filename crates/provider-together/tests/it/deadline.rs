//! The limit of a call bounds all that is done for it.

use std::time::Duration;

use llm_http::HttpClient;
use llm_provider::{Call, ErrorKind, Provider, Result};
use provider_together::Together;

use crate::support::{question, settings, upstream};

const BASE_MODEL: &str = "acme/base";
const LIST: &str = r#"[{"id":"acme/base","object":"model","type":"language"}]"#;
const REFUSED: &str = r#"{"error":{"message":"No chats.","type":"invalid_request_error"}}"#;
const STREAMS_ONLY: &str = r#"{"error":{"message":"No.","code":"streaming_required"}}"#;
const COMPLETION: &str = r#"{"id":"a","object":"text_completion","created":1,"model":"m",
    "choices":[{"index":0,"text":"Hi","finish_reason":"stop"}]}"#;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn answer(status: &str, type_: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {type_}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
    .into()
}

/// An account at an upstream that knows prompts only, and takes `list` for its list of models and
/// `prompt` for a completion.
async fn base_model(list: Duration, prompt: Duration) -> Together {
    let base = upstream(move |request| match request {
        get if get.starts_with("GET") => (list, answer("200 OK", "application/json", LIST)),
        chat if chat.contains("/chat/") => (
            Duration::ZERO,
            answer("400 Bad Request", "application/json", REFUSED),
        ),
        stream if stream.contains("\"stream\":true") => {
            let events = format!("data: {}\n\ndata: [DONE]\n\n", COMPLETION.replace('\n', ""));
            (prompt, answer("200 OK", "text/event-stream", &events))
        }
        _ => (prompt, answer("200 OK", "application/json", COMPLETION)),
    });
    account(&base.await)
}

fn account(base: &str) -> Together {
    Together::new(settings(base).with_transport(HttpClient::dedicated())).unwrap()
}

fn call(limit: u64) -> Call {
    question(BASE_MODEL).with_timeout(seconds(limit))
}

async fn plain(together: &Together, limit: u64) -> Result<()> {
    together.send(call(limit)).await.map(drop)
}

async fn streamed(together: &Together, limit: u64) -> Result<()> {
    together.stream(call(limit)).await.map(drop)
}

/// Lets paused time pass in small steps: without it, each wait for a socket would let the next
/// timeout strike.
fn advance_in_small_steps() {
    tokio::spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_call_bounds_the_prompt_after_the_look_up() {
    advance_in_small_steps();
    // Each part keeps within the limit, and both together do not.
    let error = plain(&base_model(seconds(8), seconds(8)).await, 12).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Timeout);
    let error = streamed(&base_model(seconds(8), seconds(8)).await, 12).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(
        (error.provider(), error.model()),
        (Some("together_ai"), Some(BASE_MODEL))
    );
    let in_time = base_model(seconds(8), seconds(8)).await;
    plain(&in_time, 30).await.unwrap();
    streamed(&in_time, 30).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hanging_look_up_ends_at_the_limit_of_the_call() {
    advance_in_small_steps();
    for (limit, longest) in [(5, 5), (600, 10)] {
        let together = base_model(seconds(100_000), seconds(0)).await;
        let begin = tokio::time::Instant::now();
        let error = plain(&together, limit).await.unwrap_err();
        assert_eq!(error.message(), "No chats.");
        assert!(begin.elapsed() < seconds(longest + 2), "{limit}");
        // The next chat does not wait for it again.
        let begin = tokio::time::Instant::now();
        let error = streamed(&together, limit).await.unwrap_err();
        assert_eq!(error.message(), "No chats.");
        assert!(begin.elapsed() < seconds(2), "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_call_bounds_the_stream_after_a_refused_plain_call() {
    advance_in_small_steps();
    let base = upstream(|request| match request {
        stream if stream.contains("\"stream\":true") => {
            let chunk =
                r#"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}"#;
            let events = format!("data: {chunk}\n\ndata: [DONE]\n\n");
            (seconds(8), answer("200 OK", "text/event-stream", &events))
        }
        _ => (
            seconds(8),
            answer("400 Bad Request", "application/json", STREAMS_ONLY),
        ),
    });
    let base = base.await;
    let error = plain(&account(&base), 12).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    plain(&account(&base), 30).await.unwrap();
}
