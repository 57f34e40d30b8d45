//! The cache of replies.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Action, Log, Upstream, call, deployment, millis, read, seconds};
use futures_core::future::BoxFuture;
use futures_util::StreamExt;
use futures_util::future::join_all;
use llm_provider::endpoint::Embeddings;
use llm_provider::{
    Call, Capabilities, Capability, Document, ErrorKind, Metadata, Provider, Reply, ReplyEvent,
    Result,
};
use llm_router::{CacheControl, CacheOptions, Deployment, RouteOptions, Router};
use serde_json::{Value, json};
use tokio::time::{Instant, advance};

fn router(upstream: &Arc<Upstream>, options: CacheOptions) -> Router {
    Router::builder()
        .with_deployments([deployment("group", upstream, "one")])
        .with_cache(options)
        .build()
        .unwrap()
}

fn controlled(control: CacheControl) -> RouteOptions {
    RouteOptions::default().with_cache(control)
}

#[tokio::test(start_paused = true)]
async fn the_same_call_gets_the_same_reply_until_its_time_is_over() {
    let upstream = Upstream::healthy(millis(100));
    let router = router(&upstream, CacheOptions::default());
    let first = router.send(call("group")).await.unwrap();
    assert_eq!(first.metadata.extra.get("cache"), None);
    let begin = Instant::now();
    let second = router.send(call("group")).await.unwrap();
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert_eq!(second.body.bytes(), first.body.bytes());
    assert_eq!(second.metadata.extra["cache"], "hit");
    assert_eq!(second.metadata.deployment.as_deref(), Some("one"));
    advance(seconds(601)).await;
    router.send(call("group")).await.unwrap();
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_replayed() {
    let upstream = Upstream::new(|number| match number {
        0 => (millis(1), Action::Break(ErrorKind::Transport)),
        _ => (millis(1), Action::Reply(10, 5)),
    });
    let router = router(&upstream, CacheOptions::default());
    let texts = |events: Vec<Result<ReplyEvent>>| -> Vec<_> {
        let chunks = events.into_iter().map(|event| match event.unwrap() {
            ReplyEvent::Chunk(chunk) => chunk.bytes().clone(),
            other => panic!("{other:?}"),
        });
        chunks.collect()
    };
    let (_, error) = read(router.stream(call("group")).await.unwrap()).await;
    assert!(error.is_some(), "a broken stream is not kept");
    // Nor is one that nobody reads to its end.
    let mut left = router.stream(call("group")).await.unwrap();
    left.next().await.unwrap().unwrap();
    drop(left);
    let first = texts(router.stream(call("group")).await.unwrap().collect().await);
    let replayed = router.stream(call("group")).await.unwrap();
    assert_eq!(replayed.metadata.extra["cache"], "hit");
    assert_eq!(texts(replayed.collect().await), first);
    assert_eq!((first.len(), upstream.calls()), (2, 3));
    // A reply in one piece is another entry.
    router.send(call("group")).await.unwrap();
    assert_eq!(upstream.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn calls_at_the_same_time_are_sent_once() {
    let upstream = Upstream::healthy(seconds(2));
    let log = Arc::new(Log::default());
    let router = Router::builder()
        .with_deployments([deployment("group", &upstream, "one")])
        .with_cache(CacheOptions::default())
        .with_observer(Arc::clone(&log) as Arc<_>)
        .build()
        .unwrap();
    let begin = Instant::now();
    let replies = join_all((0..50).map(|_| router.send(call("group")))).await;
    assert!(replies.iter().all(Result::is_ok));
    assert_eq!((begin.elapsed(), upstream.calls()), (seconds(2), 1));
    let events = log.events();
    let cached = events.iter().filter(|event| event.starts_with("Cached"));
    assert_eq!(cached.count(), 49);
}

#[tokio::test(start_paused = true)]
async fn calls_do_not_fail_one_after_another() {
    let upstream = Upstream::new(|_| (seconds(1), Action::Fail(ErrorKind::ModelFailed)));
    let router = router(&upstream, CacheOptions::default());
    let begin = Instant::now();
    let replies = join_all((0..50).map(|_| router.send(call("group")))).await;
    assert!(replies.iter().all(Result::is_err));
    assert!(begin.elapsed() <= seconds(2), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_another_one_ends_in_time() {
    let upstream = Upstream::healthy(seconds(60));
    let router = router(&upstream, CacheOptions::default());
    let slow = router.send(call("group"));
    let hurried = async {
        tokio::task::yield_now().await;
        let begin = Instant::now();
        let error = router.send(call("group").with_timeout(seconds(3))).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Timeout);
        assert!(begin.elapsed() <= seconds(4), "{:?}", begin.elapsed());
    };
    let (slow, ()) = tokio::join!(slow, hurried);
    slow.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_does_not_stop_the_others() {
    let upstream = Upstream::healthy(seconds(2));
    let router = router(&upstream, CacheOptions::default());
    let first = tokio::time::timeout(seconds(1), router.send(call("group")));
    let (first, second) = tokio::join!(first, router.send(call("group")));
    assert!(first.is_err());
    second.unwrap();
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_controls_its_use_of_the_cache() {
    let upstream = Upstream::healthy(millis(1));
    let router = router(&upstream, CacheOptions::default());
    let send = async |control: CacheControl| {
        let before = upstream.calls();
        let reply = router.send_with(call("group"), controlled(control)).await;
        reply.unwrap();
        upstream.calls() > before
    };
    let control = CacheControl::default;
    assert!(send(control().with_no_store(true)).await);
    assert!(send(control()).await, "nothing has been kept");
    assert!(!send(control()).await);
    assert!(send(control().with_no_cache(true)).await);
    assert!(send(control().with_used(false)).await);
    assert!(send(control().with_namespace("other".to_owned())).await);
    assert!(!send(control().with_namespace("other".to_owned())).await);
    advance(seconds(100)).await;
    assert!(!send(control().with_max_age(seconds(200))).await);
    assert!(send(control().with_max_age(seconds(50))).await);
    assert!(
        !send(control().with_max_age(seconds(50))).await,
        "it is new"
    );
    assert!(send(control().with_no_cache(true).with_time_to_live(seconds(5))).await);
    advance(seconds(6)).await;
    assert!(send(control()).await);
}

#[tokio::test(start_paused = true)]
async fn the_options_say_what_is_cached() {
    let chats = Capabilities::new([Capability::Chat]);
    let embeddings = Capabilities::new([Capability::Embeddings]);
    for (options, calls) in [
        (CacheOptions::default().with_endpoints(chats), 1),
        (CacheOptions::default().with_endpoints(embeddings), 2),
        (CacheOptions::default().with_default(false), 2),
    ] {
        let upstream = Upstream::healthy(millis(1));
        let router = router(&upstream, options);
        for _ in 0..2 {
            router.send(call("group")).await.unwrap();
        }
        assert_eq!(upstream.calls(), calls);
    }
    let upstream = Upstream::healthy(millis(1));
    let router = router(&upstream, CacheOptions::default().with_default(false));
    for _ in 0..2 {
        let control = CacheControl::default().with_used(true);
        router
            .send_with(call("group"), controlled(control))
            .await
            .unwrap();
    }
    assert_eq!(upstream.calls(), 1);
}

/// The vector of a text is its length; a token is a text. `is_bare`: the vectors have no index.
#[derive(Debug, Default)]
struct Lengths {
    sent: Mutex<Vec<Value>>,
    is_bare: bool,
}

impl Provider for Lengths {
    fn name(&self) -> &'static str {
        "lengths"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        let input: Value = call.body.read_member("input").unwrap().unwrap();
        self.sent.lock().unwrap().push(input.clone());
        let texts = match input {
            Value::Array(texts) => texts,
            text => vec![text],
        };
        let data = texts.iter().enumerate().map(|(index, text)| {
            let length = text.as_str().map_or(0, str::len);
            match self.is_bare {
                true => json!({ "object": "embedding", "embedding": [length] }),
                false => json!({ "object": "embedding", "index": index, "embedding": [length] }),
            }
        });
        // The order of the vectors is that of their indices, not that of the array.
        let data: Vec<Value> = match self.is_bare {
            true => data.collect(),
            false => data.rev().collect(),
        };
        let usage = json!({ "prompt_tokens": texts.len(), "total_tokens": texts.len() });
        let body = json!({ "object": "list", "data": data, "model": "m", "usage": usage });
        let reply = Reply::new(Document::new(&body), Metadata::new("lengths", "m"));
        Box::pin(std::future::ready(Ok(reply)))
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_of_embeddings_only_the_unknown_inputs_are_sent() {
    let upstream = Arc::new(Lengths::default());
    let provider: Arc<dyn Provider> = Arc::clone(&upstream) as _;
    let router = Router::builder()
        .with_deployments([Deployment::new("group", provider, "m")])
        .with_cache(CacheOptions::default())
        .build()
        .unwrap();
    // The vectors in order, the prompt tokens, and the state of the cache.
    let send = async |input: Value| {
        let body = json!({ "model": "group", "input": input });
        let call = Call::new(&Embeddings, Document::new(&body));
        let reply = router.send(call).await.unwrap();
        let body: Value = reply.body.read().unwrap();
        let mut data = body["data"].as_array().unwrap().clone();
        data.sort_by_key(|vector| vector["index"].as_u64());
        let vectors: Vec<u64> = data
            .iter()
            .map(|vector| vector["embedding"][0].as_u64().unwrap())
            .collect();
        let tokens = body["usage"]["prompt_tokens"].as_u64().unwrap();
        let cache = reply.metadata.extra.get("cache").cloned();
        (vectors, tokens, cache)
    };
    let (hit, partial) = (Some(json!("hit")), Some(json!("partial")));
    assert_eq!(send(json!(["a", "ccc"])).await, (vec![1, 3], 2, None));
    // Of three inputs, two are known.
    let expected = (vec![3, 2, 1], 1, partial);
    assert_eq!(send(json!(["ccc", "bb", "a"])).await, expected);
    assert_eq!(
        send(json!(["bb", "a", "bb"])).await,
        (vec![2, 1, 2], 0, hit.clone())
    );
    // An input alone is the same as one in a batch; its tokens are its share of the text.
    assert_eq!(send(json!("ccc")).await, (vec![3], 2, hit.clone()));
    assert_eq!(send(json!("dddd")).await, (vec![4], 1, None));
    assert_eq!(send(json!(["dddd", "a"])).await, (vec![4, 1], 0, hit));
    // Tokens of one input are no batch.
    assert_eq!(send(json!([1, 2])).await.2, None);
    let sent = upstream.sent.lock().unwrap().clone();
    let expected = [
        json!(["a", "ccc"]),
        json!(["bb"]),
        json!("dddd"),
        json!([1, 2]),
    ];
    assert_eq!(sent, expected);
}

#[tokio::test(start_paused = true)]
async fn vectors_without_an_index_are_in_the_order_of_the_inputs() {
    let upstream = Arc::new(Lengths {
        is_bare: true,
        ..Lengths::default()
    });
    let provider: Arc<dyn Provider> = Arc::clone(&upstream) as _;
    let router = Router::builder()
        .with_deployments([Deployment::new("group", provider, "m")])
        .with_cache(CacheOptions::default())
        .build()
        .unwrap();
    for input in [json!(["a", "bb"]), json!(["bb", "ccc", "dddd", "a"])] {
        let body = json!({ "model": "group", "input": input });
        let call = Call::new(&Embeddings, Document::new(&body));
        let body: Value = router.send(call).await.unwrap().body.read().unwrap();
        let vectors = body["data"].as_array().unwrap().iter();
        let lengths = vectors.map(|vector| vector["embedding"][0].as_u64().unwrap());
        let texts = input.as_array().unwrap().iter();
        let expected = texts.map(|text| text.as_str().unwrap().len() as u64);
        assert!(lengths.eq(expected), "{body}");
    }
    let sent = upstream.sent.lock().unwrap().clone();
    assert_eq!(sent, [json!(["a", "bb"]), json!(["ccc", "dddd"])]);
}
