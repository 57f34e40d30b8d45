//! The router with scripted providers: which deployments are called, how often, and the result.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures_core::future::BoxFuture;
use llm_provider::endpoint::Chat;
use llm_provider::{
    Call, Capabilities, Capability, Chunk, Document, Error, ErrorKind, Metadata, Progress,
    Provider, Reply, ReplyEvent, ReplyStream, Result,
};
use llm_router::{Deployment, Router, SimpleShuffle};
use llm_types::{
    AssistantMessage, ChatChunk, ChatRequest, ChatResponse, Choice, ChunkChoice, Delta,
    FinishReason, Message,
};
use serde_json::{Map, Value, json};

/// A provider that replies to each call with the next of its scripts, then with its name.
#[derive(Debug, Default)]
struct Scripted {
    scripts: Mutex<VecDeque<Vec<Step>>>,
    seen: Mutex<Vec<Value>>,
}

#[derive(Debug)]
enum Step {
    Refuse(ErrorKind),
    Start,
    Say(&'static str),
    Boot,
    Fail(ErrorKind),
}

impl Scripted {
    fn new(scripts: impl IntoIterator<Item = Vec<Step>>) -> Arc<Self> {
        let scripts = Mutex::new(scripts.into_iter().collect());
        Arc::new(Self {
            scripts,
            seen: Mutex::default(),
        })
    }

    fn calls(&self) -> Vec<Value> {
        self.seen.lock().unwrap().clone()
    }

    fn next(&self, call: &Call) -> Vec<Step> {
        let body = serde_json::from_slice(call.body.bytes()).unwrap();
        self.seen.lock().unwrap().push(body);
        self.scripts
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or_else(|| vec![Step::Say("hello")])
    }
}

impl Provider for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new([Capability::Chat])
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        let script = self.next(&call);
        Box::pin(async move {
            match script.first() {
                Some(Step::Refuse(kind)) => Err(Error::new(*kind, "refused")),
                Some(Step::Say(text)) => {
                    let message = AssistantMessage::new().with_content(*text);
                    let choice = Choice::new(0, message, FinishReason::Stop);
                    let response = ChatResponse::new("id", 1, "model").with_choice(choice);
                    Ok(Reply::new(
                        Document::new(&response),
                        Metadata::new("scripted", "model"),
                    ))
                }
                other => panic!("a plain call cannot play {other:?}"),
            }
        })
    }

    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        let script = self.next(&call);
        Box::pin(async move {
            if let Some(Step::Refuse(kind)) = script.first() {
                return Err(Error::new(*kind, "refused"));
            }
            let events = script.into_iter().map(|step| match step {
                Step::Start => Ok(chunk(Delta::start())),
                Step::Say(text) => Ok(chunk(Delta::content(text))),
                Step::Boot => Ok(ReplyEvent::Progress(Progress::new(
                    "starting",
                    std::time::Duration::ZERO,
                ))),
                Step::Fail(kind) | Step::Refuse(kind) => Err(Error::new(kind, "failed")),
            });
            let metadata = Metadata::new("scripted", "model");
            Ok(ReplyStream::new(
                metadata,
                futures_util::stream::iter(events.collect::<Vec<_>>()),
            ))
        })
    }
}

fn chunk(delta: Delta) -> ReplyEvent {
    let chunk = ChatChunk::new("id", 1, "model").with_choice(ChunkChoice::new(0, delta));
    let has_output = chunk.text().is_some_and(|text| !text.is_empty());
    ReplyEvent::Chunk(Chunk::new(Document::new(&chunk)).with_output(has_output))
}

fn call() -> Call {
    call_of("group")
}

fn call_of(group: &str) -> Call {
    Call::of(&ChatRequest::new(group, vec![Message::user("Hi")]))
}

/// A group of two: the first is always called first, since only it has a weight.
fn pair(first: &Arc<Scripted>, second: &Arc<Scripted>) -> Router {
    Router::new([
        Deployment::new("group", Arc::<Scripted>::clone(first), "one"),
        Deployment::new("group", Arc::<Scripted>::clone(second), "two").with_weight(0),
    ])
}

/// The events of a stream, abbreviated.
async fn play(router: &Router) -> Vec<String> {
    let mut stream = match router.stream(call()).await {
        Ok(stream) => stream,
        Err(error) => return vec![format!("refused {:?}", error.kind())],
    };
    let mut seen = vec![stream.metadata.deployment.clone().unwrap()];
    while let Some(event) = stream.next().await {
        seen.push(match event {
            Ok(ReplyEvent::Chunk(chunk)) => chunk
                .read::<ChatChunk>()
                .unwrap()
                .text()
                .unwrap()
                .to_owned(),
            Ok(ReplyEvent::Progress(progress)) => progress.status,
            Ok(other) => panic!("{other:?}"),
            Err(error) => format!("failed {:?}", error.kind()),
        });
    }
    seen
}

#[tokio::test]
async fn the_upstream_sees_its_own_model_name_and_the_defaults_that_the_client_left_open() {
    let provider = Scripted::new([]);
    let defaults = json!({ "max_tokens": 20, "temperature": 0.5, "top_k": 20 });
    let Value::Object(defaults) = defaults else {
        unreachable!()
    };
    let deployment = Deployment::new("group", Arc::<Scripted>::clone(&provider), "meta/llama");
    let router = Router::new([deployment.with_defaults(defaults)]);

    let body = json!({ "model": "group", "temperature": 0.9, "messages": [], "x": [1.50] });
    let call = Call::new(&Chat, Document::from_bytes(body.to_string()));
    let reply = router.send(call).await.unwrap();

    assert_eq!(
        reply.metadata.deployment.as_deref(),
        Some("scripted/meta/llama")
    );
    assert_eq!(reply.metadata.attempts, 1);
    let expected = json!({
        "model": "meta/llama", "temperature": 0.9, "messages": [], "x": [1.50],
        "max_tokens": 20, "top_k": 20,
    });
    assert_eq!(provider.calls(), [expected]);
}

