//! Compares the strategies on simulated upstreams and a simulated clock: `cargo xtask bench router`.
//!
//! Six deployments serve one group for ten minutes. They are of uneven speed, one fails for two
//! minutes, one has a rate limit, and each remembers the prompts of the sessions that it has served.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example that reports"
)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_util::future::join_all;
use llm_provider::{
    Call, Capabilities, Document, Error, ErrorKind, Metadata, Provider, Reply, Result,
};
use llm_router::{AffinityOptions, Deployment, RouteOptions, Router, STRATEGIES, strategy};
use llm_types::{ChatRequest, Message};
use tokio::time::{Instant, sleep};

/// A simulated upstream.
#[derive(Debug)]
struct Upstream {
    /// The latency of an idle server with a warm cache.
    latency: Duration,
    /// The number of concurrent calls that doubles the latency.
    capacity: u32,
    /// When every call fails.
    outage: Option<(Duration, Duration)>,
    /// The calls per minute that are served.
    rpm: Option<usize>,
    created: Instant,
    running: AtomicU32,
    begun: Mutex<Vec<Instant>>,
    /// When each session was served last.
    sessions: Mutex<HashMap<String, Instant>>,
}

impl Upstream {
    fn new(latency: u64) -> Self {
        Self {
            latency: Duration::from_millis(latency),
            capacity: 10,
            outage: None,
            rpm: None,
            created: Instant::now(),
            running: AtomicU32::new(0),
            begun: Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    fn refusal(&self) -> Option<Error> {
        let age = self.created.elapsed();
        if self
            .outage
            .is_some_and(|(from, to)| (from..to).contains(&age))
        {
            return Some(Error::new(ErrorKind::UpstreamFailed, "outage"));
        }
        let mut begun = self.begun.lock().unwrap();
        begun.retain(|begin| begin.elapsed() < MINUTE);
        if self.rpm.is_some_and(|rpm| begun.len() >= rpm) {
            let wait = MINUTE - begun[0].elapsed();
            let error = Error::new(ErrorKind::RateLimited, "too many requests");
            return Some(error.with_retry_after(wait));
        }
        begun.push(Instant::now());
        None
    }

    /// Whether the prompt of a session is in the cache.
    fn is_warm(&self, session: String) -> bool {
        let mut sessions = self.sessions.lock().unwrap();
        let before = sessions.insert(session, Instant::now());
        before.is_some_and(|before| before.elapsed() < 5 * MINUTE)
    }
}

impl Provider for Upstream {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        Box::pin(async move {
            if let Some(error) = self.refusal() {
                sleep(Duration::from_millis(20)).await;
                return Err(error);
            }
            let is_warm = self.is_warm(call.body.str("user").unwrap_or_default().into_owned());
            let running = self.running.fetch_add(1, Relaxed);
            let load = 1.0 + f64::from(running) / f64::from(self.capacity);
            let cold = if is_warm { 1.0 } else { 2.0 };
            let noise = 0.8 + 0.4 * fastrand::f64();
            sleep(self.latency.mul_f64(load * cold * noise)).await;
            self.running.fetch_sub(1, Relaxed);
            let cached = if is_warm { 900 } else { 0 };
            let usage = serde_json::json!({
                "prompt_tokens": 1000, "completion_tokens": 100, "cached_tokens": cached,
            });
            let body = serde_json::json!({ "id": "c", "choices": [], "usage": usage });
            Ok(Reply::new(
                Document::new(&body),
                Metadata::new("simulated", "m"),
            ))
        })
    }
}

fn router(name: &str, has_affinity: bool) -> Router {
    let upstreams = [
        ("fast", Upstream::new(300)),
        ("even", Upstream::new(400)),
        ("slow", Upstream::new(800)),
        ("slowest", Upstream::new(2000)),
        (
            "failing",
            Upstream {
                outage: Some((2 * MINUTE, 4 * MINUTE)),
                ..Upstream::new(400)
            },
        ),
        (
            "limited",
            Upstream {
                rpm: Some(60),
                ..Upstream::new(300)
            },
        ),
    ];
    let deployments = upstreams
        .map(|(id, upstream)| Deployment::new("group", Arc::new(upstream), "m").with_id(id));
    let affinity = has_affinity.then(AffinityOptions::default);
    Router::builder()
        .with_deployments(deployments)
        .with_strategy(strategy(name).unwrap())
        .with_affinity(affinity)
        .build()
        .unwrap()
}

/// The results of all calls.
#[derive(Default)]
struct Outcome {
    latencies: Vec<Duration>,
    errors: usize,
}

/// One client: a call, a pause, and so on to the end, in sessions of eight calls.
async fn client(router: &Router, number: usize, end: Instant, outcome: &Mutex<Outcome>) {
    for turn in 0.. {
        sleep(Duration::from_millis(fastrand::u64(0..4000))).await;
        if Instant::now() >= end {
            return;
        }
        let request = ChatRequest::new("group", vec![Message::user("Hi")]);
        let mut call = Call::of(&request);
        let session = turn / CALLS_PER_SESSION;
        call.body
            .set("user", format!("client {number}, session {session}"));
        let begin = Instant::now();
        let reply = router.send_with(call, RouteOptions::default()).await;
        let mut outcome = outcome.lock().unwrap();
        match reply {
            Ok(_) => outcome.latencies.push(begin.elapsed()),
            Err(_) => outcome.errors += 1,
        }
    }
}

/// The p50 and p99 in milliseconds, the share of errors and that of cached tokens in percent.
async fn simulate(name: &str, has_affinity: bool) -> [f64; 4] {
    fastrand::seed(1);
    let router = router(name, has_affinity);
    let end = Instant::now() + 10 * MINUTE;
    let outcome = Mutex::new(Outcome::default());
    join_all((0..CLIENTS).map(|number| client(&router, number, end, &outcome))).await;
    let Outcome {
        mut latencies,
        errors,
    } = outcome.into_inner().unwrap();
    latencies.sort();
    let at = |percent: usize| latencies[latencies.len() * percent / 100].as_secs_f64() * 1e3;
    let health = router.snapshot();
    let cached: u64 = health.iter().map(|health| health.counts.cached).sum();
    let prompt: u64 = health.iter().map(|health| health.counts.prompt).sum();
    let percent = |part: f64, all: f64| 100.0 * part / all;
    let all = (errors + latencies.len()) as f64;
    [
        at(50),
        at(99),
        percent(errors as f64, all),
        percent(cached as f64, prompt as f64),
    ]
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    println!("| strategy | p50 (ms) | p99 (ms) | errors (%) | cached tokens (%) |");
    println!("|---|--:|--:|--:|--:|");
    for has_affinity in [false, true] {
        for name in STRATEGIES
            .iter()
            .filter(|name| **name != "cost-based-routing")
        {
            let [p50, p99, errors, cached] = simulate(name, has_affinity).await;
            let affinity = if has_affinity { ", affinity" } else { "" };
            println!("| `{name}`{affinity} | {p50:.0} | {p99:.0} | {errors:.2} | {cached:.1} |");
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const CLIENTS: usize = 60;
const CALLS_PER_SESSION: usize = 8;
