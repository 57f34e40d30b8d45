//! From the plan to the slots: requests are made ahead of time on one thread, and in an open loop
//! handed out at their time by another, which does nothing but wait.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc as sync;
use std::thread;
use std::time::Duration;

use crate::clock::{Clock, nanos};
use crate::job::Job;
use crate::run::queue::{Giver, Queue};

/// Jobs in the order of the plan; an open loop's have their times.
pub(crate) type Plan = Box<dyn Iterator<Item = Job> + Send>;

/// How jobs are handed out.
pub(crate) enum Timing {
    /// As soon as somebody is free.
    AtOnce,
    /// At these times, in seconds from the start; jobs that bring a time keep it.
    At(Box<dyn Iterator<Item = f64> + Send>),
    /// At the times that the jobs bring.
    Own,
}

/// Where slots take jobs from, on whichever thread they are.
#[derive(Debug)]
pub(crate) struct Feed {
    jobs: Arc<Queue<Job>>,
    /// How often a slot had to wait because the next request was not made yet.
    pub(crate) starved: AtomicU64,
    /// No more are made.
    stop: Arc<AtomicBool>,
    closed_loop: bool,
}

/// Lets the threads behind a feed go; they also go when it is dropped.
#[derive(Debug)]
pub(crate) struct Source {
    go: Option<sync::Sender<Option<u64>>>,
    stop: Arc<AtomicBool>,
}

impl Feed {
    /// Starts to make requests, some `ahead` of their need; at most `most` wait at a time.
    pub(crate) fn start(
        plan: Plan,
        timing: Timing,
        ahead: usize,
        most: usize,
        clock: Clock,
    ) -> io::Result<(Arc<Self>, Source)> {
        let closed_loop = matches!(timing, Timing::AtOnce);
        let ahead = ahead.min(most).max(1);
        // In an open loop a request is handed on when it is due, whether or not a slot is free.
        let room = if closed_loop {
            ahead
        } else {
            BACKLOG.min(most)
        };
        let (give, jobs) = Queue::new(room);
        let stop = Arc::new(AtomicBool::new(false));
        let (go, started) = sync::channel();
        if closed_loop {
            let stop = Arc::clone(&stop);
            named("bench-plan").spawn(move || {
                for job in plan {
                    if stop.load(Ordering::Relaxed) || !give.give(job) {
                        break;
                    }
                }
            })?;
        } else {
            let (made, to_pace) = sync::sync_channel(ahead);
            named("bench-plan").spawn(move || {
                for job in plan {
                    if made.send(job).is_err() {
                        break;
                    }
                }
            })?;
            named("bench-pace").spawn(move || pace(&to_pace, timing, &give, &started, clock))?;
        }
        let feed = Arc::new(Self {
            jobs,
            starved: AtomicU64::new(0),
            stop: Arc::clone(&stop),
            closed_loop,
        });
        let go = Some(go);
        Ok((feed, Source { go, stop }))
    }

    /// The next job; `None` when there are no more.
    pub(crate) async fn next(&self) -> Option<Job> {
        let on_wait = || {
            let starved = self.closed_loop && !self.stop.load(Ordering::Relaxed);
            self.starved
                .fetch_add(u64::from(starved), Ordering::Relaxed);
        };
        self.jobs.take(on_wait).await
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.jobs.abandon();
    }
}

impl Source {
    /// The load begins now.
    pub(crate) fn go(&self, now: u64) {
        if let Some(go) = &self.go {
            // In a closed loop nobody waits for it.
            let _ = go.send(Some(now));
        }
    }

    /// No more jobs.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.go = None;
    }
}

/// Waits on a channel instead of sleeping, so that it can be stopped; both end by a timer of the
/// kernel, some 50 microseconds late. Tokio's timers have a millisecond's grain.
fn pace(
    jobs: &sync::Receiver<Job>,
    timing: Timing,
    give: &Giver<Job>,
    go: &sync::Receiver<Option<u64>>,
    clock: Clock,
) {
    let Ok(Some(start)) = go.recv() else { return };
    let mut times = match timing {
        Timing::At(times) => Some(times),
        Timing::AtOnce | Timing::Own => None,
    };
    while let Ok(mut job) = jobs.recv() {
        let offset = match (&mut times, job.scheduled_ns) {
            (Some(times), None) => match times.next() {
                // A time beyond all durations never comes.
                Some(seconds) => {
                    nanos(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
                }
                None => return,
            },
            (_, own) => own.unwrap_or(0),
        };
        let at = start.saturating_add(offset);
        job.scheduled_ns = Some(at);
        let wait = clock.until(at);
        if let Ok(_) | Err(sync::RecvTimeoutError::Disconnected) = go.recv_timeout(wait) {
            return;
        }
        if !give.give(job) {
            return;
        }
    }
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

/// Jobs that may be due and wait for a slot; beyond it the pace itself is held up, which shows in
/// the dispatch being late.
const BACKLOG: usize = 1 << 20;
