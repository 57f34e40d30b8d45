//! The simulated Together.

mod catalog;
mod dialect;
mod embeddings;
mod error;
mod fields;
mod generation;
mod limits;
mod logprobs;
mod request;
mod rerank;
mod stream;
mod tools;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::Method;
use serde_json::Value;
use tokio::time::Instant;

use crate::clock::{Clock, later};
use crate::fault::FaultRule;
use crate::http::{self, Answer, Call, full, set};
use crate::log::SeenRequest;
use crate::options::SimOptions;
use crate::seed::{BASE62, HEX, Rng, hash};
use crate::sse::timed;
use crate::together::error::Refusal;
use crate::together::generation::Generation;
use crate::together::limits::{Charge, Limits};
use crate::together::request::TextRequest;
use crate::together::stream::{Events, TextEndpoint, token_at};
use crate::trace::RequestCounts;
use crate::upstream::{Shared, Upstream};

pub(crate) const JSON: &str = "application/json; charset=utf-8";

/// The simulated Together, as seen by a test.
#[derive(Clone, Debug)]
pub struct TogetherSim(Arc<Api>);

impl TogetherSim {
    pub(crate) fn new(options: &Arc<SimOptions>, clock: &Clock) -> Self {
        Self(Arc::new(Api {
            shared: Shared::new(options, clock),
            limits: Limits::new(&options.limits),
            answered: AtomicU64::new(0),
        }))
    }

    pub(crate) fn upstream(&self) -> Arc<Api> {
        Arc::clone(&self.0)
    }

    /// The requests received, oldest first.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.0.shared.log.seen()
    }

    /// The number of requests received so far.
    pub fn request_count(&self) -> u64 {
        self.0.shared.log.count()
    }

    /// Clears the stored requests; the count continues.
    pub fn forget_requests(&self) {
        self.0.shared.log.forget();
    }

    /// Waits until the requests received satisfy `enough`.
    pub async fn requests_until(
        &self,
        enough: impl Fn(&[SeenRequest]) -> bool,
    ) -> Vec<SeenRequest> {
        let seen = || Some(self.requests()).filter(|seen| enough(seen));
        self.0.shared.until(seen).await
    }

    /// The number of requests in progress; a stream counts until its end, or until its client
    /// disconnects.
    pub fn in_flight(&self) -> usize {
        self.0.shared.in_flight()
    }

    /// The number of requests, by outcome.
    pub fn request_counts(&self) -> RequestCounts {
        self.0.shared.counts()
    }

    /// Waits until no request is in flight.
    pub async fn idle(&self) {
        self.0
            .shared
            .until(|| (self.in_flight() == 0).then_some(()))
            .await;
    }

    /// Adds a fault that applies from now on.
    pub fn inject(&self, rule: impl Into<FaultRule>) {
        self.0.shared.faults.add(rule.into());
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.0.shared.faults.clear();
    }
}

#[derive(Debug)]
pub(crate) struct Api {
    shared: Shared,
    limits: Limits,
    answered: AtomicU64,
}

impl Upstream for Api {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    async fn answer(&self, call: Call) -> Answer {
        let began = call.began;
        let mut ids = Ids::new(self.answered.fetch_add(1, Ordering::Relaxed));
        let mut answer = match self.route(&call, &mut ids).await {
            Ok(answer) => answer,
            Err(refusal) => refusal.into_answer(&ids.envelope),
        };
        let clock = &self.shared.clock;
        let now = Instant::now();
        ids.set_headers(&mut answer, call.header("x-together-debug").is_some());
        let began = clock.rfc3339(began, 3);
        set(&mut answer, "x-api-received", &began);
        set(&mut answer, "x-api-call-start", &began);
        set(&mut answer, "x-api-call-end", &clock.rfc3339(now, 3));
        answer
    }

    fn error(&self, status: u16, message: Option<&str>) -> Answer {
        let ids = Ids::new(self.answered.fetch_add(1, Ordering::Relaxed));
        let mut answer = Refusal::of_status(status, message).into_answer(&ids.envelope);
        ids.set_headers(&mut answer, false);
        answer
    }
}

