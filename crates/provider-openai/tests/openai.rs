//! The shared OpenAI wire against a server that sends faulty and unusual responses.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use llm_provider::endpoint::Chat;
use llm_provider::{
    ApiKey, BaseUrl, Call, Document, Error, ErrorKind, ReplyEvent, ReplyStream, Result, Settings,
};
use llm_types::{ChatChunk, ChatRequest, Message};
use provider_openai::{Dialect, OpenAiClient};
use serde_json::{Value, json};
use support::{Script, Server};

#[derive(Debug)]
struct Plain;

impl Dialect for Plain {
    fn provider(&self) -> &'static str {
        "plain"
    }
}

fn client(server: &Server) -> OpenAiClient<Plain> {
    let base = BaseUrl::parse(&server.base()).unwrap();
    let settings = Settings::new().with_max_retries(0);
    OpenAiClient::new(Plain, &settings, base, ApiKey::new("key-secret")).unwrap()
}

fn call() -> Call {
    Call::of(&ChatRequest::new(
        "acme/model",
        vec![Message::user("a prompt")],
    ))
}

async fn stream(script: Script) -> Result<ReplyStream> {
    let server = Server::start(script).await;
    client(&server).stream(call()).await
}

async fn chunks(script: Script) -> Result<Vec<ChatChunk>> {
    let mut stream = stream(script).await?;
    let mut chunks = Vec::new();
    while let Some(event) = stream.next().await {
        if let ReplyEvent::Chunk(chunk) = event? {
            chunks.push(chunk.read().unwrap());
        }
    }
    Ok(chunks)
}

fn text(chunks: &[ChatChunk]) -> String {
    chunks.iter().filter_map(ChatChunk::text).collect()
}

fn finishes(chunks: &[ChatChunk]) -> Vec<String> {
    let choices = chunks.iter().flat_map(|chunk| &chunk.choices);
    choices
        .filter_map(|choice| choice.finish_reason.value())
        .map(ToString::to_string)
        .collect()
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// A chunk of one choice with these members of the choice.
fn piece(choice: Value) -> String {
    let mut whole = json!({ "index": 0 });
    whole
        .as_object_mut()
        .unwrap()
        .extend(choice.as_object().unwrap().clone());
    event(&json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m",
        "choices": [whole],
    }))
}

/// A stream of Together's older engine: usage and seed beside the finish reason, `text` beside the
/// delta.
fn turbo() -> String {
    let say =
        |text: &str| piece(json!({ "text": text, "delta": { "content": text, "token_id": 1 } }));
    let last = event(&json!({
        "id": "c1", "created": 7, "model": "m",
        "choices": [{ "index": 0, "delta": { "content": "!" }, "finish_reason": "eos",
                      "seed": 15924764223251450000_u64 }],
        "usage": { "prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7 },
    }));
    [
        say("Grüß "),
        say("Gott 🌍"),
        last,
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat()
}

/// A stream of Together's newer engine: reasoning first, usage in a chunk without choices.
fn thinking() -> String {
    [
        piece(json!({ "delta": { "role": "assistant", "content": "", "reasoning": null } })),
        piece(json!({ "delta": { "content": "", "reasoning": "Hm." } })),
        piece(json!({ "delta": { "content": "Hello", "reasoning": null } })),
        piece(json!({ "delta": { "content": "" }, "finish_reason": "stop" })),
        event(&json!({
            "id": "c1", "created": 7, "model": "m", "choices": [],
            "usage": { "prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7 },
        })),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat()
}

#[tokio::test]
async fn both_engines_end_alike_at_every_chunking() {
    for (body, expected) in [(turbo(), "Grüß Gott 🌍!"), (thinking(), "Hello")] {
        for size in [1, 2, 3, 7, 64, 1460, 0] {
            let chunks = chunks(Script::sse(body.clone()).pieces(size))
                .await
                .unwrap();
            assert_eq!(text(&chunks), expected);
            assert_eq!(finishes(&chunks), ["stop"]);
            let (last, rest) = chunks.split_last().unwrap();
            assert!(last.choices.is_empty());
            assert_eq!(last.usage.value().unwrap().total(), 7);
            assert!(
                rest.iter()
                    .all(|chunk| !chunk.usage.is_value() && !chunk.choices.is_empty())
            );
        }
    }
}

#[tokio::test]
async fn a_chunk_that_needs_no_change_keeps_its_bytes() {
    let odd = r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"x"},"text":"x"}],"n":1.50}"#;
    let body = format!("data: {odd}\n\n{}", turbo());
    let mut stream = stream(Script::sse(body)).await.unwrap();
    let Some(Ok(ReplyEvent::Chunk(chunk))) = stream.next().await else {
        panic!()
    };
    assert_eq!(&chunk.bytes()[..], odd.as_bytes());
}

