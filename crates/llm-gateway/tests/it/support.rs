//! A scripted provider, and small clients.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::body::Body as Upload;
use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::BodyExt;
use llm_gateway::{Config, Gateway, GatewayOptions, ResponseBody};
use llm_provider::{
    Call, Capabilities, Chunk, Document, Error, ErrorKind, Metadata, ParamSpec, Progress, Provider,
    ProviderSpec, Registry, Reply, ReplyEvent, ReplyStream, Result, SettingSpec, Settings,
    TEMPLATE_SETTINGS, TEXT_COMPLETION, ValueKind,
};
use llm_router::Deployment;
use llm_types::ChunkSummary;
use tokio::sync::{Notify, Semaphore};
use tower::ServiceExt;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::util::SubscriberInitExt;

/// What a [`Scripted`] provider does for one call.
#[derive(Clone)]
pub(crate) enum Step {
    /// A piece of JSON: the reply, or a chunk of it.
    Json(&'static str),
    /// The same chunk without end.
    Endless(&'static str),
    Progress(&'static str, u64),
    Wait(Duration),
    /// Continues when the semaphore is closed: later and earlier waiters alike.
    Until(Arc<Semaphore>),
    Fail(fn() -> Error),
    /// Nothing, without end.
    Silence,
}

/// A provider that plays its script for every call.
pub(crate) struct Scripted {
    pub(crate) steps: Vec<Step>,
    pub(crate) capabilities: Capabilities,
    /// The bodies of the calls.
    pub(crate) calls: Mutex<Vec<String>>,
    /// The number of running streams and calls.
    pub(crate) running: Arc<AtomicUsize>,
    /// Notified when a stream or call starts and ends.
    pub(crate) changed: Arc<Notify>,
}

impl Scripted {
    pub(crate) fn new(steps: impl Into<Vec<Step>>) -> Arc<Self> {
        Self::with_capabilities(Capabilities::ALL, steps)
    }

    /// A provider with these capabilities.
    pub(crate) fn with_capabilities(
        capabilities: Capabilities,
        steps: impl Into<Vec<Step>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            steps: steps.into(),
            capabilities,
            calls: Mutex::default(),
            running: Arc::default(),
            changed: Arc::default(),
        })
    }

    /// Waits until `running` calls are running.
    pub(crate) async fn until_running(&self, running: usize) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if self.running.load(Ordering::SeqCst) == running {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait)
            .await
            .expect("calls did not settle");
    }

    fn begin(&self, call: &Call) -> Running {
        let body = String::from_utf8_lossy(call.body.bytes()).into_owned();
        self.calls.lock().unwrap().push(body);
        self.running.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_waiters();
        Running(Arc::clone(&self.running), Arc::clone(&self.changed))
    }

    fn play(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        let (running, metadata) = (self.begin(&call), Self::metadata(&call));
        Box::pin(async move {
            let _running = running;
            for step in &self.steps {
                match step {
                    Step::Json(json) | Step::Endless(json) => {
                        return Ok(Reply::new(Document::from_bytes(*json), metadata));
                    }
                    Step::Progress(..) => {}
                    Step::Wait(time) => tokio::time::sleep(*time).await,
                    Step::Until(gate) => drop(gate.acquire().await),
                    Step::Fail(error) => return Err(error()),
                    Step::Silence => std::future::pending().await,
                }
            }
            Err(Error::new(
                ErrorKind::UpstreamFailed,
                "the script has no reply",
            ))
        })
    }

    fn play_stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        let (running, metadata) = (self.begin(&call), Self::metadata(&call));
        let steps = VecDeque::from(self.steps.clone());
        Box::pin(async move {
            if let Some(Step::Fail(error)) = steps.front() {
                return Err(error());
            }
            let events = stream::unfold((steps, running), |(mut steps, running)| async move {
                loop {
                    let event = match steps.pop_front()? {
                        Step::Json(json) => Ok(chunk(json)),
                        Step::Endless(json) => {
                            steps.push_front(Step::Endless(json));
                            Ok(chunk(json))
                        }
                        Step::Progress(status, seconds) => Ok(ReplyEvent::Progress(Progress::new(
                            status,
                            Duration::from_secs(seconds),
                        ))),
                        Step::Wait(time) => {
                            tokio::time::sleep(time).await;
                            continue;
                        }
                        Step::Until(gate) => {
                            drop(gate.acquire().await);
                            continue;
                        }
                        Step::Fail(error) => {
                            steps.clear();
                            Err(error())
                        }
                        Step::Silence => std::future::pending().await,
                    };
                    return Some((event, (steps, running)));
                }
            });
            Ok(ReplyStream::new(metadata, events.boxed()))
        })
    }

    fn metadata(call: &Call) -> Metadata {
        let mut metadata = Metadata::new("scripted", "upstream/model");
        metadata.dropped_params.clone_from(&call.dropped_params);
        if call.drop_params {
            let unsupported = ["seed", "tools"].map(str::to_owned);
            metadata.dropped_params.extend(unsupported);
        }
        metadata
    }
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

/// Counts a call as running while it lives.
struct Running(Arc<AtomicUsize>, Arc<Notify>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
        self.1.notify_waiters();
    }
}

impl Provider for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        self.play(call)
    }

    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        self.play_stream(call)
    }
}