impl Api {
    async fn route(&self, call: &Call, ids: &mut Ids) -> Result<Answer, Refusal> {
        let path = call.path();
        let ["v1", endpoint @ ..] = path.as_slice() else {
            return Err(Refusal::of_status(404, None));
        };
        let models = *endpoint == ["models"];
        let keys = &self.shared.options.keys;
        let Some(key) = call.key(&["Bearer"]).filter(|key| keys.accept(key)) else {
            return if models {
                Ok(unauthorized())
            } else {
                Err(Refusal::key())
            };
        };
        match (&call.method, endpoint) {
            (&Method::GET, ["models"]) => Ok(json(&catalog::list())),
            (&Method::POST, ["chat", "completions"]) => {
                self.generate(call, key, TextEndpoint::Chat, ids).await
            }
            (&Method::POST, ["completions"]) => {
                self.generate(call, key, TextEndpoint::Completion, ids)
                    .await
            }
            (&Method::POST, ["embeddings"]) => {
                self.charged(call, key, embeddings::answer(call, &ids.envelope)?)
            }
            (&Method::POST, ["rerank"]) => {
                self.charged(call, key, rerank::answer(call, &ids.envelope)?)
            }
            (
                _,
                ["models"]
                | ["chat", "completions"]
                | ["completions"]
                | ["embeddings"]
                | ["rerank"],
            ) => Err(Refusal::of_status(405, Some("Method Not Allowed"))),
            _ => Err(Refusal::of_status(404, None)),
        }
    }

    /// A response without delay.
    fn charged(
        &self,
        call: &Call,
        key: &str,
        (body, model, tokens): (Value, String, usize),
    ) -> Result<Answer, Refusal> {
        let charge = Charge {
            key,
            model: &model,
            tokens,
        };
        let allowance = self.limits.charge(&charge, Instant::now())?;
        call.trace.counted(tokens, 0);
        let mut answer = json(&body);
        allowance.set_headers(&mut answer);
        Ok(answer)
    }

    async fn generate(
        &self,
        call: &Call,
        key: &str,
        endpoint: TextEndpoint,
        ids: &mut Ids,
    ) -> Result<Answer, Refusal> {
        let Shared { options, clock, .. } = &self.shared;
        let timing = &options.timing;
        // Waits before processing, so that all requests of a burst are read first and none is late
        // because of the others.
        let pause = timing.first_token / 4;
        if !pause.is_zero() {
            clock.until(later(call.began, pause)).await;
        }
        let request = match endpoint {
            TextEndpoint::Chat => TextRequest::chat(call, &options.reply)?,
            TextEndpoint::Completion => TextRequest::completion(call)?,
        };
        let created = clock.unix(call.began);
        let streamed = request.stream;
        let id = ids.envelope.clone();
        let generation = Generation::new(request, id, created, &options.reply, &mut ids.rng);
        let charge = Charge {
            key,
            model: &generation.request.model,
            tokens: generation.request.prompt_tokens + generation.generated(),
        };
        let allowance = self.limits.charge(&charge, Instant::now())?;
        if !(streamed && generation.request.error_after.is_some()) {
            call.trace
                .counted(generation.request.prompt_tokens, generation.generated());
        }
        let mut answer = if streamed {
            let events = Events::new(generation, endpoint, call.began, timing, &options.pace);
            let body = timed(events, clock.clone(), Arc::clone(&call.trace));
            let mut answer = http::stream("text/event-stream;charset=utf-8", body);
            set(&mut answer, "cache-control", "no-cache, no-transform");
            answer
        } else {
            clock
                .until(token_at(call.began, timing, generation.longest()))
                .await;
            json(&match endpoint {
                TextEndpoint::Chat => generation.chat(),
                TextEndpoint::Completion => generation.completion(),
            })
        };
        allowance.set_headers(&mut answer);
        Ok(answer)
    }
}

/// The ids of one response, derived from its number.
struct Ids {
    rng: Rng,
    ray: String,
    /// `omJK4UP-4YNCb4-a0467361d9b8a2b4`: the last part is the ray's.
    envelope: String,
}

impl Ids {
    fn new(number: u64) -> Self {
        let mut rng = Rng(number);
        let ray = rng.word(HEX, 16);
        let envelope = format!("{}-{}-{ray}", rng.word(BASE62, 7), rng.word(BASE62, 6));
        Self { rng, ray, envelope }
    }

    /// Sets the headers that the edge in front of the API adds; `x-together-debug` requests more.
    fn set_headers(&self, answer: &mut Answer, debug: bool) {
        let uuid = |of: &str| Rng(hash([self.ray.as_str(), of])).uuid();
        set(answer, "cf-ray", &format!("{}-SIM", self.ray));
        set(answer, "x-amzn-trace-id", &uuid("amzn"));
        set(answer, "x-inference-version", "v2");
        if debug {
            set(answer, "x-request-id", &self.envelope);
            set(answer, "x-together-traceid", &uuid("trace"));
        }
    }
}

fn json(body: &Value) -> Answer {
    full(200, JSON, body.to_string())
}

/// The 401 of `GET /models`, whose body is shorter than that of the other endpoints.
fn unauthorized() -> Answer {
    full(401, JSON, r#"{"error":{"message":"Unauthorized"}}"#)
}
