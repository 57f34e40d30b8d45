//! The clients of a cluster, which record what they sent and how it ended.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use super::fleet::{PROMPT_PRICE, REPLY_PRICE};
use crate::http::Request;

/// A key of clients.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) index: usize,
    pub(super) secret: String,
    /// What the key is for, such as `budget`.
    pub(super) purpose: &'static str,
    /// Whether its calls may be refused with 429.
    pub(super) is_limited: bool,
    running: AtomicUsize,
}

/// A request that was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) number: usize,
    pub(super) key: usize,
    /// What the prompt says it is about: requests with the same subject are the same, so that a cache
    /// may answer them. All others have subjects of their own.
    pub(super) subject: String,
    pub(super) gateway: usize,
    /// Milliseconds since the start.
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) end: End,
    /// The documented estimate of the cost, in nano-dollars.
    pub(super) estimate: i64,
    /// The documented estimate of the tokens.
    pub(super) tokens: u64,
    /// Whether the prompt asks the simulation for a fault.
    pub(super) is_doomed: bool,
}

/// How a request ended for its client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// The whole reply; of a stream, up to `[DONE]`.
    Complete,
    /// An error: the status and the code.
    Refused(u16, String),
    /// A stream that ended with an error event.
    Failed,
    /// The connection broke.
    Broken,
    /// The client left.
    Left,
    /// The gateway did not listen.
    Unreachable,
}

/// How a request is made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    pub(super) is_streamed: bool,
    pub(super) max_tokens: u64,
    /// The number of a prompt that others send, too.
    pub(super) shared_prompt: Option<usize>,
    /// The client leaves after so many bytes.
    pub(super) leave_after: Option<usize>,
    pub(super) fault: Option<&'static str>,
}

/// What clients have in common. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Clients(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    addresses: Vec<String>,
    start: Instant,
    keys: Mutex<Vec<Arc<Key>>>,
    key_count: AtomicUsize,
    request_count: AtomicUsize,
    sent: Mutex<Vec<Sent>>,
    stop: AtomicBool,
}

impl Clients {
    pub(super) fn new(addresses: Vec<String>, start: Instant) -> Self {
        Self(Arc::new(Shared {
            addresses,
            start,
            keys: Mutex::default(),
            key_count: AtomicUsize::new(0),
            request_count: AtomicUsize::new(0),
            sent: Mutex::default(),
            stop: AtomicBool::new(false),
        }))
    }

    /// A key that [`start`](Self::start)ed clients do not use yet.
    pub(super) fn key(&self, secret: &str, purpose: &'static str, is_limited: bool) -> Arc<Key> {
        Arc::new(Key {
            index: self.0.key_count.fetch_add(1, SeqCst),
            secret: secret.to_owned(),
            purpose,
            is_limited,
            running: AtomicUsize::new(0),
        })
    }

    /// Lets the clients use a key.
    pub(super) fn add(&self, key: &Arc<Key>) {
        lock(&self.0.keys).push(Arc::clone(key));
    }

