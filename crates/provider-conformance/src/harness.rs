//! A provider, a tap and an upstream, and the calls that the checks make.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use llm_http::HttpClient;
use serde_json::{Value, json};

use crate::call::{Chunks, Request};
use crate::tap::{Received, Tap};
use crate::{Scenario, Simulation, Upstream};
use llm_provider::{ApiKey, Capability, Error, Metadata, Provider, Result, Settings};

pub(crate) const KEY: &str = "conformance-key-93b1";
pub(crate) const PROMPT: &str = "What is the colour of zebra 4711?";
pub(crate) const TEXT: &str = "Earth — 🌍 — is the third planet.\n\n It is  blue.";

pub(crate) struct Harness<'s> {
    pub(crate) simulation: &'s dyn Simulation,
    pub(crate) upstream: Box<dyn Upstream>,
    pub(crate) tap: Tap,
    pub(crate) provider: Arc<dyn Provider>,
}

impl<'s> Harness<'s> {
    pub(crate) async fn new(simulation: &'s dyn Simulation, scenario: Scenario) -> Self {
        Self::with(simulation, scenario, |settings| settings).await
    }

    /// Without retries, unless `change` sets some.
    pub(crate) async fn with(
        simulation: &'s dyn Simulation,
        scenario: Scenario,
        change: impl FnOnce(Settings) -> Settings,
    ) -> Self {
        let upstream = simulation.start(scenario).await;
        let tap = Tap::start(upstream.address()).await;
        let settings = Settings::new()
            .with_api_key(ApiKey::new(KEY))
            .with_api_base(format!("http://{}", tap.address))
            .with_transport(HttpClient::dedicated())
            .with_max_retries(0);
        let provider = simulation.provider(change(settings));
        let provider =
            provider.unwrap_or_else(|error| panic!("the provider cannot be built: {error:?}"));
        Self {
            simulation,
            upstream,
            tap,
            provider,
        }
    }

    pub(crate) fn has(&self, capability: Capability) -> bool {
        self.provider.capabilities().has(capability)
    }

    pub(crate) fn model(&self, capability: Capability) -> &str {
        self.simulation.model(capability)
    }

    /// A chat of one message.
    pub(crate) fn chat(&self, text: impl Into<String>) -> Request {
        let message = json!({ "role": "user", "content": text.into() });
        self.request(Capability::Chat, json!({ "messages": [message] }))
    }

    /// A request with this body, and with the model for its kind.
    pub(crate) fn request(&self, capability: Capability, mut body: Value) -> Request {
        body["model"] = self.model(capability).into();
        Request::new(capability, body.to_string())
    }

    pub(crate) async fn plain(&self, request: &Request) -> Result<Answer> {
        let (metadata, body) = request.send(&*self.provider).await?;
        let mut answer = Answer::new(metadata, body);
        answer.read_choices();
        Ok(answer)
    }

    pub(crate) async fn streamed(&self, request: &Request) -> Result<Answer> {
        let (metadata, chunks) = request.stream(&*self.provider).await?;
        read_stream(metadata, chunks).await
    }

    pub(crate) async fn send(&self, request: &Request, streamed: bool) -> Result<Answer> {
        match streamed {
            true => self.streamed(request).await,
            false => self.plain(request).await,
        }
    }

    pub(crate) async fn both(&self, request: &Request) -> Both<Result<Answer>> {
        [
            ("plain", self.plain(request).await),
            ("streamed", self.streamed(request).await),
        ]
    }

    /// Both replies to a call that must succeed.
    pub(crate) async fn answers(&self, request: &Request) -> Both<Answer> {
        self.both(request).await.map(|(how, answer)| match answer {
            Ok(answer) => (how, answer),
            Err(error) => panic!("a {how} call failed: {error:?}"),
        })
    }

    /// Both errors of a call that must fail.
    pub(crate) async fn failures(&self, request: &Request) -> Both<Error> {
        self.both(request).await.map(|(how, answer)| match answer {
            Err(error) => (how, error),
            Ok(answer) => panic!(
                "the {how} call should have failed, and answered {:?}",
                answer.text()
            ),
        })
    }

    /// The latest request to the upstream, in OpenAI's schema.
    pub(crate) fn sent(&self) -> Value {
        let requests = self.tap.requests();
        let decoded = requests.iter().rev().filter(|request| request.is_post());
        let mut decoded = decoded.filter_map(|request| self.decode(request));
        decoded
            .next()
            .unwrap_or_else(|| panic!("no call was sent upstream"))
    }

    fn decode(&self, request: &Received) -> Option<Value> {
        let body = serde_json::from_slice(&request.body);
        let body = body.unwrap_or_else(|error| panic!("a request is not JSON: {error}"));
        self.simulation.decode(request.path(), body)
    }

