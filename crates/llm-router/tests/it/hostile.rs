//! The router with hostile clients, upstreams and configurations.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures_core::future::BoxFuture;
use futures_util::stream;
use llm_provider::text::EXCERPT;
use llm_provider::{
    Call, Capabilities, Capability, Chunk, Document, Error, ErrorKind, MAX_MODEL_NAME, Metadata,
    Provider, Reply, ReplyEvent, ReplyStream, Result,
};
use llm_router::{Deployment, MAX_HELD_BYTES, MAX_HELD_CHUNKS, MAX_RETRIES, Router};
use llm_types::ChatRequest;
use llm_types::embeddings::EmbeddingRequest;
use proptest::collection::vec;
use proptest::prelude::*;

/// A provider that streams chunks without output, and counts its calls.
#[derive(Debug, Default)]
struct Hostile {
    /// The numbers of bytes added to each chunk, in order.
    padding: Vec<usize>,
    /// Whether a chunk with output follows; if not, the stream fails.
    ends_with_content: bool,
    calls: AtomicUsize,
    capabilities: AtomicUsize,
    sent: Arc<Sent>,
}

/// The chunks that the router has taken from the stream.
#[derive(Debug, Default)]
struct Sent {
    chunks: AtomicUsize,
    bytes: AtomicUsize,
}

impl Provider for Hostile {
    fn name(&self) -> &'static str {
        "hostile"
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities.fetch_add(1, Relaxed);
        Capabilities::new([Capability::Chat])
    }

    fn send(&self, _: Call) -> BoxFuture<'_, Result<Reply>> {
        self.calls.fetch_add(1, Relaxed);
        let error = Error::new(ErrorKind::Overloaded, "refused");
        Box::pin(std::future::ready(Err(error)))
    }

    fn stream(&self, _: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        self.calls.fetch_add(1, Relaxed);
        let mut events: Vec<_> = self.padding.iter().map(|len| Ok(chunk("", *len))).collect();
        events.push(match self.ends_with_content {
            true => Ok(chunk("hello", 0)),
            false => Err(Error::new(ErrorKind::Transport, "cut")),
        });
        let sent = Arc::clone(&self.sent);
        let events = events.into_iter().inspect(move |event| {
            sent.chunks.fetch_add(1, Relaxed);
            sent.bytes.fetch_add(size(event), Relaxed);
        });
        let metadata = Metadata::new("hostile", "model");
        let stream = ReplyStream::new(metadata, stream::iter(events));
        Box::pin(std::future::ready(Ok(stream)))
    }
}

fn chunk(content: &str, padding: usize) -> ReplyEvent {
    let padding = "x".repeat(padding);
    let body = Document::from_bytes(format!(
        r#"{{"id":"c","choices":[{{"index":0,"delta":{{"content":"{content}"}}}}],"p":"{padding}"}}"#
    ));
    ReplyEvent::Chunk(Chunk::new(body).with_output(!content.is_empty()))
}

fn size(event: &Result<ReplyEvent>) -> usize {
    match event {
        Ok(ReplyEvent::Chunk(chunk)) => chunk.bytes().len(),
        _ => 0,
    }
}

fn call() -> Call {
    call_of("group")
}

fn call_of(group: &str) -> Call {
    Call::of(&ChatRequest::new(group, Vec::new()))
}

fn group(providers: impl IntoIterator<Item = Arc<Hostile>>) -> Router {
    Router::new(
        providers
            .into_iter()
            .map(|provider| Deployment::new("group", provider, "m")),
    )
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.build().unwrap().block_on(future)
}

