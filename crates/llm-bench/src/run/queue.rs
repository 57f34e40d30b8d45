//! A queue from one thread to slots on several threads; no lock is held while a slot waits.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, TryAcquireError};

/// A bounded queue. Any number of tasks take from it, and each waits on its own.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Notified when there is room, and when the queue is closed.
    room: Condvar,
    /// Notified when there is an item, and when the producer is gone.
    filled: Condvar,
    /// A permit per item; closed when the producer is dropped.
    items: Semaphore,
    max: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    abandoned: bool,
    ended: bool,
}

/// The end that adds items; the queue ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Producer<T>(Arc<Queue<T>>);

impl<T> Queue<T> {
    /// Creates a queue of at most `max` items, and at least one.
    pub(crate) fn new(max: usize) -> (Producer<T>, Arc<Self>) {
        let queue = Arc::new(Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                abandoned: false,
                ended: false,
            }),
            room: Condvar::new(),
            filled: Condvar::new(),
            items: Semaphore::new(0),
            max: max.clamp(1, Semaphore::MAX_PERMITS),
        });
        (Producer(Arc::clone(&queue)), queue)
    }

    /// The next item; `None` at the end. Calls `on_wait` if it has to wait.
    pub(crate) async fn pop(&self, on_wait: impl FnOnce()) -> Option<T> {
        match self.items.try_acquire() {
            Ok(permit) => permit.forget(),
            Err(TryAcquireError::NoPermits) => {
                on_wait();
                // An error means that the producer is gone: the remaining items need no permit.
                if let Ok(permit) = self.items.acquire().await {
                    permit.forget();
                }
            }
            Err(TryAcquireError::Closed) => {}
        }
        let item = self.state().items.pop_front();
        self.room.notify_one();
        item
    }

    /// The next item; blocks the thread until there is one. `None` at the end.
    pub(crate) fn pop_blocking(&self) -> Option<T> {
        let empty = |state: &mut State<T>| state.items.is_empty() && !state.ended;
        let state = self.filled.wait_while(self.state(), empty);
        let item = state
            .unwrap_or_else(PoisonError::into_inner)
            .items
            .pop_front();
        if let Ok(permit) = self.items.try_acquire() {
            permit.forget();
        }
        self.room.notify_one();
        item
    }

    /// The number of items that wait.
    pub(crate) fn len(&self) -> usize {
        self.state().items.len()
    }

    /// Closes the queue for items: a blocked producer returns.
    pub(crate) fn close(&self) {
        self.state().abandoned = true;
        self.room.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // No code under the lock can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Producer<T> {
    /// Adds an item; blocks the thread until there is room. Returns whether the queue is open.
    pub(crate) fn push(&self, item: T) -> bool {
        let queue = &self.0;
        let full = |state: &mut State<T>| !state.abandoned && state.items.len() >= queue.max;
        let state = queue.room.wait_while(queue.state(), full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if state.abandoned {
            return false;
        }
        state.items.push_back(item);
        drop(state);
        queue.items.add_permits(1);
        queue.filled.notify_one();
        true
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.items.close();
        self.0.filled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn every_item_is_taken_once() {
        let (giver, queue) = Queue::new(4);
        let giving = thread::spawn(move || (0..1000).all(|item| giver.push(item)));
        let takers = (0..16).map(|_| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move {
                let mut taken = Vec::new();
                while let Some(item) = queue.pop(|| ()).await {
                    taken.push(item);
                    tokio::task::yield_now().await;
                }
                taken
            })
        });
        let mut all = Vec::new();
        for taker in takers.collect::<Vec<_>>() {
            all.extend(taker.await.unwrap());
        }
        assert!(giving.join().unwrap());
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_waiting_slot_does_not_block_others() {
        let (giver, queue) = Queue::new(4);
        let waits = AtomicU32::new(0);
        let count = || {
            waits.fetch_add(1, Ordering::Relaxed);
        };
        let mut first = Box::pin(queue.pop(count));
        let mut second = Box::pin(queue.pop(count));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(waits.load(Ordering::Relaxed), 2);
        // The slot that waited first is dropped; its item is not lost.
        drop(first);
        assert!(giver.push(7));
        assert_eq!(second.await, Some(7));
    }

    #[tokio::test]
    async fn remaining_items_are_taken_after_the_end() {
        let (giver, queue) = Queue::new(4);
        assert!(giver.push(1) && giver.push(2));
        drop(giver);
        assert_eq!(queue.pop(|| ()).await, Some(1));
        assert_eq!(queue.pop(|| ()).await, Some(2));
        assert_eq!(queue.pop(|| ()).await, None);
    }

    #[test]
    fn a_thread_waits_for_items_until_the_end() {
        let (giver, queue) = Queue::new(1);
        let giving = thread::spawn(move || assert!(giver.push(1) && giver.push(2)));
        assert_eq!(queue.pop_blocking(), Some(1));
        assert_eq!(queue.pop_blocking(), Some(2));
        giving.join().unwrap();
        assert_eq!(queue.pop_blocking(), None);
    }

    #[test]
    fn closing_releases_a_blocked_producer() {
        let (giver, queue) = Queue::new(1);
        assert!(giver.push(1));
        let giving = thread::spawn(move || giver.push(2));
        queue.close();
        assert!(!giving.join().unwrap());
    }
}
