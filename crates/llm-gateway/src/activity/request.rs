//! [`ActiveRequest`]: one request from its head to the end of its call.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use gateway_store::Timestamp;
use http::StatusCode;
use http::header::HeaderValue;
use llm_provider::Error;
use llm_provider::text::{excerpt, excerpt_within};
use llm_router::{RouterEvent, RouterObserver, TokenCounts};
use serde::Serialize;

use super::Activity;

/// A request that is being served.
///
/// The request and its call hold it; the last of them to end drops it, which records it. A response
/// in the background outlives its request.
pub(crate) struct ActiveRequest {
    activity: Arc<Activity>,
    facts: Mutex<Facts>,
}

struct Facts {
    started: Instant,
    request: RecentRequest,
    is_identified: bool,
    /// The attempts that are running, and since when at least one is.
    running: u32,
    since: Instant,
    /// How long at least one attempt was running.
    upstream: Duration,
}

/// A call as the dashboard shows it. Texts of clients and upstreams are shortened.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct RecentRequest {
    /// The request's id, as in the header `x-request-id` and in the log.
    pub(super) id: String,
    /// When it began, in milliseconds of Unix time.
    pub(super) at: i64,
    pub(super) route: &'static str,
    /// The name of the virtual key.
    pub(super) key: Option<String>,
    pub(super) session: Option<String>,
    pub(super) model: String,
    /// `None` if the client left before the response.
    pub(super) status: Option<u16>,
    pub(super) duration_ms: f64,
    pub(super) first_output_ms: Option<f64>,
    /// The part of the duration in which no upstream was working.
    pub(super) overhead_ms: f64,
    pub(super) input_tokens: u64,
    pub(super) cached_tokens: u64,
    pub(super) output_tokens: u64,
    /// In US dollars, where prices are known.
    pub(super) cost: f64,
    pub(super) is_cached: bool,
    pub(super) is_queued: bool,
    pub(super) attempts: Vec<Attempt>,
    /// Attempts that are not listed.
    pub(super) more_attempts: u32,
    pub(super) error: Option<String>,
}

/// An attempt at one deployment.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Attempt {
    group: String,
    deployment: String,
    /// The time since the start of the request, in milliseconds.
    after_ms: f64,
    duration_ms: Option<f64>,
    /// `running`, `ok`, `failed`, `abandoned` or `lost race`.
    outcome: &'static str,
    error: Option<String>,
}

impl ActiveRequest {
    pub(super) fn new(
        activity: Arc<Activity>,
        route: &'static str,
        id: &HeaderValue,
        started: Instant,
    ) -> Arc<Self> {
        let request = RecentRequest {
            id: id.to_str().unwrap_or_default().to_owned(),
            at: Timestamp::from(SystemTime::now()).as_millis(),
            route,
            ..RecentRequest::default()
        };
        Arc::new(Self {
            activity,
            facts: Mutex::new(Facts {
                started,
                request,
                is_identified: false,
                running: 0,
                since: started,
                upstream: Duration::ZERO,
            }),
        })
    }

    /// Notes that the client may use the gateway, and the name of its key. Other requests are not
    /// kept: a flood of them would displace those of clients.
    pub(crate) fn identify(&self, key: Option<&str>) {
        let mut facts = self.facts();
        facts.is_identified = true;
        facts.request.key = key.map(short);
    }

    /// Notes what is called.
    pub(crate) fn call(&self, model: &str, session: Option<&str>) {
        let mut facts = self.facts();
        facts.request.model = short(model);
        facts.request.session = session.map(short);
    }

    /// Notes the end of the response. Returns how long no upstream was working on it; `None` if no
    /// deployment was called, or if the call continues.
    pub(crate) fn end(&self, status: Option<StatusCode>) -> Option<Duration> {
        let mut facts = self.facts();
        let duration = facts.started.elapsed();
        let overhead = duration.saturating_sub(facts.upstream);
        let request = &mut facts.request;
        request.status = status.map(|status| status.as_u16());
        request.duration_ms = millis(duration);
        request.overhead_ms = millis(overhead);
        let is_measured = !request.attempts.is_empty() && facts.running == 0;
        is_measured.then_some(overhead)
    }

    /// The deployment of the latest attempt, and the number of attempts; `None` if there was none.
    pub(crate) fn latest_attempt(&self) -> Option<(String, u32)> {
        let facts = self.facts();
        let attempts = &facts.request.attempts;
        let count = u32::try_from(attempts.len()).unwrap_or(u32::MAX);
        let count = count.saturating_add(facts.request.more_attempts);
        Some((attempts.last()?.deployment.clone(), count))
    }