#[tokio::test]
async fn a_default_limit_gives_way_to_the_clients_under_its_other_name() {
    let provider = Scripted::new([]);
    let defaults = Map::from_iter([("max_tokens".to_owned(), json!(20))]);
    let deployment = Deployment::new("group", Arc::<Scripted>::clone(&provider), "m");
    let router = Router::new([deployment.with_defaults(defaults)]);
    let body = r#"{"model":"group","messages":[],"max_completion_tokens":5}"#;
    router
        .send(Call::new(&Chat, Document::from_bytes(body)))
        .await
        .unwrap();
    let expected = json!({ "model": "m", "messages": [], "max_completion_tokens": 5 });
    assert_eq!(provider.calls(), [expected]);
}

#[tokio::test]
async fn an_unknown_group_names_the_nearest() {
    let router = pair(&Scripted::new([]), &Scripted::new([]));
    let error = router.send(call_of("gruop")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.code(), Some("model_not_found"));
    assert_eq!(
        error.message(),
        "the model \"gruop\" does not exist; known: group"
    );
}

#[tokio::test]
async fn after_a_failure_another_deployment_is_tried_once() {
    for kind in [
        ErrorKind::Transport,
        ErrorKind::RateLimited,
        ErrorKind::Auth,
    ] {
        let (first, second) = (Scripted::new([vec![Step::Refuse(kind)]]), Scripted::new([]));
        let reply = pair(&first, &second).send(call()).await.unwrap();
        assert_eq!(reply.metadata.deployment.as_deref(), Some("scripted/two"));
        assert_eq!(reply.metadata.attempts, 2);
        assert_eq!((first.calls().len(), second.calls().len()), (1, 1));
    }
}

#[tokio::test]
async fn an_invalid_request_is_not_retried() {
    let first = Scripted::new([vec![Step::Refuse(ErrorKind::InvalidRequest)]]);
    let second = Scripted::new([]);
    let error = pair(&first, &second).send(call()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(second.calls().is_empty());
}

#[tokio::test]
async fn there_is_one_retry_and_no_more() {
    let refuse = || Scripted::new([vec![Step::Refuse(ErrorKind::Overloaded)]]);
    let providers = [refuse(), refuse(), refuse()];
    let router = Router::new(
        providers
            .iter()
            .map(|provider| Deployment::new("group", Arc::<Scripted>::clone(provider), "m")),
    );
    let error = router.send(call()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(
        providers
            .iter()
            .map(|provider| provider.calls().len())
            .sum::<usize>(),
        2
    );
}

#[tokio::test]
async fn a_stream_that_fails_before_output_moves_to_another_deployment() {
    let first = Scripted::new([vec![Step::Start, Step::Fail(ErrorKind::Transport)]]);
    let second = Scripted::new([vec![Step::Start, Step::Say("hello")]]);
    assert_eq!(
        play(&pair(&first, &second)).await,
        ["scripted/two", "", "hello"]
    );
}

#[tokio::test]
async fn a_stream_that_fails_after_output_ends_with_an_error() {
    let first = Scripted::new([vec![Step::Say("hel"), Step::Fail(ErrorKind::Transport)]]);
    let second = Scripted::new([]);
    let seen = play(&pair(&first, &second)).await;
    assert_eq!(seen, ["scripted/one", "hel", "failed Transport"]);
    assert!(second.calls().is_empty());
}

#[tokio::test]
async fn progress_is_passed_on_at_once_and_failover_is_still_possible() {
    let first = Scripted::new([vec![
        Step::Boot,
        Step::Start,
        Step::Fail(ErrorKind::Timeout),
    ]]);
    let second = Scripted::new([vec![Step::Say("hello")]]);
    let seen = play(&pair(&first, &second)).await;
    assert_eq!(seen, ["scripted/one", "starting", "hello"]);
}

#[tokio::test]
async fn a_refused_stream_is_an_error_of_the_call() {
    let refuse = || Scripted::new([vec![Step::Refuse(ErrorKind::Overloaded)]]);
    assert_eq!(
        play(&pair(&refuse(), &refuse())).await,
        ["refused Overloaded"]
    );
}

#[tokio::test]
async fn a_stream_without_output_is_a_success() {
    let first = Scripted::new([vec![Step::Start]]);
    assert_eq!(
        play(&pair(&first, &Scripted::new([]))).await,
        ["scripted/one", ""]
    );
}

#[tokio::test]
async fn weights_share_the_traffic() {
    let providers = [Scripted::new([]), Scripted::new([])];
    let router = Router::builder()
        .with_strategy(Arc::new(SimpleShuffle))
        .with_deployments([
            Deployment::new("group", Arc::<Scripted>::clone(&providers[0]), "m").with_weight(3),
            Deployment::new("group", Arc::<Scripted>::clone(&providers[1]), "m"),
        ])
        .build()
        .unwrap();
    for _ in 0..2000 {
        router.send(call()).await.unwrap();
    }
    let first = providers[0].calls().len();
    // Three quarters of 2000, give or take five standard deviations.
    assert!((1400..=1600).contains(&first), "{first}");
}