#[tokio::test]
async fn reasoning_has_both_names_and_the_native_finish_reason_is_kept() {
    let chunks = chunks(Script::sse(thinking())).await.unwrap();
    let thought = chunks
        .iter()
        .find_map(|chunk| chunk.choices.first()?.delta.thinking());
    assert_eq!(thought, Some("Hm."));
    let chunks = self::chunks(Script::sse(turbo())).await.unwrap();
    let native = chunks
        .iter()
        .find_map(|chunk| chunk.choices.first()?.extra.get("native_finish_reason"));
    assert_eq!(native, Some(&json!("eos")));
}

#[tokio::test]
async fn tool_calls_have_one_finish_and_no_nulls() {
    let body = [
        piece(
            json!({ "delta": { "tool_calls": [{ "index": 0, "id": "call_1", "type": "function",
            "function": { "name": "add", "arguments": "" } }] } }),
        ),
        piece(
            json!({ "delta": { "content": "", "tool_calls": [{ "index": 0, "id": null,
            "function": { "name": null, "arguments": "{\"a\":" } }] } }),
        ),
        piece(
            json!({ "finish_reason": "tool_calls", "delta": { "tool_calls": [{ "index": 0,
            "function": { "arguments": "1}" } }] } }),
        ),
        piece(json!({ "finish_reason": "tool_calls", "delta": { "content": "" } })),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let chunks = chunks(Script::sse(body)).await.unwrap();
    assert_eq!(finishes(&chunks), ["tool_calls"]);
    let written = serde_json::to_string(&chunks)
        .unwrap()
        .replace("\"finish_reason\":null", "");
    assert!(!written.contains("null"), "{written}");
    assert_eq!(chunks.len(), 3);
}

#[tokio::test]
async fn a_stream_cut_at_any_byte_is_whole_or_an_error() {
    let body = turbo();
    let whole = "Grüß Gott 🌍!";
    for cut in 0..=body.len() {
        match chunks(Script::sse(&body.as_bytes()[..cut])).await {
            Ok(chunks) => assert_eq!(text(&chunks), whole, "cut after {cut} bytes"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Transport, "cut after {cut} bytes"),
        }
    }
    // The last chunk without its blank line is enough; one byte less is not.
    let needed = body.len() - "\n\ndata: [DONE]\n\n".len();
    assert!(
        chunks(Script::sse(&body.as_bytes()[..needed]))
            .await
            .is_ok()
    );
    assert!(
        chunks(Script::sse(&body.as_bytes()[..needed - 1]))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn with_two_choices_one_finish_is_not_the_end() {
    let one = piece(json!({ "delta": { "content": "a" }, "finish_reason": "stop" }));
    let server = Server::start(Script::sse(one)).await;
    let mut request = ChatRequest::new("m", vec![Message::user("Hi")]);
    request.n = Some(2);
    let call = Call::of(&request);
    let mut stream = client(&server).stream(call).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    assert_eq!(
        stream.next().await.unwrap().unwrap_err().kind(),
        ErrorKind::Transport
    );
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn the_end_marker_after_an_unfinished_choice_is_not_the_end() {
    let of = |index: u32, choice: Value| piece(json!({ "index": index, "delta": choice }));
    let finish =
        |index: u32| piece(json!({ "index": index, "delta": {}, "finish_reason": "stop" }));
    let (first, second) = (json!({ "content": "a" }), json!({ "content": "b" }));
    let done = "data: [DONE]\n\n".to_owned();
    let begun = of(0, first.clone()) + &finish(0);
    for (body, is_whole) in [
        (begun.clone() + &of(1, second.clone()) + &done, false),
        (begun.clone() + &of(1, second) + &finish(1) + &done, true),
        // Some upstreams return one choice, whatever is requested.
        (begun + &done, true),
    ] {
        let server = Server::start(Script::sse(body.clone())).await;
        let mut request = ChatRequest::new("m", vec![Message::user("Hi")]);
        request.n = Some(2);
        let mut stream = client(&server).stream(Call::of(&request)).await.unwrap();
        let mut end = Ok(());
        while let Some(event) = stream.next().await {
            end = event.map(drop);
        }
        assert_eq!(end.is_ok(), is_whole, "{body}");
    }
}

#[tokio::test]
async fn events_of_a_simple_server_are_read() {
    for type_ in ["text/plain; charset=utf-8", "application/octet-stream"] {
        let chunks = chunks(Script::new("200 OK", type_, turbo())).await;
        assert_eq!(text(&chunks.unwrap()), "Grüß Gott 🌍!");
    }
}

#[tokio::test]
async fn a_compressed_response_is_named() {
    let packed = |script: Script| script.header("content-encoding", "gzip");
    let body = "\x1f\u{8b}";
    let server = Server::start(packed(Script::json("200 OK", body))).await;
    let plain = client(&server).send(call()).await.unwrap_err();
    let streamed = stream(packed(Script::sse(body))).await.unwrap_err();
    for error in [plain, streamed] {
        assert_eq!(error.kind(), ErrorKind::UnexpectedBody);
        assert!(error.message().contains("is compressed"), "{error}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_before_a_reply_is_skipped() {
    let body = json!({ "id": "c1", "choices": [{ "index": 0, "finish_reason": "stop",
        "message": { "role": "assistant", "content": "Hi" } }] });
    let server = Server::start(Script::json("200 OK", format!("\u{feff}{body}"))).await;
    let reply = client(&server).send(call()).await.unwrap();
    assert_eq!(reply.body.bytes(), &body.to_string());
}

#[tokio::test]
async fn an_error_instead_of_a_stream_is_the_upstreams_error() {
    let error = json!({ "error": { "message": "the model is loading", "code": 503 } });
    let error = stream(Script::json("200 OK", error.to_string())).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(error.message(), "the model is loading");
}

#[tokio::test]
async fn an_error_event_ends_the_stream_with_an_error() {
    let say = piece(json!({ "delta": { "content": "Hel" } }));
    let fail = event(&json!({ "error": { "message": "Internal server error", "code": null } }));
    let error = chunks(Script::sse(say + &fail)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UpstreamFailed);
    assert_eq!(error.to_string(), "plain: Internal server error");
    assert_eq!(error.model(), Some("acme/model"));
}

#[tokio::test]
async fn garbage_is_an_error() {
    for body in ["data: {\"choices\":\n\n", "data: []\n\n", "data: hello\n\n"] {
        let error = chunks(Script::sse(body)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedBody, "{body}");
    }
    let error = stream(Script::json("200 OK", "{}")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedBody);
}

#[tokio::test]
async fn silence_is_a_timeout() {
    let limit = Duration::from_millis(100);
    let say = piece(json!({ "delta": { "content": "Hel" } }));
    let server = Server::start(Script::sse(say).hanging()).await;
    let mut stream = client(&server)
        .stream(call().with_timeout(limit))
        .await
        .unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    assert_eq!(
        stream.next().await.unwrap().unwrap_err().kind(),
        ErrorKind::Timeout
    );

    let server = Server::start(Script::json("200 OK", "{").hanging()).await;
    let error = client(&server)
        .send(call().with_timeout(limit))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[track_caller]
fn check(error: &Error, kind: ErrorKind, message: &str) {
    assert_eq!(error.kind(), kind);
    assert_eq!(error.message(), message);
    let printed = format!("{error} {error:?}");
    assert!(
        !printed.contains("secret") && !printed.contains("a prompt"),
        "{printed}"
    );
}

#[tokio::test]
async fn an_error_status_becomes_a_kind() {
    let body = json!({ "error": { "message": "No.", "type": "t", "param": "n", "code": "c" } });
    for (status, kind) in [
        ("400 Bad Request", ErrorKind::InvalidRequest),
        ("401 Unauthorized", ErrorKind::Auth),
        ("402 Payment Required", ErrorKind::InsufficientCredit),
        ("403 Forbidden", ErrorKind::Permission),
        ("404 Not Found", ErrorKind::NotFound),
        ("422 Unprocessable Entity", ErrorKind::InvalidRequest),
        ("429 Too Many Requests", ErrorKind::RateLimited),
        ("500 Internal Server Error", ErrorKind::UpstreamFailed),
        ("503 Service Unavailable", ErrorKind::Overloaded),
        ("504 Gateway Timeout", ErrorKind::Timeout),
    ] {
        let script = Script::json(status, body.to_string()).header("retry-after", "3");
        let server = Server::start(script).await;
        let error = client(&server).send(call()).await.unwrap_err();
        check(&error, kind, "No.");
        assert_eq!(error.param(), Some("n"));
        assert_eq!(error.code(), Some("c"));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
        let error = client(&server).stream(call()).await.unwrap_err();
        check(&error, kind, "No.");
    }
    let page = Script::new(
        "524 A Timeout Occurred",
        "text/html",
        "<html>a prompt</html>",
    );
    let error = client(&Server::start(page).await)
        .send(call())
        .await
        .unwrap_err();
    check(
        &error,
        ErrorKind::Timeout,
        "the upstream answered with HTTP 524 and a body that is not JSON (text/html)",
    );
}

/// The servers that `openai/` is for have no code for a context overflow.
#[tokio::test]
async fn a_context_overflow_is_recognized_in_the_words_of_self_hosted_servers() {
    for (status, message) in [
        (
            "400 Bad Request",
            "This model's maximum context length is 4096 tokens. However, you requested 5012 tokens",
        ),
        (
            "400 Bad Request",
            "The input (5012 tokens) is longer than the model's context length (4096 tokens).",
        ),
        (
            "400 Bad Request",
            "the request exceeds the available context size, try increasing it",
        ),
        (
            "422 Unprocessable Entity",
            "`inputs` tokens + `max_new_tokens` must be <= 4096",
        ),
    ] {
        let body =
            json!({ "error": { "message": message, "type": "BadRequestError", "code": 400 } });
        let script = Script::json(status, body.to_string());
        let server = Server::start(script).await;
        let error = client(&server).send(call()).await.unwrap_err();
        check(&error, ErrorKind::ContextWindow, message);
    }
    let body = json!({ "error": { "message": "This model's maximum context length is 1" } });
    let script = Script::json("500 Internal Server Error", body.to_string());
    let error = client(&Server::start(script).await)
        .send(call())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UpstreamFailed);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(Script::json("200 OK", "{}")).await;
    let script = Script::json("307 Temporary Redirect", "").header("location", &elsewhere.base());
    let error = client(&Server::start(script).await)
        .send(call())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedBody);
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn only_stream_is_changed_in_a_request() {
    let server = Server::start(Script::json("200 OK", r#"{"choices":[]}"#)).await;
    let body = r#"{ "model": "m",  "messages": [], "top_p": 1.0, "stream": true }"#;
    let reply = client(&server)
        .send(Call::new(&Chat, Document::from_bytes(body)))
        .await
        .unwrap();
    assert_eq!(reply.body.bytes(), r#"{"choices":[]}"#.as_bytes());
    let request = server.requests().remove(0);
    assert!(
        request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("authorization: Bearer key-secret\r\n"),
        "{request}"
    );
    let sent = r#"{ "model": "m",  "messages": [], "top_p": 1.0, "stream": false }"#;
    assert!(request.ends_with(sent), "{request}");
    // A request without `stream` is unchanged.
    let body = r#"{ "model": "m",  "messages": [ ] }"#;
    let call = Call::new(&Chat, Document::from_bytes(body));
    client(&server).send(call).await.unwrap();
    let request = server.requests().remove(1);
    assert!(request.ends_with(body), "{request}");
}

#[tokio::test]
async fn logprobs_of_any_shape_get_openais_shape() {
    let tokens = json!({ "tokens": ["Hi", "!"], "token_logprobs": [-0.5, -0.25],
        "token_ids": [null, null],
        "top_logprobs": [[{ "token": "Hi", "logprob": -0.5 }], { "!": -0.25 }] });
    let content = json!({ "content": [
        { "token": "Hi", "logprob": -0.5, "bytes": [72, 105],
          "top_logprobs": [{ "token": "Hi", "logprob": -0.5, "bytes": [72, 105] }] },
        { "token": "!", "logprob": -0.25, "bytes": [33],
          "top_logprobs": [{ "token": "!", "logprob": -0.25, "bytes": [33] }] },
    ], "refusal": null });
    let mut native = content.clone();
    native.as_object_mut().unwrap().remove("refusal");
    let number = json!({ "content": [{ "token": "Hi!", "logprob": -0.5, "bytes": [72, 105, 33],
        "top_logprobs": [] }], "refusal": null });
    let asked = || {
        let call = call().read::<ChatRequest>().unwrap().with_extra("x", 1);
        let mut body = serde_json::to_value(call).unwrap();
        body["logprobs"] = true.into();
        Call::new(&Chat, Document::from_bytes(body.to_string()))
    };
    for (shape, expected) in [
        (tokens, &content),
        (native, &content),
        (json!(-0.5), &number),
    ] {
        let body = json!({ "choices": [{ "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": "Hi!" }, "logprobs": shape }] });
        let server = Server::start(Script::json("200 OK", body.to_string())).await;
        let reply = client(&server).send(asked()).await.unwrap();
        let written: Value = serde_json::from_slice(reply.body.bytes()).unwrap();
        assert_eq!(&written["choices"][0]["logprobs"], expected);

        let body = piece(json!({ "delta": { "content": "Hi!" }, "logprobs": shape }))
            + &piece(json!({ "delta": {}, "logprobs": null, "finish_reason": "stop" }));
        let server = Server::start(Script::sse(body)).await;
        let mut stream = client(&server).stream(asked()).await.unwrap();
        let Some(Ok(ReplyEvent::Chunk(chunk))) = stream.next().await else {
            panic!()
        };
        let written: Value = serde_json::from_slice(chunk.bytes()).unwrap();
        assert_eq!(&written["choices"][0]["logprobs"], expected);
    }
}

#[tokio::test]
async fn a_stream_that_is_done_without_a_reason_is_an_error() {
    let say = piece(json!({ "delta": { "content": "Hel" } }));
    let error = chunks(Script::sse(say + "data: [DONE]\n\n"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
}

#[tokio::test]
async fn a_plain_reply_is_normalized_like_a_stream() {
    let body = json!({ "id": "c1", "n": 1.50, "choices": [{ "index": 0, "finish_reason": "eos",
        "message": { "role": "assistant", "content": "Hi", "reasoning": "Hm." } }] });
    let server = Server::start(Script::json("200 OK", body.to_string())).await;
    let reply = client(&server).send(call()).await.unwrap();
    assert_eq!(reply.metadata.upstream_id.as_deref(), Some("c1"));
    let written: Value = serde_json::from_slice(reply.body.bytes()).unwrap();
    let choice = &written["choices"][0];
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(choice["native_finish_reason"], "eos");
    assert_eq!(choice["message"]["reasoning_content"], "Hm.");

    // The request id in the header has priority over the id of the reply.
    let script = Script::json("200 OK", body.to_string()).header("x-request-id", "r1");
    let server = Server::start(script).await;
    let reply = client(&server).send(call()).await.unwrap();
    assert_eq!(reply.metadata.upstream_id.as_deref(), Some("r1"));

    // A call without id and type gets them.
    let function = json!({ "name": "f", "arguments": "{}" });
    let message = json!({ "role": "assistant", "content": null,
        "tool_calls": [{ "id": null, "function": function }] });
    let body = json!({ "id": "c1", "choices": [{ "index": 0, "finish_reason": "tool_calls",
        "message": message }] });
    let server = Server::start(Script::json("200 OK", body.to_string())).await;
    let reply = client(&server).send(call()).await.unwrap();
    let written: Value = serde_json::from_slice(reply.body.bytes()).unwrap();
    let tool_call = &written["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(
        (&tool_call["type"], &tool_call["function"]),
        (&json!("function"), &function)
    );
    assert!(tool_call["id"].as_str().unwrap().starts_with("call_"));

    for body in ["{}", "[]", "nonsense", r#"{"choices":{}}"#] {
        let server = Server::start(Script::json("200 OK", body)).await;
        let error = client(&server).send(call()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedBody, "{body}");
    }
}
