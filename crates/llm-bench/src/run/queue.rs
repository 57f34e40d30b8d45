//! From one thread to slots on several others, without a lock held while a slot waits.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, TryAcquireError};

/// A bounded queue. Any number of tasks take from it, each waiting on its own.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Notified when there is room, and when nothing is taken any more.
    room: Condvar,
    /// A permit for each item; closed when no more will come.
    items: Semaphore,
    most: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    abandoned: bool,
}

/// The end that items are given to; the queue ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Giver<T>(Arc<Queue<T>>);

impl<T> Queue<T> {
    /// A queue that holds at most so many items, and at least one.
    pub(crate) fn new(most: usize) -> (Giver<T>, Arc<Self>) {
        let queue = Arc::new(Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                abandoned: false,
            }),
            room: Condvar::new(),
            items: Semaphore::new(0),
            most: most.clamp(1, Semaphore::MAX_PERMITS),
        });
        (Giver(Arc::clone(&queue)), queue)
    }

    /// The next item; `None` when there are no more. Calls `on_wait` when there is none yet.
    pub(crate) async fn take(&self, on_wait: impl FnOnce()) -> Option<T> {
        match self.items.try_acquire() {
            Ok(permit) => permit.forget(),
            Err(TryAcquireError::NoPermits) => {
                on_wait();
                // An error means that no more will come: what is left needs no permit.
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

    /// Nothing will be taken any more: lets a waiting giver go.
    pub(crate) fn abandon(&self) {
        self.state().abandoned = true;
        self.room.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Giver<T> {
    /// Adds an item, and blocks the thread until there is room; whether anybody may still take it.
    pub(crate) fn give(&self, item: T) -> bool {
        let queue = &self.0;
        let full = |state: &mut State<T>| !state.abandoned && state.items.len() >= queue.most;
        let state = queue.room.wait_while(queue.state(), full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if state.abandoned {
            return false;
        }
        state.items.push_back(item);
        drop(state);
        queue.items.add_permits(1);
        true
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        self.0.items.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn every_item_is_taken_once_by_one_of_many() {
        let (giver, queue) = Queue::new(4);
        let giving = thread::spawn(move || (0..1000).all(|item| giver.give(item)));
        let takers = (0..16).map(|_| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move {
                let mut taken = Vec::new();
                while let Some(item) = queue.take(|| ()).await {
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
    async fn a_slot_that_waits_does_not_hold_up_the_others() {
        let (giver, queue) = Queue::new(4);
        let waits = AtomicU32::new(0);
        let count = || {
            waits.fetch_add(1, Ordering::Relaxed);
        };
        let mut first = Box::pin(queue.take(count));
        let mut second = Box::pin(queue.take(count));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(waits.load(Ordering::Relaxed), 2);
        // The slot that waited first is given up, and nothing is lost with it.
        drop(first);
        assert!(giver.give(7));
        assert_eq!(second.await, Some(7));
    }

    #[tokio::test]
    async fn what_is_left_is_taken_after_the_end() {
        let (giver, queue) = Queue::new(4);
        assert!(giver.give(1) && giver.give(2));
        drop(giver);
        assert_eq!(queue.take(|| ()).await, Some(1));
        assert_eq!(queue.take(|| ()).await, Some(2));
        assert_eq!(queue.take(|| ()).await, None);
    }

    #[test]
    fn a_giver_without_room_is_let_go() {
        let (giver, queue) = Queue::new(1);
        assert!(giver.give(1));
        let giving = thread::spawn(move || giver.give(2));
        queue.abandon();
        assert!(!giving.join().unwrap());
    }
}
