//! Timers with the precision of the system, to the microsecond; tokio's have a resolution of a
//! millisecond.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

/// A thread that wakes tasks at their time; it ends with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct PreciseTimer(Arc<StopOnDrop>);

impl PreciseTimer {
    /// # Errors
    ///
    /// If no thread can be started.
    pub(crate) fn start() -> io::Result<Self> {
        let timers = Arc::new(Timers::default());
        let running = Arc::clone(&timers);
        thread::Builder::new()
            .name("llm-sim-timer".to_owned())
            .spawn(move || running.run())?;
        Ok(Self(Arc::new(StopOnDrop(timers))))
    }

    /// Waits until `at`; never returns early.
    pub(crate) async fn until(&self, at: Instant) {
        let mut waiting = Waiting {
            timers: &self.0.0,
            at,
            number: None,
        };
        poll_fn(|context| waiting.poll(context)).await;
    }
}

#[derive(Debug)]
struct StopOnDrop(Arc<Timers>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.queue().stopped = true;
        self.0.changed.notify_one();
    }
}

#[derive(Debug, Default)]
struct Timers {
    queue: Mutex<Queue>,
    /// Notified when an earlier waker becomes the first, and when the thread must stop.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// Sorted by time; the number distinguishes those with the same time.
    wakers: BTreeMap<(Instant, u64), Waker>,
    count: u64,
    stopped: bool,
}

impl Timers {
    fn run(&self) {
        let mut due = Vec::new();
        let mut queue = self.queue();
        while !queue.stopped {
            let now = Instant::now();
            while let Some(first) = queue.wakers.first_entry()
                && first.key().0 <= now
            {
                due.push(first.remove());
            }
            if !due.is_empty() {
                // Woken tasks must not find the queue locked.
                drop(queue);
                due.drain(..).for_each(Waker::wake);
                queue = self.queue();
                continue;
            }
            let next = queue.wakers.first_key_value().map(|((at, _), _)| *at);
            queue = match next {
                Some(at) => {
                    let pause = at.saturating_duration_since(now);
                    let woken = self.changed.wait_timeout(queue, pause);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let woken = self.changed.wait(queue);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry in the queue, removed when dropped.
struct Waiting<'a> {
    timers: &'a Timers,
    at: Instant,
    number: Option<u64>,
}

impl Waiting<'_> {
    fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        if self.at <= Instant::now() {
            return Poll::Ready(());
        }
        let mut queue = self.timers.queue();
        let number = *self.number.get_or_insert_with(|| {
            queue.count += 1;
            queue.count
        });
        let key = (self.at, number);
        queue.wakers.insert(key, context.waker().clone());
        let first = queue.wakers.first_key_value().map(|(key, _)| *key);
        drop(queue);
        if first == Some(key) {
            self.timers.changed.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.timers.queue().wakers.remove(&(self.at, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn no_sleeper_is_woken_early_or_missed() {
        let timer = PreciseTimer::start().unwrap();
        let began = Instant::now();
        // Unsorted, some at the same time, some already past.
        let waits = [7, 3, 3, 0, 20, 1].map(|millis| {
            let timer = timer.clone();
            tokio::spawn(async move {
                let at = began + Duration::from_millis(millis);
                timer.until(at).await;
                assert!(at <= Instant::now());
            })
        });
        for wait in waits {
            wait.await.unwrap();
        }
        assert!(began.elapsed() >= Duration::from_millis(20));
    }

    #[tokio::test]
    async fn a_disconnected_client_releases_its_slot() {
        let timer = PreciseTimer::start().unwrap();
        let far = Instant::now() + Duration::from_secs(3600);
        let short = Duration::from_millis(1);
        assert!(tokio::time::timeout(short, timer.until(far)).await.is_err());
        assert!(timer.0.0.queue().wakers.is_empty());
    }

    #[test]
    fn the_thread_ends_with_the_last_clone() {
        let timer = PreciseTimer::start().unwrap();
        let timers = Arc::downgrade(&timer.0.0);
        drop(timer.clone());
        assert!(!timers.upgrade().unwrap().queue().stopped);
        drop(timer);
        // The thread holds the timers until it has seen the end.
        while timers.upgrade().is_some() {
            thread::yield_now();
        }
    }
}
