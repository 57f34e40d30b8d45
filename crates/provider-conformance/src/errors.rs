//! Errors of the upstream.

use std::time::Duration;

use futures_util::StreamExt;
use http::StatusCode;
use serde_json::json;

use crate::harness::{Harness, KEY, PROMPT, TEXT, assert_named};
use crate::tap::answer;
use crate::{Scenario, Simulation};
use llm_provider::ErrorKind;

pub(crate) async fn errors(simulation: &dyn Simulation) {
    for status in STATUSES {
        let harness = Harness::new(simulation, Scenario::Refuse(status)).await;
        for (how, error) in harness.failures(&harness.chat(PROMPT)).await {
            let what = format!("{how}, status {status}: {error:?}");
            assert_eq!(error.kind(), simulation.kind(status), "{what}");
            assert_named(&harness, &error);
            let kept = error.status().map(|status| status.as_u16());
            assert_eq!(kept, Some(status), "{what}");
            assert!(error.body().is_some(), "the body is not kept: {what}");
        }
    }
    let harness = Harness::new(simulation, Scenario::Reply(TEXT.to_owned())).await;
    let json = "content-type: application/json\r\n";
    let advice = format!("retry-after: 7\r\n{json}");
    harness
        .tap
        .play(answer("429 Too Many Requests", &advice, "{}"));
    for (how, error) in harness.failures(&harness.chat(PROMPT)).await {
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{how}: {error:?}");
        assert_named(&harness, &error);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)), "{how}");
    }
}

pub(crate) async fn repeated_secrets(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Reply(TEXT.to_owned())).await;
    let text = format!("{KEY} is wrong");
    let error = json!({ "message": text, "code": text, "param": text, "type": text });
    let json = "content-type: application/json\r\n";
    let body = json!({ "error": error, "detail": text }).to_string();
    harness.tap.play(answer("401 Unauthorized", json, &body));
    for (how, error) in harness.failures(&harness.chat(PROMPT)).await {
        assert_eq!(error.kind(), ErrorKind::Auth, "{how}: {error:?}");
        assert_named(&harness, &error);
    }
    if simulation.speaks_openai() {
        let events = format!("data: {}\n\n", json!({ "error": error }));
        let head = "content-type: text/event-stream\r\n";
        harness.tap.play(answer("200 OK", head, &events));
        match harness.streamed(&harness.chat(PROMPT)).await {
            Ok(_) => panic!("an error event was taken for a reply"),
            Err(error) => assert_named(&harness, &error),
        }
    }
}

pub(crate) async fn error_pages(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Reply(TEXT.to_owned())).await;
    let page = format!("<html><p>Request blocked: {PROMPT}</p></html>");
    for status in STATUSES {
        let line = format!("{status} x");
        harness
            .tap
            .play(answer(&line, "content-type: text/html\r\n", &page));
        let kind =
            StatusCode::from_u16(status).map_or(ErrorKind::Transport, ErrorKind::from_status);
        for (how, error) in harness.failures(&harness.chat(PROMPT)).await {
            let what = format!("{how}, status {status} with a page: {error:?}");
            assert_eq!(error.kind(), kind, "{what}");
            let kept = error.status().map(|status| status.as_u16());
            assert_eq!(kept, Some(status), "{what}");
            assert_named(&harness, &error);
        }
    }
}

pub(crate) async fn garbage(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Reply(TEXT.to_owned())).await;
    for (kind, body) in [
        ("application/json", "{\"choices\":"),
        ("application/json", "[]"),
        ("application/json", ""),
        ("application/json", "\u{0}\u{1}"),
        ("text/html", "<html>Hello</html>"),
    ] {
        let headers = format!("content-type: {kind}\r\n");
        harness.tap.play(answer("200 OK", &headers, body));
        for (how, error) in harness.failures(&harness.chat(PROMPT)).await {
            assert_eq!(
                error.kind(),
                ErrorKind::UnexpectedBody,
                "{how}, {body:?}: {error:?}"
            );
            assert_named(&harness, &error);
        }
    }
}

pub(crate) async fn midstream_errors(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::FailMidway(TEXT.to_owned())).await;
    let mut stream = match harness.chat(PROMPT).stream(&*harness.provider).await {
        Ok((_, stream)) => stream,
        Err(error) => panic!("a stream that fails midway did not begin: {error:?}"),
    };
    let mut text = String::new();
    let error = loop {
        match stream.next().await {
            Some(Ok(Some(chunk))) => {
                let choice = &chunk["choices"][0];
                assert!(
                    choice["finish_reason"].is_null(),
                    "a failed stream finished"
                );
                assert!(chunk["usage"].is_null(), "a failed stream has a usage");
                text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
            }
            Some(Ok(None)) => {}
            Some(Err(error)) => break error,
            None => panic!("a stream that failed ended well, with {text:?}"),
        }
    };
    assert!(
        stream.next().await.is_none(),
        "a stream goes on after its error"
    );
    assert!(
        !text.is_empty() && TEXT.starts_with(&text),
        "the text before the failure was {text:?}"
    );
    let kinds = [
        ErrorKind::ModelFailed,
        ErrorKind::Overloaded,
        ErrorKind::Timeout,
        ErrorKind::UpstreamFailed,
    ];
    assert!(kinds.contains(&error.kind()), "{error:?}");
    assert_named(&harness, &error);
}

const STATUSES: [u16; 12] = [400, 401, 402, 403, 404, 408, 422, 429, 500, 502, 503, 504];