    /// Waits until calls run upstream, or until none does.
    pub(crate) async fn until_running(&self, expected: bool) {
        for _ in 0..2000 {
            if (self.upstream.running() > 0) == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let running = self.upstream.running();
        panic!("after 40 s, {running} calls run upstream");
    }
}

pub(crate) type Both<T> = [(&'static str, T); 2];

/// A reply, plain or joined from a stream.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) metadata: Metadata,
    /// By index.
    pub(crate) choices: BTreeMap<u64, Choice>,
    /// `Null` when there is none.
    pub(crate) usage: Value,
    /// The body of a plain reply, or the chunks of a stream.
    pub(crate) body: Value,
}

#[derive(Debug, Default)]
pub(crate) struct Choice {
    pub(crate) text: String,
    pub(crate) finish: Option<String>,
    /// Id, name and arguments.
    pub(crate) tool_calls: Vec<[String; 3]>,
}

impl Answer {
    fn new(metadata: Metadata, body: Value) -> Self {
        Self {
            metadata,
            choices: BTreeMap::new(),
            usage: body["usage"].clone(),
            body,
        }
    }

    /// The text of the first choice.
    pub(crate) fn text(&self) -> &str {
        self.choices.get(&0).map_or("", |choice| &choice.text)
    }

    /// The finish reason of the first choice.
    pub(crate) fn finish(&self) -> &str {
        let choice = self.choices.get(&0);
        choice
            .and_then(|choice| choice.finish.as_deref())
            .unwrap_or_default()
    }

    fn read_choices(&mut self) {
        let body = std::mem::take(&mut self.body);
        for (place, choice) in (0..).zip(body["choices"].as_array().into_iter().flatten()) {
            self.add(choice, place, "message");
        }
        self.body = body;
    }

    fn add(&mut self, choice: &Value, place: u64, message: &str) {
        let index = choice["index"].as_u64().unwrap_or(place);
        let own = self.choices.entry(index).or_default();
        let message = &choice[message];
        let text = message["content"]
            .as_str()
            .or_else(|| choice["text"].as_str());
        let text = text.unwrap_or_default();
        assert!(
            own.finish.is_none() || text.is_empty(),
            "choice {index} goes on after its finish reason"
        );
        own.text.push_str(text);
        for (place, call) in (0..).zip(message["tool_calls"].as_array().into_iter().flatten()) {
            let at = call["index"].as_u64().unwrap_or(place) as usize;
            own.tool_calls
                .resize(own.tool_calls.len().max(at + 1), Default::default());
            let parts = [
                &call["id"],
                &call["function"]["name"],
                &call["function"]["arguments"],
            ];
            for (own, part) in own.tool_calls[at].iter_mut().zip(parts) {
                own.push_str(part.as_str().unwrap_or_default());
            }
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            assert!(
                own.finish.is_none(),
                "choice {index} has two finish reasons"
            );
            own.finish = Some(reason.to_owned());
        }
    }
}

/// Reads a stream to its end, and checks the requirements for all streams.
async fn read_stream(metadata: Metadata, mut stream: Chunks) -> Result<Answer> {
    let mut answer = Answer::new(metadata, Value::Null);
    let mut chunks = Vec::new();
    while let Some(event) = stream.next().await {
        let chunk = match event {
            Ok(Some(chunk)) => chunk,
            Ok(None) => continue,
            Err(error) => {
                let after = stream.next().await;
                assert!(after.is_none(), "a stream goes on after its error");
                return Err(error);
            }
        };
        assert!(answer.usage.is_null(), "something came after the usage");
        let choices = chunk["choices"].as_array().map_or(&[][..], Vec::as_slice);
        if !chunk["usage"].is_null() {
            assert!(choices.is_empty(), "the usage is not alone in its chunk");
            answer.usage = chunk["usage"].clone();
        }
        for (place, choice) in (0..).zip(choices) {
            answer.add(choice, place, "delta");
        }
        chunks.push(chunk);
    }
    let after = stream.next().await;
    assert!(after.is_none(), "something came after the end");
    assert!(
        !answer.choices.is_empty(),
        "a stream ended well without a choice"
    );
    for (index, choice) in &answer.choices {
        assert!(
            choice.finish.is_some(),
            "choice {index} of a stream that ended well has no finish reason"
        );
    }
    answer.body = chunks.into();
    Ok(answer)
}

/// Fails when the error does not name provider and model, or shows key or prompt.
#[track_caller]
pub(crate) fn assert_named(harness: &Harness<'_>, error: &Error) {
    assert_discreet(error);
    assert_eq!(error.provider(), Some(harness.provider.name()), "{error:?}");
    assert!(
        error.model().is_some(),
        "an error does not name the model: {error:?}"
    );
}

/// Fails when an error, or a source of it, shows the key or the prompt.
#[track_caller]
pub(crate) fn assert_discreet(error: &Error) {
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
    for (what, text) in [("code", error.code()), ("param", error.param())] {
        let shows = text.is_some_and(|text| text.contains(KEY));
        assert!(!shows, "the {what} of an error shows the key");
    }
    let body = error.body().map(|body| String::from_utf8_lossy(body));
    assert!(
        !body.is_some_and(|body| body.contains(KEY)),
        "the body of an error holds the key"
    );
}
