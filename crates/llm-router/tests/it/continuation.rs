//! Streams that break after their first output.

use std::sync::Arc;

use crate::support::{Action, Upstream, deployment, millis, seconds};
use llm_provider::endpoint::{Chat, Completions};
use llm_provider::{Call, Document, ErrorKind, Provider, ReplyEvent};
use llm_router::{AttemptTimeouts, Router};
use serde_json::{Map, Value, json};

const CHAT: &str =
    r#"{"model":"group","messages":[{"role":"user","content":"Hi"}],"max_tokens":9}"#;

fn prefill() -> Map<String, Value> {
    let mut params = Map::new();
    params.insert("continue_final_message".to_owned(), true.into());
    params
}

/// A router that uses `second` only when `first` cannot serve a call.
fn router(
    first: &Arc<Upstream>,
    second: &Arc<Upstream>,
    prefill: Option<Map<String, Value>>,
) -> Router {
    let timeouts = AttemptTimeouts::default().with_idle(seconds(5));
    let deployments = [(first, "first", 0), (second, "second", 1)].map(|(upstream, id, order)| {
        deployment("group", upstream, id)
            .with_order(order)
            .with_timeouts(timeouts)
            .with_prefill(prefill.clone())
    });
    Router::builder()
        .with_deployments(deployments)
        .with_continuation(true)
        .build()
        .unwrap()
}

fn acts(act: Action) -> Arc<Upstream> {
    Upstream::new(move |_| (millis(10), act))
}

/// The text of a stream, and the kind of the error at its end.
async fn text(router: &Router, call: Call) -> (String, Option<ErrorKind>) {
    let mut stream = router.stream(call).await.unwrap();
    let mut text = String::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(ReplyEvent::Chunk(chunk)) => text += &chunk.text().unwrap().unwrap_or_default(),
            Ok(_) => {}
            Err(error) => return (text, Some(error.kind())),
        }
    }
    (text, None)
}

#[tokio::test(start_paused = true)]
async fn another_deployment_continues_the_text() {
    for broken in [Action::Break(ErrorKind::Transport), Action::Stall] {
        let (first, second) = (acts(broken), acts(Action::Reply(10, 5)));
        let router = router(&first, &second, Some(prefill()));
        let call = Call::new(&Chat, Document::from_bytes(CHAT));
        assert_eq!(text(&router, call).await, ("hellohello".to_owned(), None));
        let body: Value = second.bodies()[0].read().unwrap();
        let expected = json!([
            { "role": "user", "content": "Hi" },
            { "role": "assistant", "content": "hello" },
        ]);
        assert_eq!(body["messages"], expected);
        assert_eq!(
            (&body["max_tokens"], &body["continue_final_message"]),
            (&json!(8), &json!(true))
        );
        let health = router.snapshot();
        assert_eq!((health[0].failures, health[1].failures), (1, 0));
        assert_eq!(health[0].in_flight + health[1].in_flight, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_completion_needs_no_support_of_the_model() {
    let (first, second) = (
        acts(Action::Break(ErrorKind::Transport)),
        acts(Action::Reply(10, 5)),
    );
    let router = router(&first, &second, None);
    let body = r#"{"model":"group","prompt":"Say: "}"#;
    let call = Call::new(&Completions, Document::from_bytes(body));
    assert_eq!(text(&router, call).await, ("hellohello".to_owned(), None));
    assert_eq!(second.bodies()[0].str("prompt").unwrap(), "Say: hello");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_be_continued_ends_with_its_error() {
    let cut = Some(ErrorKind::Transport);
    for (body, prefill) in [
        (CHAT.to_owned(), None),
        (CHAT.replace("max_tokens", "n"), Some(prefill())),
        (
            CHAT.replace(
                r#""max_tokens":9"#,
                r#""response_format":{"type":"json_object"}"#,
            ),
            Some(prefill()),
        ),
    ] {
        let first = acts(Action::Break(ErrorKind::Transport));
        let second = acts(Action::Reply(10, 5));
        let router = router(&first, &second, prefill);
        let call = Call::new(&Chat, Document::from_bytes(body));
        assert_eq!(text(&router, call).await, ("hello".to_owned(), cut));
        assert_eq!(second.calls(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_failure_of_the_last_deployment_ends_the_stream() {
    let first = acts(Action::Break(ErrorKind::Transport));
    for (act, expected, kind) in [
        (
            Action::Fail(ErrorKind::Overloaded),
            "hello",
            ErrorKind::Overloaded,
        ),
        (
            Action::Break(ErrorKind::Timeout),
            "hellohello",
            ErrorKind::Timeout,
        ),
    ] {
        let second = acts(act);
        let router = router(&first, &second, Some(prefill()));
        let call = Call::new(&Chat, Document::from_bytes(CHAT));
        assert_eq!(text(&router, call).await, (expected.to_owned(), Some(kind)));
        let health = router.snapshot();
        assert_eq!(health[0].in_flight + health[1].in_flight, 0);
    }
}
