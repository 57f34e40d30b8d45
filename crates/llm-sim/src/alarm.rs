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
pub(crate) struct Alarm(Arc<Owner>);

impl Alarm {
    /// # Errors
    ///
    /// If no thread can be started.
    pub(crate) fn start() -> io::Result<Self> {
        let bell = Arc::new(Bell::default());
        let ringing = Arc::clone(&bell);
        thread::Builder::new()
            .name("llm-sim-alarm".to_owned())
            .spawn(move || ringing.ring())?;
        Ok(Self(Arc::new(Owner(bell))))
    }

    /// Waits until `at`, never less.
    pub(crate) async fn until(&self, at: Instant) {
        let mut waiting = Waiting {
            bell: &self.0.0,
            at,
            number: None,
        };
        poll_fn(|context| waiting.poll(context)).await;
    }
}

#[derive(Debug)]
struct Owner(Arc<Bell>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.queue().stopped = true;
        self.0.changed.notify_one();
    }
}

#[derive(Debug, Default)]
struct Bell {
    queue: Mutex<Queue>,
    /// There is an earlier first waker, or none will come any more.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// Sorted by time; the number distinguishes those with the same time.
    wakers: BTreeMap<(Instant, u64), Waker>,
    count: u64,
    stopped: bool,
}

impl Bell {
    fn ring(&self) {
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
    bell: &'a Bell,
    at: Instant,
    number: Option<u64>,
}

impl Waiting<'_> {
    fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        if self.at <= Instant::now() {
            return Poll::Ready(());
        }
        let mut queue = self.bell.queue();
        let number = *self.number.get_or_insert_with(|| {
            queue.count += 1;
            queue.count
        });
        let key = (self.at, number);
        queue.wakers.insert(key, context.waker().clone());
        let first = queue.wakers.first_key_value().map(|(key, _)| *key);
        drop(queue);
        if first == Some(key) {
            self.bell.changed.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.bell.queue().wakers.remove(&(self.at, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn no_sleeper_is_woken_early_or_missed() {
        let alarm = Alarm::start().unwrap();
        let began = Instant::now();
        // Unsorted, some at the same time, some already past.
        let waits = [7, 3, 3, 0, 20, 1].map(|millis| {
            let alarm = alarm.clone();
            tokio::spawn(async move {
                let at = began + Duration::from_millis(millis);
                alarm.until(at).await;
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
        let alarm = Alarm::start().unwrap();
        let far = Instant::now() + Duration::from_secs(3600);
        let short = Duration::from_millis(1);
        assert!(tokio::time::timeout(short, alarm.until(far)).await.is_err());
        assert!(alarm.0.0.queue().wakers.is_empty());
    }

    #[test]
    fn the_thread_ends_with_the_last_clone() {
        let alarm = Alarm::start().unwrap();
        let bell = Arc::downgrade(&alarm.0.0);
        drop(alarm.clone());
        assert!(!bell.upgrade().unwrap().queue().stopped);
        drop(alarm);
        // The thread holds the bell until it has seen the end.
        while bell.upgrade().is_some() {
            thread::yield_now();
        }
    }
}
