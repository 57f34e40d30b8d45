//! The threads that write requests ahead of time, in the order of the plan.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use crate::error::Error;
use crate::job::{Draft, Job};
use crate::run::queue::Producer;

/// The jobs of a run in order. Those of an open loop have start times.
pub(crate) type Plan = Box<dyn Iterator<Item = Draft> + Send>;

/// Starts `threads` that write the jobs of a plan into a queue, until it ends, the queue is closed
/// or `stop` becomes true. `room` is the capacity of the queue.
pub(super) fn start(
    plan: Plan,
    threads: usize,
    room: usize,
    to: Producer<Job>,
    stop: Arc<AtomicBool>,
) -> io::Result<Preparation> {
    let (full, ready) = watch::channel(false);
    let shared = Arc::new(Shared {
        plan: Mutex::new((0, plan)),
        turn: Mutex::new(Turn {
            next: 0,
            ended: false,
        }),
        turned: Condvar::new(),
        to,
        room: room as u64,
        stop,
        full,
        counts: Arc::default(),
    });
    let counts = Arc::clone(&shared.counts);
    for number in 0..threads {
        let shared = Arc::clone(&shared);
        thread::Builder::new()
            .name(format!("bench-plan-{number}"))
            .spawn(move || while shared.prepare_one() {})?;
    }
    Ok(Preparation { ready, counts })
}

/// The progress of the threads.
#[derive(Clone, Debug)]
pub(crate) struct Preparation {
    /// Becomes true when the queue has been full once; closed at the end of the plan.
    ready: watch::Receiver<bool>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    failed: AtomicU64,
    /// The first failure.
    error: Mutex<Option<Error>>,
}

impl Preparation {
    /// Waits until no more can be prepared; after [`PATIENCE`], `enough` jobs suffice.
    pub(crate) async fn ready(mut self, enough: u64) {
        let full = self.ready.wait_for(|full| *full);
        if tokio::time::timeout(PATIENCE, full).await.is_ok() {
            return;
        }
        while self.counts.written.load(Ordering::Relaxed) < enough {
            if tokio::time::timeout(POLL, self.ready.wait_for(|full| *full))
                .await
                .is_ok()
            {
                return;
            }
        }
    }

    /// The number of jobs that could not be written, and the first reason.
    pub(crate) fn failures(&self) -> (u64, Option<String>) {
        let error = lock(&self.counts.error).as_ref().map(ToString::to_string);
        (self.counts.failed.load(Ordering::Relaxed), error)
    }
}

struct Shared {
    /// The number of the next job, and the plan.
    plan: Mutex<(u64, Plan)>,
    turn: Mutex<Turn>,
    turned: Condvar,
    to: Producer<Job>,
    room: u64,
    stop: Arc<AtomicBool>,
    full: watch::Sender<bool>,
    counts: Arc<Counts>,
}

/// Whose job is next in the queue.
struct Turn {
    next: u64,
    ended: bool,
}

impl Shared {
    /// Writes the next job; false at the end.
    fn prepare_one(&self) -> bool {
        if self.stop.load(Ordering::Relaxed) {
            return false;
        }
        let (number, draft) = {
            let mut plan = lock(&self.plan);
            let Some(draft) = plan.1.next() else {
                return false;
            };
            plan.0 += 1;
            (plan.0 - 1, draft)
        };
        let job = draft.write();
        let waiting = |turn: &mut Turn| turn.next != number && !turn.ended;
        let turn = self.turned.wait_while(lock(&self.turn), waiting);
        let ended = turn.unwrap_or_else(PoisonError::into_inner).ended;
        // No other thread has this turn, so the lock is not held while the queue is full.
        let open = !ended
            && match job {
                Ok(job) => self.hand_over(job),
                Err(error) => {
                    self.counts.failed.fetch_add(1, Ordering::Relaxed);
                    lock(&self.counts.error).get_or_insert(error);
                    true
                }
            };
        let mut turn = lock(&self.turn);
        turn.next += 1;
        turn.ended |= !open;
        drop(turn);
        self.turned.notify_all();
        open
    }

    fn hand_over(&self, job: Job) -> bool {
        let open = self.to.push(job);
        let written = 1 + self.counts.written.fetch_add(1, Ordering::Relaxed);
        if written == self.room {
            self.full.send_replace(true);
        }
        open
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of a thread leaves all states valid.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a run waits for more prepared requests than it needs at its start. Only very long prompts
/// take so long.
const PATIENCE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::time::Instant;

    use super::*;
    use crate::record::TokenSource;
    use crate::request::{Endpoint, PreparedRequest};
    use crate::run::queue::Queue;

    fn job(id: u64) -> Job {
        let input = (0, TokenSource::Estimate);
        Job::single(
            id,
            PreparedRequest::new(Endpoint::Embeddings, Bytes::new(), input),
        )
    }

    fn plan(jobs: u64) -> Plan {
        Box::new((0..jobs).map(|id| {
            Draft::new(1, move || {
                // Later jobs are faster.
                for _ in 0..20 / (1 + id % 7) {
                    thread::yield_now();
                }
                match id {
                    13 => Err(Error::usage("--x", "", "no image")),
                    id => Ok(job(id)),
                }
            })
        }))
    }

    #[tokio::test]
    async fn several_threads_keep_the_order() {
        let (to, queue) = Queue::new(1000);
        let done = start(plan(100), 4, 1000, to, Arc::default()).unwrap();
        done.clone().ready(u64::MAX).await;
        let mut ids = Vec::new();
        while let Some(job) = queue.pop(|| ()).await {
            ids.push(job.id);
        }
        let expected: Vec<u64> = (0..100).filter(|id| *id != 13).collect();
        assert_eq!(ids, expected);
        let (failed, error) = done.failures();
        assert_eq!(failed, 1);
        assert!(error.unwrap().contains("no image"));
    }

    #[tokio::test]
    async fn a_full_queue_is_ready_and_a_closed_one_ends_the_threads() {
        let (to, queue) = Queue::new(8);
        let done = start(plan(u64::MAX), 3, 8, to, Arc::default()).unwrap();
        done.clone().ready(u64::MAX).await;
        assert_eq!(queue.pop(|| ()).await.unwrap().id, 0);
        queue.close();
        let mut ready = done.ready;
        // The sender is dropped by the last thread.
        while ready.changed().await.is_ok() {}
    }

    #[tokio::test(start_paused = true)]
    async fn slow_preparation_delays_a_run_only_until_there_is_enough() {
        let (to, _queue) = Queue::new(8);
        let stop = Arc::new(AtomicBool::new(true));
        let mut done = start(plan(0), 1, 8, to, stop).unwrap();
        // Neither full nor ended.
        let (_full, ready) = watch::channel(false);
        done.ready = ready;
        done.counts.written.store(5, Ordering::Relaxed);
        let begun = Instant::now();
        done.ready(5).await;
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
    }
}