/// Reads a stream to its end, and checks after each step how much the router holds back.
async fn read(router: &Router, sent: &Sent, longest: usize) -> Result<Vec<Result<usize>>> {
    let (mut chunks, mut bytes) = (0, 0);
    let check = |chunks: usize, bytes: usize| {
        let held = sent.chunks.load(Relaxed) - chunks;
        assert!(held <= MAX_HELD_CHUNKS, "{held} chunks are held");
        let held = sent.bytes.load(Relaxed) - bytes;
        assert!(held <= MAX_HELD_BYTES + longest, "{held} bytes are held");
    };
    let mut stream = router.stream(call()).await?;
    let mut seen = Vec::new();
    check(chunks, bytes);
    while let Some(event) = stream.next().await {
        chunks += 1;
        bytes += size(&event);
        check(chunks, bytes);
        seen.push(event.map(|event| size(&Ok(event))));
    }
    Ok(seen)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn chunks_without_content_are_held_within_limits_and_none_is_lost(
        padding in vec(prop_oneof![0..20_usize, 0..20_000_usize], 0..600),
        ends_with_content in any::<bool>(),
    ) {
        let hostile = Arc::new(Hostile { padding, ends_with_content, ..Hostile::default() });
        let expected: Vec<usize> = hostile.padding.iter().map(|len| size(&Ok(chunk("", *len)))).collect();
        let longest = expected.iter().copied().max().unwrap_or(0).max(100);
        let router = group([Arc::clone(&hostile)]);
        match block_on(read(&router, &hostile.sent, longest)) {
            Ok(mut seen) => {
                prop_assert_eq!(seen.pop().unwrap().is_ok(), ends_with_content);
                let seen: Result<Vec<usize>> = seen.into_iter().collect();
                prop_assert_eq!(seen.unwrap(), expected);
            }
            // The stream failed while all chunks were still held back.
            Err(_) => prop_assert!(!ends_with_content && expected.len() < MAX_HELD_CHUNKS),
        }
    }

    #[test]
    fn an_unknown_model_of_any_name_is_a_short_error_on_one_line(
        name in ".{0,40}|[\\x00-\\x1f\u{202e}]{1,40}",
        times in prop_oneof![Just(1_usize), Just(50_000)],
        known in vec(prop_oneof![Just(1_usize), Just(10), Just(200_000)], 0..30),
    ) {
        let provider = Arc::new(Hostile::default());
        let known = known.into_iter().enumerate();
        let router = Router::new(known.map(|(index, len)| {
            Deployment::new(format!("{index}\n{}", "k".repeat(len)), Arc::<Hostile>::clone(&provider), "m")
        }));
        let name = name.repeat(times);
        let error = block_on(router.send(call_of(&name))).unwrap_err();
        prop_assert_eq!(error.code(), Some("model_not_found"));
        prop_assert!(error.message().len() < 6 * 10 * EXCERPT + 200);
        prop_assert!(!error.message().chars().any(char::is_control), "{:?}", error);
        let is_long = name.len() > MAX_MODEL_NAME;
        let says_so = error.message().contains("at most 256 bytes");
        prop_assert_eq!(says_so, is_long);
    }
}

#[tokio::test]
async fn a_stream_past_the_limit_stays_at_its_deployment() {
    let cut_after = |chunks| {
        let padding = vec![0; chunks];
        Arc::new(Hostile {
            padding,
            ..Hostile::default()
        })
    };
    for (chunks, takes_over) in [(MAX_HELD_CHUNKS - 1, true), (MAX_HELD_CHUNKS, false)] {
        let (one, other) = (cut_after(chunks), cut_after(chunks));
        let router = group([Arc::clone(&one), Arc::clone(&other)]);
        let read = match router.stream(call()).await {
            Err(error) => Err(error),
            Ok(mut stream) => {
                let mut seen = 0;
                loop {
                    match stream.next().await.unwrap() {
                        Ok(_) => seen += 1,
                        Err(_) => break Ok(seen),
                    }
                }
            }
        };
        let calls = one.calls.load(Relaxed) + other.calls.load(Relaxed);
        assert_eq!(calls, if takes_over { 2 } else { 1 });
        assert_eq!(read.ok(), (!takes_over).then_some(chunks));
    }
}

#[tokio::test]
async fn any_number_of_retries_makes_at_least_one_attempt_and_at_most_the_limit() {
    let hostile = Arc::new(Hostile::default());
    let router = |count| group(std::iter::repeat_n(Arc::clone(&hostile), count));
    for (retries, deployments, attempts) in [
        (0, 3, 1),
        (1, 3, 2),
        (usize::MAX, 1, 1),
        (usize::MAX, 3, 3),
        (usize::MAX, 200, MAX_RETRIES + 1),
    ] {
        let router = router(deployments).with_retries(retries);
        let before = hostile.calls.load(Relaxed);
        let error = router.send(call()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded, "{retries}");
        assert_eq!(hostile.calls.load(Relaxed) - before, attempts, "{retries}");
    }
}

#[tokio::test]
async fn a_call_looks_at_no_more_deployments_than_it_tries() {
    let hostile = Arc::new(Hostile::default());
    let router = group(std::iter::repeat_n(Arc::clone(&hostile), 10_000));
    let looked = hostile.capabilities.load(Relaxed);
    for _ in 0..10 {
        router.send(call()).await.unwrap_err();
        let embed = Call::of(&EmbeddingRequest::new("group", "x"));
        let error = router.send(embed).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    assert_eq!(hostile.capabilities.load(Relaxed), looked);
    assert_eq!(hostile.calls.load(Relaxed), 20);
}
