//! Clients that send chats at a constant rate.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::Request;

/// Running clients.
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

/// How requests ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Replies {
    /// From the time at which a request was due until its whole reply, in microseconds.
    pub(super) times: Vec<u64>,
    /// What went wrong, and how often.
    pub(super) errors: BTreeMap<String, usize>,
}

struct Shared {
    address: String,
    key: String,
    stop: AtomicBool,
    replies: Mutex<Replies>,
}

impl Load {
    pub(super) fn start(address: &str, key: &str) -> Self {
        let shared = Arc::new(Shared {
            address: address.to_owned(),
            key: key.to_owned(),
            stop: AtomicBool::new(false),
            replies: Mutex::default(),
        });
        let clients = (0..CLIENTS).map(|index| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.run(PAUSE.mul_f64(f64::from(index) / f64::from(CLIENTS))))
        });
        Self {
            clients: clients.collect(),
            shared,
        }
    }

    /// What ended since the last time.
    pub(super) fn take(&self) -> Replies {
        std::mem::take(&mut *self.shared.replies())
    }

    pub(super) fn stop(self) {
        self.shared.stop.store(true, SeqCst);
        for client in self.clients {
            // A panic would be a mistake of this program, which it has printed.
            let _ = client.join();
        }
    }
}

impl Shared {
    fn run(&self, first: Duration) {
        let mut due = Instant::now() + first;
        while !self.stop.load(SeqCst) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let sent = self.send();
            // A request that had to wait for the one before it counts this wait, too.
            let time = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
            let mut replies = self.replies();
            match sent {
                Ok(()) => replies.times.push(time),
                Err(how) => *replies.errors.entry(how).or_default() += 1,
            }
            drop(replies);
            due += PAUSE;
        }
    }

    fn send(&self) -> Result<(), String> {
        let messages = json!([{ "role": "user", "content": "Hello!" }]);
        let body = json!({ "model": "chat", "messages": messages, "max_tokens": 8 }).to_string();
        let request = Request::new("POST /v1/chat/completions", &self.key, &body);
        match request.send(&self.address) {
            Ok(response) if response.status == 200 && response.is_complete => Ok(()),
            Ok(response) => Err(format!("{}: {}", response.status, response.body)),
            Err(error) => Err(error.to_string()),
        }
    }

    fn replies(&self) -> std::sync::MutexGuard<'_, Replies> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const CLIENTS: u32 = 8;
/// The time between two requests of a client: together, 80 per second.
const PAUSE: Duration = Duration::from_millis(100);
