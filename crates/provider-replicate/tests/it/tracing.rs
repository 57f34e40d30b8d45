//! What a log at trace level shows of a call.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use llm_provider::{Call, Provider};
use llm_sim::{Sim, SimOptions, SimReply};
use llm_types::{ChatRequest, Message};
use provider_replicate::Replicate;
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Level};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::canaries;

const PROMPT: &str = "prompt-4711-0815";
const OUTPUT: &str = "output-4711-0815";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn spans_name_the_call_and_no_secret() {
    let options = SimOptions::default().with_reply(SimReply::Text(OUTPUT.to_owned()));
    let sim = Sim::start(options).await.unwrap();
    let replicate = Replicate::new(canaries::settings(sim.replicate_url())).unwrap();
    let request = ChatRequest::new("meta/meta-llama-3-8b-instruct", [Message::user(PROMPT)]);
    // With only one subscriber, tracing asks that of the thread that reaches an event first, which may
    // be another test's.
    static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
    LazyLock::force(&OTHER);
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .with_max_level(Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .finish();
    // For this thread, which also runs the tasks that the provider spawns.
    let guard = tracing::subscriber::set_default(subscriber);
    let reply = replicate.send(Call::of(&request)).await;
    drop(guard);
    assert!(reply.is_ok(), "{reply:?}");

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for secret in canaries::CANARIES.into_iter().chain([PROMPT, OUTPUT]) {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    let call = "call{provider=\"replicate\" model=meta/meta-llama-3-8b-instruct \
                endpoint=\"/v1/chat/completions\" stream=false}";
    assert!(log.contains(call), "{call} is not in the log:\n{log}");
    assert!(log.contains("http{method=POST host="), "{log}");
    assert!(log.contains("status=201"), "{log}");
}
