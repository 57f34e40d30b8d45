//! A provider in memory whose behaviour is a function of the call's number.

use std::fmt;
// Unlike `panic!`, it prints nothing.
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_util::stream;
use llm_provider::{
    Call, Capabilities, Chunk, Document, Error, ErrorKind, Metadata, Provider, Reply, ReplyEvent,
    ReplyStream, Result,
};
use llm_router::{Deployment, RouterEvent, RouterObserver};
use llm_types::{ChatRequest, Message, Usage};
use tokio::time::{Instant, sleep};

/// What an upstream does with a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// Replies, with these prompt and completion tokens.
    Reply(u64, u64),
    Fail(ErrorKind),
    /// Fails, with a `retry_after` of this many seconds.
    FailFor(ErrorKind, u64),
    /// Never answers.
    Hang,
    Panic,
    /// Streams a chunk, then nothing.
    Stall,
    /// Streams a chunk, then fails.
    Break(ErrorKind),
}

type Script = dyn Fn(usize) -> (Duration, Action) + Send + Sync;

pub(crate) struct Upstream {
    script: Box<Script>,
    calls: AtomicUsize,
    running: AtomicUsize,
    peak: AtomicUsize,
    starts: Mutex<Vec<Instant>>,
    models: Mutex<Vec<String>>,
    bodies: Mutex<Vec<Document>>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstream")
    }
}

impl Upstream {
    pub(crate) fn new(
        script: impl Fn(usize) -> (Duration, Action) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            calls: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            starts: Mutex::default(),
            models: Mutex::default(),
            bodies: Mutex::default(),
        })
    }

    /// Replies after `latency`.
    pub(crate) fn healthy(latency: Duration) -> Arc<Self> {
        Self::new(move |_| (latency, Action::Reply(10, 5)))
    }

    pub(crate) fn failing(kind: ErrorKind) -> Arc<Self> {
        Self::new(move |_| (Duration::ZERO, Action::Fail(kind)))
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    /// The most calls at the same time.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(SeqCst)
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(SeqCst)
    }

    /// When the calls began.
    pub(crate) fn starts(&self) -> Vec<Instant> {
        self.starts.lock().unwrap().clone()
    }

    /// The models that were asked for.
    pub(crate) fn models(&self) -> Vec<String> {
        self.models.lock().unwrap().clone()
    }

    /// The bodies of the calls.
    pub(crate) fn bodies(&self) -> Vec<Document> {
        self.bodies.lock().unwrap().clone()
    }

    fn begin(self: &Arc<Self>, call: &Call) -> (Running, Duration, Action) {
        let number = self.calls.fetch_add(1, SeqCst);
        let running = self.running.fetch_add(1, SeqCst) + 1;
        self.peak.fetch_max(running, SeqCst);
        self.starts.lock().unwrap().push(Instant::now());
        self.models.lock().unwrap().push(call.model().into_owned());
        self.bodies.lock().unwrap().push(call.body.clone());
        let (latency, act) = (self.script)(number);
        (Running(Arc::clone(self)), latency, act)
    }
}

