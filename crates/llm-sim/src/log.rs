use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, PROXY_AUTHORIZATION};
use hyper::http::request::Parts;

use crate::clock::Clock;
use crate::trace::{Received, Times, Trace};

/// A request received by a simulated upstream.
#[non_exhaustive]
#[derive(Clone)]
pub struct SeenRequest {
    /// The number of the request, from 0, over all requests of this upstream; the response's header
    /// `x-sim-request`.
    pub number: u64,
    /// `GET`, `POST` …
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, without the `?`; empty if there is none.
    pub query: String,
    /// The headers, with secrets replaced by a [`fingerprint`].
    pub headers: HeaderMap,
    /// The body, unchanged.
    pub body: Bytes,
    trace: Arc<Trace>,
}

impl SeenRequest {
    /// A header's value, if it was sent and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The times of its processing so far.
    pub fn times(&self) -> Times {
        self.trace.snapshot()
    }

    /// The body as JSON; `Null` if it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl fmt::Debug for SeenRequest {
    /// Leaves out headers and body, which may contain a prompt.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} ({} bytes)",
            self.method,
            self.path,
            self.body.len()
        )
    }
}

/// A replacement for a secret: equal secrets give equal fingerprints within one process, and the
/// secret cannot be derived.
///
/// A request with `Authorization: Bearer KEY` is stored with the header `Bearer FINGERPRINT`.
pub fn fingerprint(secret: &str) -> String {
    format!("#{:016x}", unguessable(secret))
}

/// A hash that cannot be computed outside this process.
pub(crate) fn unguessable(of: impl Hash) -> u64 {
    static KEYS: OnceLock<RandomState> = OnceLock::new();
    KEYS.get_or_init(RandomState::new).hash_one(of)
}

/// The latest requests of one upstream.
#[derive(Debug)]
pub(crate) struct RequestLog {
    capacity: usize,
    /// The number of writes of all live traces.
    writes: Arc<AtomicUsize>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    count: u64,
    bytes: usize,
    seen: VecDeque<SeenRequest>,
}

impl RequestLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            writes: Arc::default(),
            state: Mutex::default(),
        }
    }

    /// Stores a request, and returns its number and its trace.
    pub(crate) fn record(
        &self,
        request: &Parts,
        body: &Bytes,
        received: Received,
        clock: &Clock,
    ) -> (u64, Arc<Trace>) {
        let trace = Arc::new(Trace::new(clock, received, &self.writes));
        let mut state = self.state();
        let number = state.count;
        state.count += 1;
        if self.capacity == 0 {
            return (number, trace);
        }
        state.bytes += body.len();
        state.seen.push_back(SeenRequest {
            number,
            method: request.method.as_str().to_owned(),
            path: request.uri.path().to_owned(),
            query: request.uri.query().unwrap_or_default().to_owned(),
            headers: without_secrets(&request.headers),
            body: body.clone(),
            trace: Arc::clone(&trace),
        });
        while state.seen.len() > self.capacity
            || state.bytes > MAX_BYTES
            || self.writes.load(Ordering::Relaxed) > MAX_WRITES
        {
            let Some(oldest) = state.seen.pop_front() else {
                break;
            };
            state.bytes -= oldest.body.len();
        }
        (number, trace)
    }

    pub(crate) fn count(&self) -> u64 {
        self.state().count
    }

    pub(crate) fn seen(&self) -> Vec<SeenRequest> {
        self.state().seen.iter().cloned().collect()
    }

    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.seen.clear();
        state.bytes = 0;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn without_secrets(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for (name, value) in &mut headers {
        let secret = name == AUTHORIZATION
            || name == PROXY_AUTHORIZATION
            || name == COOKIE
            || name == "x-api-key"
            || name == "api-key";
        if secret {
            let text = String::from_utf8_lossy(value.as_bytes());
            let reduced = match text.split_once(' ') {
                Some((scheme, key)) if name == AUTHORIZATION && scheme.len() <= 16 => {
                    format!("{scheme} {}", fingerprint(key.trim()))
                }
                _ => fingerprint(&text),
            };
            *value = HeaderValue::try_from(reduced)
                .unwrap_or_else(|_| HeaderValue::from_static("#unreadable"));
        }
    }
    headers
}

const MAX_BYTES: usize = 64 << 20;

/// The most writes of all stored requests together; each takes 40 bytes.
const MAX_WRITES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use hyper::Request;

    use tokio::time::Instant;

    use super::*;
    use crate::options::Timing;

    fn record(log: &RequestLog, request: Request<()>) -> Arc<Trace> {
        let clock = Clock::start(&Timing::default()).unwrap();
        let (parts, ()) = request.into_parts();
        let now = Instant::now();
        let received = Received {
            head: now,
            body: now,
        };
        log.record(&parts, &Bytes::from_static(b"x"), received, &clock)
            .1
    }

    #[test]
    fn secrets_are_not_recorded() {
        let log = RequestLog::new(10);
        let request = Request::builder()
            .header(AUTHORIZATION, "Bearer r8_secret")
            .header("x-api-key", "r8_secret");
        record(&log, request.body(()).unwrap());
        let seen = &log.seen()[0];
        let wanted = format!("Bearer {}", fingerprint("r8_secret"));
        assert_eq!(seen.header("authorization"), Some(wanted.as_str()));
        assert!(!format!("{:?}", seen.headers).contains("secret"));
    }

    #[test]
    fn the_oldest_is_removed_first() {
        let log = RequestLog::new(2);
        for path in ["/a", "/b", "/c"] {
            record(&log, Request::builder().uri(path).body(()).unwrap());
        }
        assert_eq!(log.count(), 3);
        let paths: Vec<_> = log
            .seen()
            .into_iter()
            .map(|seen| (seen.number, seen.path))
            .collect();
        assert_eq!(paths, [(1, "/b".to_owned()), (2, "/c".to_owned())]);
    }

    #[test]
    fn long_streams_are_discarded_before_memory_is_exhausted() {
        let log = RequestLog::new(10);
        let long = record(&log, Request::new(()));
        for _ in 0..=MAX_WRITES {
            long.wrote(Instant::now(), Instant::now(), 1);
        }
        drop(long);
        record(&log, Request::new(()));
        assert_eq!(log.seen().first().map(|seen| seen.number), Some(1));
        assert_eq!(log.writes.load(Ordering::Relaxed), 0);
    }
}
