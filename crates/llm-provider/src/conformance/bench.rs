//! A provider, a tap and an upstream, and the calls that the checks make.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use llm_types::{ChatRequest, Message};

use super::tap::Tap;
use super::{Mood, Simulation, Upstream};
use crate::{
    ApiKey, Call, Capability, ChatStream, Error, HttpClient, Json, Provider, Reply, ReplyEvent,
    Result, Settings,
};

pub(super) const KEY: &str = "conformance-key-93b1";
pub(super) const PROMPT: &str = "What is the colour of zebra 4711?";
pub(super) const TEXT: &str = "Earth — 🌍 — is the third planet.\n\n It is  blue.";

pub(super) struct Bench<'s> {
    simulation: &'s dyn Simulation,
    pub(super) upstream: Box<dyn Upstream>,
    pub(super) tap: Tap,
    pub(super) provider: Arc<dyn Provider>,
}

impl<'s> Bench<'s> {
    pub(super) async fn new(simulation: &'s dyn Simulation, mood: Mood) -> Self {
        Self::with(simulation, mood, |settings| settings).await
    }

    pub(super) async fn with(
        simulation: &'s dyn Simulation,
        mood: Mood,
        change: impl FnOnce(Settings) -> Settings,
    ) -> Self {
        let upstream = simulation.start(mood).await;
        let tap = Tap::start(upstream.address()).await;
        let settings = Settings::new()
            .with_api_key(ApiKey::new(KEY))
            .with_api_base(format!("http://{}", tap.address))
            .with_http(HttpClient::new())
            .with_max_retries(0);
        let provider = simulation.provider(change(settings));
        let provider =
            provider.unwrap_or_else(|error| panic!("the provider is not built: {error:?}"));
        Self {
            simulation,
            upstream,
            tap,
            provider,
        }
    }

    pub(super) fn model(&self, capability: Capability) -> &str {
        self.simulation.model(capability)
    }

    pub(super) fn ask(&self, text: impl Into<String>) -> Call<ChatRequest> {
        let messages = vec![Message::user(text.into())];
        let request = ChatRequest::new(self.model(Capability::Chat), messages);
        Call::new(Json::from_value(request))
    }

    pub(super) async fn chat(&self, call: Call<ChatRequest>) -> Result<String> {
        text_of(self.provider.chat(call).await?)
    }

    pub(super) async fn stream(&self, call: Call<ChatRequest>) -> Result<String> {
        whole(self.provider.chat_stream(call).await?).await
    }

    /// What the call fails with, plain and streamed.
    pub(super) async fn failures(&self, call: &Call<ChatRequest>) -> [(&'static str, Error); 2] {
        let fail = |how, answer: Result<String>| match answer {
            Err(error) => (how, error),
            Ok(text) => panic!("the {how} call should have failed, and said {text:?}"),
        };
        [
            fail("plain", self.chat(call.clone()).await),
            fail("streamed", self.stream(call.clone()).await),
        ]
    }

    /// Waits until so many calls, or none when 0, run upstream.
    pub(super) async fn until_running(&self, wanted: bool) {
        for _ in 0..2000 {
            if (self.upstream.running() > 0) == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let running = self.upstream.running();
        panic!("after 40 s, {running} calls run upstream");
    }
}

fn text_of(reply: Reply<llm_types::ChatResponse>) -> Result<String> {
    let answer = reply.body.value().unwrap_or_else(|error| {
        panic!("the provider's answer is no chat completion: {error}");
    });
    let choice = answer.choices.first();
    assert!(
        choice.is_some_and(|choice| choice.finish_reason.is_value()),
        "a plain answer has no finish reason"
    );
    Ok(answer.text().unwrap_or_default().into_owned())
}

/// The text of a stream that ends well, which has one finish reason and nothing after its usage.
pub(super) async fn whole(mut stream: ChatStream) -> Result<String> {
    let mut text = String::new();
    let mut finishes = 0;
    let mut usages = 0;
    while let Some(event) = stream.next().await {
        let ReplyEvent::Chunk(chunk) = event? else {
            continue;
        };
        let chunk = chunk
            .value()
            .unwrap_or_else(|error| panic!("a chunk is none: {error}"));
        assert!(usages == 0, "something came after the usage");
        usages += usize::from(chunk.usage.is_value());
        assert!(
            !chunk.usage.is_value() || chunk.choices.is_empty(),
            "the usage is not alone in its chunk"
        );
        let finished = chunk.choices.iter();
        finishes += finished.filter(|c| c.finish_reason.is_value()).count();
        text.push_str(chunk.text().unwrap_or_default());
    }
    assert!(
        finishes == 1,
        "a stream ended well with {finishes} finish reasons"
    );
    assert!(
        stream.next().await.is_none(),
        "something came after the end"
    );
    Ok(text)
}

/// Fails when an error, or a source of it, shows the key or the prompt.
#[track_caller]
pub(super) fn assert_discreet(error: &Error) {
    let chain = std::iter::successors(Some(error as &dyn StdError), |&error| error.source());
    for error in chain {
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(!shown.contains(KEY), "an error shows the key: {shown}");
            assert!(
                !shown.contains(PROMPT),
                "an error shows the prompt: {shown}"
            );
        }
    }
}