struct Running(Arc<Upstream>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

/// An account at an upstream.
#[derive(Debug)]
pub(crate) struct Account(pub(crate) Arc<Upstream>);

impl Provider for Account {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        let (running, latency, act) = self.0.begin(&call);
        Box::pin(async move {
            let _running = running;
            sleep(latency).await;
            match act {
                Action::Reply(prompt, completion) => {
                    let usage = Usage::new(prompt, completion);
                    let body = serde_json::json!({ "id": "id", "choices": [], "usage": usage });
                    Ok(Reply::new(
                        Document::new(&body),
                        Metadata::new("memory", "m"),
                    ))
                }
                Action::Fail(kind) | Action::Break(kind) => Err(Error::new(kind, "failed")),
                Action::FailFor(kind, seconds) => {
                    let wait = Duration::from_secs(seconds);
                    Err(Error::new(kind, "failed").with_retry_after(wait))
                }
                Action::Hang | Action::Stall => std::future::pending().await,
                Action::Panic => resume_unwind(Box::new("the provider panics")),
            }
        })
    }

    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        let (running, latency, act) = self.0.begin(&call);
        Box::pin(async move {
            sleep(latency).await;
            let text = Ok(chunk("hello"));
            let metadata = Metadata::new("memory", "m");
            let events = match act {
                Action::Reply(prompt, completion) => {
                    let body = Document::from_bytes(r#"{"id":"c","choices":[]}"#);
                    let usage = Chunk::new(body).with_usage(Usage::new(prompt, completion));
                    vec![text, Ok(ReplyEvent::Chunk(usage))]
                }
                Action::Fail(kind) => return Err(Error::new(kind, "failed")),
                Action::FailFor(kind, seconds) => {
                    let wait = Duration::from_secs(seconds);
                    return Err(Error::new(kind, "failed").with_retry_after(wait));
                }
                Action::Break(kind) => vec![text, Err(Error::new(kind, "failed"))],
                Action::Stall => vec![text],
                Action::Hang => std::future::pending().await,
                Action::Panic => resume_unwind(Box::new("the provider panics")),
            };
            let is_stalled = matches!(act, Action::Stall);
            let rest = async move {
                let _running = running;
                if is_stalled {
                    std::future::pending::<()>().await;
                }
            };
            let end = futures_util::FutureExt::into_stream(rest);
            let end = futures_util::StreamExt::filter_map(end, async |()| None);
            let events = futures_util::StreamExt::chain(stream::iter(events), end);
            Ok(ReplyStream::new(metadata, events))
        })
    }
}

pub(crate) fn chunk(content: &str) -> ReplyEvent {
    let body = Document::from_bytes(format!(
        r#"{{"id":"c","choices":[{{"index":0,"delta":{{"content":"{content}"}}}}]}}"#
    ));
    ReplyEvent::Chunk(Chunk::new(body).with_output(!content.is_empty()))
}

pub(crate) fn call(group: &str) -> Call {
    Call::of(&ChatRequest::new(group, vec![Message::user("Hi")]))
}

pub(crate) fn deployment(group: &str, upstream: &Arc<Upstream>, id: &str) -> Deployment {
    Deployment::new(group, Arc::new(Account(Arc::clone(upstream))), "m").with_id(id)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Reads a stream to its end: the number of events, and the error at the end.
pub(crate) async fn read(mut stream: ReplyStream) -> (usize, Option<Error>) {
    let mut events = 0;
    while let Some(event) = stream.next().await {
        match event {
            Ok(_) => events += 1,
            Err(error) => return (events, Some(error)),
        }
    }
    (events, None)
}

/// Keeps the events as short texts.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<String>>);

impl Log {
    pub(crate) fn events(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl RouterObserver for Log {
    fn on_event(&self, event: &RouterEvent<'_>) {
        let text = match event {
            RouterEvent::Picked {
                deployment,
                attempt,
                ..
            } => format!("picked {deployment} {attempt}"),
            RouterEvent::Failed {
                deployment,
                error,
                counts: None,
                ..
            } => format!("failed {deployment} {:?}", error.kind()),
            RouterEvent::Failed {
                deployment,
                error,
                counts: Some(counts),
                cost,
                ..
            } => {
                let (kind, total) = (error.kind(), counts.total());
                format!("failed {deployment} {kind:?} after {total} {cost:?}")
            }
            RouterEvent::Cooled {
                deployment,
                cause,
                time,
                ..
            } => {
                format!("cooled {deployment} {cause:?} {time:?}")
            }
            RouterEvent::Recovered { deployment, .. } => format!("recovered {deployment}"),
            RouterEvent::FellBack { from, to, .. } => format!("fell back {from} {to}"),
            RouterEvent::Abandoned {
                deployment,
                counts,
                cost,
                ..
            } => format!("abandoned {deployment} {} {cost:?}", counts.total()),
            RouterEvent::Queued { group, .. } => format!("queued {group}"),
            RouterEvent::Refused { group, error, .. } => {
                format!("refused {group} {:?}", error.kind())
            }
            RouterEvent::FirstOutput {
                deployment,
                latency,
                ..
            } => {
                format!("first output {deployment} {latency:?}")
            }
            RouterEvent::Finished {
                deployment,
                counts,
                cost,
                latency,
                ..
            } => {
                let total = counts.map(|counts| counts.total());
                format!("finished {deployment} {total:?} {cost:?} {latency:?}")
            }
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(text);
    }
}