/// A chunk of a chat or a completion, with the facts that a normalizer finds.
fn chunk(json: &'static str) -> ReplyEvent {
    let summary = ChunkSummary::parse(json.as_bytes()).unwrap_or_default();
    let has_text = json.contains(r#""text":""#) && !json.contains(r#""text":"""#);
    let chunk = Chunk::new(Document::from_bytes(json));
    let chunk = chunk.with_output(summary.has_output() || has_text);
    let is_usage = summary.choices == 0;
    let usage = summary.usage.value().filter(|_| is_usage);
    ReplyEvent::Chunk(match usage {
        Some(usage) => chunk.with_usage(serde_json::from_str(usage).unwrap()),
        None => chunk,
    })
}

/// A gateway that serves `provider` as `llama`.
pub(crate) fn gateway(provider: Arc<Scripted>) -> Gateway {
    Gateway::new(
        Config::new(vec![deployment(provider)]),
        GatewayOptions::new(),
    )
}

pub(crate) fn deployment(provider: Arc<Scripted>) -> Deployment {
    Deployment::new("llama", provider, "upstream/model")
}

/// A chat request to `llama` with `more` members.
pub(crate) fn chat_request(more: &str) -> Request<Upload> {
    let body =
        format!(r#"{{"model":"llama","messages":[{{"role":"user","content":"Hello"}}]{more}}}"#);
    post("/v1/chat/completions", body)
}

pub(crate) fn post(path: &str, body: impl Into<Upload>) -> Request<Upload> {
    Request::post(path)
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

pub(crate) fn post_json(path: &str, body: &serde_json::Value) -> Request<Upload> {
    post(path, body.to_string())
}

pub(crate) fn get(path: &str) -> Request<Upload> {
    Request::get(path).body(Upload::empty()).unwrap()
}

pub(crate) async fn send(gateway: Gateway, request: Request<Upload>) -> Response<ResponseBody> {
    gateway.into_service().oneshot(request).await.unwrap()
}

pub(crate) async fn text(response: Response<ResponseBody>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) async fn read(response: Response<ResponseBody>) -> serde_json::Value {
    serde_json::from_str(&text(response).await).unwrap()
}

/// The log of the current thread, from the creation of this value to its end.
pub(crate) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Log {
    pub(crate) fn capture() -> Self {
        Self::capture_at(tracing::Level::DEBUG)
    }

    /// The lines of a level and above.
    pub(crate) fn capture_at(level: tracing::Level) -> Self {
        // With only one subscriber, tracing asks that of the thread that reaches an event first, which
        // may be another test's.
        static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
        LazyLock::force(&OTHER);
        let text = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&text);
        let guard = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || Lines(Arc::clone(&writer)))
            .set_default();
        Self {
            text,
            _guard: guard,
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The status and the error object of a response. Checks that it has all four keys.
pub(crate) async fn error(response: Response<ResponseBody>) -> (u16, serde_json::Value) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(response.headers().contains_key("x-request-id"));
    let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    let error = body["error"].clone();
    for key in ["message", "type", "param", "code"] {
        assert!(
            error.as_object().unwrap().contains_key(key),
            "{key} is missing in {body}"
        );
    }
    (status, error)
}

/// The next piece of a streamed body.
pub(crate) async fn frame(body: &mut ResponseBody) -> Option<Bytes> {
    let frame = tokio::time::timeout(Duration::from_secs(60), body.frame()).await;
    frame
        .expect("no frame came")
        .map(|frame| frame.unwrap().into_data().unwrap())
}

/// The declaration of a provider whose models boot, take prompts, and have parameters of their
/// own.
pub(crate) fn acme() -> ProviderSpec {
    let seconds = |name| SettingSpec::new(name, ValueKind::Seconds, "A time limit");
    let number = |name| ParamSpec::new(name, ValueKind::Number);
    ProviderSpec::new("acme")
        .with_settings([
            seconds("boot_timeout"),
            seconds("prefer_wait"),
            TEXT_COMPLETION,
        ])
        .with_settings(TEMPLATE_SETTINGS.iter().copied())
        .with_params(["length_penalty", "min_tokens", "num_beams", "top_k"].map(number))
}

/// The declaration of a provider that has only two parameters of its own.
fn other_ai() -> ProviderSpec {
    ProviderSpec::new("other_ai").with_params([
        ParamSpec::new("chat_template_kwargs", ValueKind::Map),
        ParamSpec::new("context_length_exceeded_behavior", ValueKind::Text),
    ])
}

/// Two providers that accept their declared settings with a key.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::new();
    for spec in [acme(), other_ai()] {
        registry.register(spec.clone(), move |settings: Settings| {
            spec.check(&settings)?;
            settings.require_api_key(spec.name(), &["POLYLLM_TEST_UNSET_KEY"])?;
            let wait = settings.extra.get("prefer_wait");
            if wait.is_some_and(|wait| wait.as_f64() > Some(5.0)) {
                let error = Error::new(ErrorKind::InvalidRequest, "prefer_wait is at most 5");
                return Err(error.with_param("prefer_wait".to_owned()));
            }
            Ok(Scripted::new([Step::Silence]) as Arc<dyn Provider>)
        });
    }
    registry
}