    /// Whether the call failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.facts().request.error.is_some()
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecentRequest {
    #[cfg(test)]
    pub(super) fn finished(duration_ms: f64, cost: f64, output_tokens: u64) -> Self {
        Self {
            duration_ms,
            cost,
            output_tokens,
            ..Self::default()
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.error.is_some() || self.status.is_some_and(|status| status >= 400)
    }
}

impl Facts {
    fn picked(&mut self, group: &str, deployment: &str, now: Instant) {
        if self.running == 0 {
            self.since = now;
        }
        self.running += 1;
        self.request.error = None;
        if self.request.attempts.len() >= MAX_ATTEMPTS {
            self.request.more_attempts += 1;
            return;
        }
        // Most requests have one: `push` would reserve four.
        self.request.attempts.reserve(1);
        self.request.attempts.push(Attempt {
            group: short(group),
            deployment: short(deployment),
            after_ms: self.millis_to(now),
            duration_ms: None,
            outcome: "running",
            error: None,
        });
    }

    /// Ends the latest attempt that is running at the deployment.
    fn ended(
        &mut self,
        deployment: &str,
        outcome: &'static str,
        error: Option<String>,
        now: Instant,
    ) {
        self.running = self.running.saturating_sub(1);
        if self.running == 0 {
            self.upstream += now.duration_since(self.since);
        }
        let at = self.millis_to(now);
        let deployment = excerpt(deployment);
        let mut attempts = self.request.attempts.iter_mut().rev();
        let is_running = |attempt: &&mut Attempt| {
            attempt.duration_ms.is_none() && attempt.deployment == deployment
        };
        if let Some(attempt) = attempts.find(is_running) {
            attempt.duration_ms = Some((at - attempt.after_ms).max(0.0));
            attempt.outcome = outcome;
            attempt.error.clone_from(&error);
        }
        self.request.error = error;
    }

    /// The time from the start of the request to `now`, in milliseconds.
    fn millis_to(&self, now: Instant) -> f64 {
        millis(now.duration_since(self.started))
    }

    fn used(&mut self, counts: Option<TokenCounts>, cost: Option<f64>) {
        if let Some(counts) = counts {
            self.request.input_tokens += counts.prompt;
            self.request.cached_tokens += counts.cached;
            self.request.output_tokens += counts.completion;
        }
        self.request.cost += cost.unwrap_or_default();
    }
}

impl RouterObserver for ActiveRequest {
    fn on_event(&self, event: &RouterEvent<'_>) {
        let now = Instant::now();
        let mut facts = self.facts();
        match *event {
            RouterEvent::Picked {
                group, deployment, ..
            } => facts.picked(group, deployment, now),
            RouterEvent::Failed {
                deployment,
                error,
                counts,
                cost,
                ..
            } => {
                facts.used(counts, cost);
                facts.ended(deployment, "failed", Some(text(error)), now);
            }
            RouterEvent::Finished {
                deployment,
                counts,
                cost,
                ..
            } => {
                facts.used(counts, cost);
                facts.ended(deployment, "ok", None, now);
            }
            RouterEvent::Abandoned {
                deployment,
                counts,
                cost,
                ..
            } => {
                facts.used(Some(counts), cost);
                facts.ended(deployment, "abandoned", None, now);
            }
            RouterEvent::LostRace { deployment, .. } => {
                facts.ended(deployment, "lost race", None, now);
            }
            RouterEvent::FirstOutput { .. } => {
                let at = facts.millis_to(now);
                facts.request.first_output_ms.get_or_insert(at);
            }
            RouterEvent::Cached { .. } => facts.request.is_cached = true,
            RouterEvent::Queued { .. } => facts.request.is_queued = true,
            RouterEvent::Refused { error, .. } => facts.request.error = Some(text(error)),
            _ => {}
        }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let facts = self.facts.get_mut().unwrap_or_else(PoisonError::into_inner);
        if facts.is_identified {
            self.activity.record(std::mem::take(&mut facts.request));
        }
    }
}

impl fmt::Debug for ActiveRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveRequest").finish_non_exhaustive()
    }
}

fn text(error: &Error) -> String {
    excerpt_within(&error.to_string(), MAX_ERROR).into_owned()
}

fn short(text: &str) -> String {
    excerpt(text).into_owned()
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// The attempts that are listed.
const MAX_ATTEMPTS: usize = 16;
/// The maximum length of an error that is kept, in bytes.
const MAX_ERROR: usize = 500;
