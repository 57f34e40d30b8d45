use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::{Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, PROXY_AUTHORIZATION};

/// A request that a simulated upstream received.
#[non_exhaustive]
#[derive(Clone)]
pub struct SeenRequest {
    /// Counts up from 0, over all requests of this upstream.
    pub number: u64,
    /// `GET`, `POST` …
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, without the `?`; empty when there was none.
    pub query: String,
    /// The headers, secrets reduced to a [`fingerprint`].
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
}

impl SeenRequest {
    /// A header's value, if it was sent and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON; `Null` when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl fmt::Debug for SeenRequest {
    /// Leaves out headers and body: they may hold a prompt.
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

/// What is remembered in place of a secret: equal secrets give equal fingerprints within one
/// process, and nothing leads back.
///
/// A request sent with `Authorization: Bearer KEY` is remembered with the header
/// `Bearer FINGERPRINT`.
pub fn fingerprint(secret: &str) -> String {
    format!("#{:016x}", unguessable(secret))
}

/// A hash that nobody outside this process can compute.
pub(crate) fn unguessable(of: impl Hash) -> u64 {
    static KEYS: OnceLock<RandomState> = OnceLock::new();
    KEYS.get_or_init(RandomState::new).hash_one(of)
}

/// The latest requests of one upstream.
#[derive(Debug)]
pub(crate) struct RequestLog {
    capacity: usize,
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
            state: Mutex::default(),
        }
    }

    pub(crate) fn record(
        &self,
        method: &str,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) {
        let mut state = self.state();
        let number = state.count;
        state.count += 1;
        if self.capacity == 0 {
            return;
        }
        state.bytes += body.len();
        state.seen.push_back(SeenRequest {
            number,
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: without_secrets(headers),
            body: body.clone(),
        });
        while state.seen.len() > self.capacity || state.bytes > MOST_BYTES {
            let Some(oldest) = state.seen.pop_front() else {
                break;
            };
            state.bytes -= oldest.body.len();
        }
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

const MOST_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_kept() {
        let log = RequestLog::new(10);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer r8_secret"));
        headers.insert("x-api-key", HeaderValue::from_static("r8_secret"));
        log.record("GET", "/", "", &headers, &Bytes::new());
        let seen = &log.seen()[0];
        let wanted = format!("Bearer {}", fingerprint("r8_secret"));
        assert_eq!(seen.header("authorization"), Some(wanted.as_str()));
        assert!(!format!("{:?}", seen.headers).contains("secret"));
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let log = RequestLog::new(2);
        for path in ["/a", "/b", "/c"] {
            log.record(
                "GET",
                path,
                "",
                &HeaderMap::new(),
                &Bytes::from_static(b"x"),
            );
        }
        assert_eq!(log.count(), 3);
        let paths: Vec<_> = log
            .seen()
            .into_iter()
            .map(|seen| (seen.number, seen.path))
            .collect();
        assert_eq!(paths, [(1, "/b".to_owned()), (2, "/c".to_owned())]);
    }
}
