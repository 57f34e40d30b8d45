//! Calls that wait until a deployment of their group has room.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::average::MovingLatency;
use crate::clock::{Nanos, nanos};

/// How calls wait when all deployments of a group are at their limits.
///
/// Without a queue, such a call fails immediately with a rate limit error, which says when to try
/// again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QueueOptions {
    /// The maximum number of calls that wait per group; 100 by default. Further ones fail immediately.
    pub capacity: usize,
    /// The longest wait; 30 s by default. A call that would wait longer fails immediately.
    pub timeout: Duration,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            capacity: 100,
            timeout: Duration::from_secs(30),
        }
    }
}

impl QueueOptions {
    /// Sets the most calls that wait per group.
    #[must_use]
    pub fn with_capacity(mut self, calls: usize) -> Self {
        self.capacity = calls;
        self
    }

    /// Sets the longest wait.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// The queue of one group: by priority, then in the order of arrival.
///
/// Only the first call in the queue tries to get a deployment. It is woken when a call of the group
/// ends. While no call waits, the lock is not taken.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<BTreeMap<Key, Arc<Notify>>>,
    length: AtomicUsize,
    arrivals: AtomicU64,
    /// The time between calls that leave the queue with a deployment.
    pace: MovingLatency,
    left: AtomicU64,
}

/// A lower priority value goes first.
type Key = (u8, u64);

/// A place in a queue, given up when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    queue: Arc<Queue>,
    key: Key,
    notify: Arc<Notify>,
}

impl Queue {
    /// Whether calls are waiting.
    pub(crate) fn is_used(&self) -> bool {
        self.len() > 0
    }

    /// The number of waiting calls.
    pub(crate) fn len(&self) -> usize {
        self.length.load(SeqCst)
    }

    /// Joins the queue; `None` if it is full, or moves too slowly.
    pub(crate) fn join(
        self: &Arc<Self>,
        options: &QueueOptions,
        priority: u8,
        now: Nanos,
    ) -> Option<Place> {
        let key = (priority, self.arrivals.fetch_add(1, Relaxed));
        let notify = Arc::new(Notify::new());
        let mut waiting = self.lock();
        let ahead = waiting.range(..key).count();
        if waiting.len() >= options.capacity || self.is_hopeless(ahead, options, now) {
            return None;
        }
        waiting.insert(key, Arc::clone(&notify));
        self.length.store(waiting.len(), SeqCst);
        drop(waiting);
        Some(Place {
            queue: Arc::clone(self),
            key,
            notify,
        })
    }

    /// Whether the calls ahead are likely to take longer than the longest wait.
    fn is_hopeless(&self, ahead: usize, options: &QueueOptions, now: Nanos) -> bool {
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let expected = self.pace.get(now, PACE_DECAY) * f64::from(ahead);
        expected > options.timeout.as_secs_f64() * 1e9
    }

    /// Lets the first call try again.
    pub(crate) fn wake(&self) {
        if self.is_used()
            && let Some(first) = self.lock().values().next()
        {
            first.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Notify>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(crate) fn is_first(&self) -> bool {
        self.queue.lock().keys().next() == Some(&self.key)
    }

    /// Waits until it is worth trying again, but not beyond `limit`.
    pub(crate) async fn wait(&self, limit: Instant) {
        // The caller tries again, whether it was woken or timed out.
        let _ = timeout_at(limit, self.notify.notified()).await;
    }

    /// Leaves the queue with a deployment.
    pub(crate) fn served(self, now: Nanos) {
        let before = self.queue.left.swap(now, Relaxed);
        if before != 0 && self.queue.length.load(SeqCst) > 1 {
            let pace = now.saturating_sub(before);
            self.queue.pace.add(pace, now, PACE_DECAY, false);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        waiting.remove(&self.key);
        self.queue.length.store(waiting.len(), SeqCst);
        if let Some(first) = waiting.values().next() {
            first.notify_one();
        }
    }
}

/// The limit of a wait that begins now.
pub(crate) fn limit_of(options: &QueueOptions, deadline: Option<Instant>) -> Instant {
    let longest = nanos(options.timeout).min(DAY);
    let own = Instant::now() + Duration::from_nanos(longest);
    deadline.map_or(own, |deadline| deadline.min(own))
}

const PACE_DECAY: Nanos = 10_000_000_000;
const DAY: Nanos = 24 * 3600 * 1_000_000_000;
