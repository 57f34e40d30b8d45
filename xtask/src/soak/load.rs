//! Clients that send chats at a rate.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::http::Request;

/// How fast requests are sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// The next request of a client follows the end of the last one.
    Unlimited,
    PerSecond(f64),
}

/// Running clients.
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    address: String,
    key: String,
    stop: AtomicBool,
    requests: AtomicU64,
    totals: Mutex<Totals>,
}

/// How the requests of a load ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) complete: u64,
    /// Clients that left.
    pub(super) left: u64,
    /// Requests with a fault upstream that ended with an error.
    pub(super) explained: u64,
    /// Requests without a fault that did not end with their reply: how, and how many.
    pub(super) unexplained: BTreeMap<String, u64>,
}

impl Load {
    pub(super) fn start(address: &str, key: &str, pace: Pace) -> Self {
        let shared = Arc::new(Shared {
            address: address.to_owned(),
            key: key.to_owned(),
            stop: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            totals: Mutex::default(),
        });
        let pause = match pace {
            Pace::Unlimited => Duration::ZERO,
            Pace::PerSecond(rate) => Duration::from_secs_f64(CLIENTS as f64 / rate.max(1.0)),
        };
        let clients = (0..CLIENTS).map(|index| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.run(pause, Rng::with_seed(index)))
        });
        Self {
            clients: clients.collect(),
            shared,
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.shared.requests.load(SeqCst)
    }

    pub(super) fn stop(self) -> Totals {
        self.shared.stop.store(true, SeqCst);
        for client in self.clients {
            // A panic would be a mistake of this program, which it has printed.
            let _ = client.join();
        }
        let totals = self.shared.totals.lock();
        totals.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn run(&self, pause: Duration, mut random: Rng) {
        let mut next = Instant::now() + pause.mul_f64(random.f64());
        while !self.stop.load(SeqCst) {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            // A client that is late does not catch up: the rate stays at most what was asked for.
            next = next.max(Instant::now().checked_sub(pause).unwrap_or(next)) + pause;
            self.send(&mut random);
        }
    }

    fn send(&self, random: &mut Rng) {
        let is_streamed = random.bool();
        let fault = (random.u8(0..20) == 0)
            .then(|| random.choice(FAULTS))
            .flatten();
        let leave_after = (random.u8(0..20) == 0).then(|| random.usize(0..2_000));
        let asked = fault.map_or(String::new(), |fault| format!("[sim: {fault}]"));
        let words = "the sea and the wind ".repeat(random.usize(1..20));
        let body = json!({
            "model": "chat",
            "messages": [{ "role": "user", "content": words + &asked }],
            "max_tokens": random.u64(5..60),
            "stream": is_streamed,
        });
        let body = body.to_string();
        let request = Request::new("POST /v1/chat/completions", &self.key, &body);
        let response = request.read(&self.address, leave_after.unwrap_or(usize::MAX));
        let end = match response {
            Ok(response) if !response.is_complete => Err("the response was cut".to_owned()),
            Ok(response) if response.status != 200 => {
                let error: Value = serde_json::from_str(&response.body).unwrap_or_default();
                Err(format!("{} {}", response.status, error["error"]["code"]))
            }
            Ok(response) if !is_streamed || response.body.contains("data: [DONE]") => Ok(()),
            Ok(_) => Err("the stream ended with an error".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        self.requests.fetch_add(1, SeqCst);
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.requests += 1;
        match end {
            Ok(()) => totals.complete += 1,
            Err(_) if leave_after.is_some() => totals.left += 1,
            Err(_) if fault.is_some() => totals.explained += 1,
            Err(how) => *totals.unexplained.entry(how).or_default() += 1,
        }
    }
}

const CLIENTS: u64 = 16;

/// What goes wrong upstream.
const FAULTS: [&str; 7] = [
    "status=503",
    "status=429",
    "status=500",
    "delay=200ms",
    "cut-after=40",
    "cut-after=700",
    "garbage",
];
