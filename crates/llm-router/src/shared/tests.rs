//! Routers that share state: in memory, on a simulated clock, and with the feature `redis` in a real
//! server.

mod claims;
#[cfg(feature = "redis")]
mod redis;
mod routers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Begin, Begun, End, Memory, SharedState, Store};

/// A state in memory that can be unavailable, and that counts what it is asked.
#[derive(Debug, Default)]
struct Fickle {
    memory: Memory,
    is_down: AtomicBool,
    begun: AtomicUsize,
    ended: AtomicUsize,
}

impl Store for Arc<Fickle> {
    fn begin(&self, begin: Begin) -> BoxFuture<'_, Option<Begun>> {
        self.begun.fetch_add(1, SeqCst);
        if self.is_down.load(SeqCst) {
            return Box::pin(std::future::ready(None));
        }
        self.memory.begin(begin)
    }

    fn end(&self, end: End) {
        self.ended.fetch_add(1, SeqCst);
        if !self.is_down.load(SeqCst) {
            self.memory.end(end);
        }
    }

    fn keep(&self, key: String, value: Vec<u8>, time_to_live: Duration) {
        self.memory.keep(key, value, time_to_live);
    }
}

fn fickle() -> (Arc<Fickle>, SharedState) {
    let fickle = Arc::new(Fickle::default());
    let shared = SharedState::new(Arc::clone(&fickle));
    (fickle, shared)
}