    /// Lets the clients use a key no longer, and waits until its requests have ended.
    pub(super) fn retire(&self, key: &Key) {
        lock(&self.0.keys).retain(|other| other.index != key.index);
        while key.running.load(SeqCst) > 0 {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts clients that send requests of all kinds with the keys until [`stop`](Self::stop).
    pub(super) fn start(&self, count: usize, random: &mut Rng) -> Vec<JoinHandle<()>> {
        let threads = (0..count).map(|_| {
            let (clients, random) = (self.clone(), random.fork());
            thread::spawn(move || clients.run(random))
        });
        threads.collect()
    }

    pub(super) fn stop(&self, threads: Vec<JoinHandle<()>>) {
        self.0.stop.store(true, SeqCst);
        for thread in threads {
            // A panic would be a mistake of this program, which it has printed.
            let _ = thread.join();
        }
    }

    /// All requests that have ended.
    pub(super) fn sent(&self) -> Vec<Sent> {
        lock(&self.0.sent).clone()
    }

    fn run(&self, mut random: Rng) {
        while !self.0.stop.load(SeqCst) {
            let key = {
                let keys = lock(&self.0.keys);
                let key = random.choice(keys.iter()).cloned();
                // Counted before the key can be retired.
                key.inspect(|key| {
                    key.running.fetch_add(1, SeqCst);
                })
            };
            let Some(key) = key else {
                thread::sleep(Duration::from_millis(20));
                continue;
            };
            let shape = shape(&mut random);
            let gateway = random.usize(0..self.0.addresses.len());
            let end = self.send(&key, shape, gateway);
            if matches!(end, End::Broken | End::Unreachable) {
                // As SDKs do: the same again, where the next gateway is.
                self.send(&key, shape, (gateway + 1) % self.0.addresses.len());
            }
            key.running.fetch_sub(1, SeqCst);
            thread::sleep(Duration::from_millis(random.u64(0..40)));
        }
    }

    /// Sends one request, and waits for its end.
    pub(super) fn send(&self, key: &Key, shape: Shape, gateway: usize) -> End {
        let shared = &self.0;
        let number = shared.request_count.fetch_add(1, SeqCst);
        let subject = match shape.shared_prompt {
            Some(prompt) => format!("{} c{prompt}", key.index),
            None => format!("{} r{number}", key.index),
        };
        let (body, estimate, tokens) = body(&subject, shape);
        let session = format!("x-litellm-session-id: {number}\r\n");
        let request = Request {
            line: "POST /v1/chat/completions",
            key: &key.secret,
            headers: &session,
            body: &body,
        };
        let address = shared.addresses.get(gateway).map_or("", String::as_str);
        let began = self.now();
        let response = request.read(address, shape.leave_after.unwrap_or(usize::MAX));
        let end = match response {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => End::Unreachable,
            Err(_) if shape.leave_after.is_some() => End::Left,
            Err(_) => End::Broken,
            Ok(response) if !response.is_complete => match shape.leave_after {
                Some(_) => End::Left,
                None => End::Broken,
            },
            Ok(response) if response.status != 200 => {
                let error: Value = serde_json::from_str(&response.body).unwrap_or_default();
                let code = error["error"]["code"].as_str().unwrap_or_default();
                End::Refused(response.status, code.to_owned())
            }
            Ok(response) if !shape.is_streamed || response.body.contains("data: [DONE]") => {
                End::Complete
            }
            Ok(_) => End::Failed,
        };
        lock(&shared.sent).push(Sent {
            number,
            key: key.index,
            subject,
            gateway,
            began,
            ended: self.now(),
            end: end.clone(),
            estimate,
            tokens,
            is_doomed: shape.fault.is_some(),
        });
        end
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A body, and the documented estimates of its cost and of its tokens.
fn body(subject: &str, shape: Shape) -> (String, i64, u64) {
    let fault = shape
        .fault
        .map_or(String::new(), |fault| format!(" [sim: {fault}]"));
    let content = format!("({subject}) Tell me about the sea, the wind and the stars.{fault}");
    let messages = json!([{ "role": "user", "content": content }]);
    let mut body = json!({
        "model": "chat",
        "messages": messages,
        "max_tokens": shape.max_tokens,
        "stream": shape.is_streamed,
    });
    if shape.shared_prompt.is_some() {
        body["cache"] = json!({ "use-cache": true });
    }
    // A token for every four bytes of the prompt, and the limit of the reply.
    let prompt = messages.to_string().len().div_ceil(4);
    let prompt = u64::try_from(prompt).unwrap_or(u64::MAX);
    let estimate = prompt as f64 * PROMPT_PRICE + shape.max_tokens as f64 * REPLY_PRICE;
    (
        body.to_string(),
        super::nanos(estimate),
        prompt + shape.max_tokens,
    )
}

fn shape(random: &mut Rng) -> Shape {
    let shared_prompt = (random.u8(0..6) == 0).then(|| random.usize(0..4));
    if shared_prompt.is_some() {
        return Shape {
            max_tokens: 8,
            shared_prompt,
            ..Shape::default()
        };
    }
    let faults = ["status=503", "status=429", "cut-after=60", "cut-after=900"];
    Shape {
        is_streamed: random.bool(),
        max_tokens: random.u64(5..60),
        shared_prompt: None,
        leave_after: (random.u8(0..6) == 0).then(|| random.usize(0..4_000)),
        fault: (random.u8(0..20) == 0)
            .then(|| random.choice(faults))
            .flatten(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
