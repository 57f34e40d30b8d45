//! Passes jobs from the plan to the slots. Other threads prepare requests ahead of time. In an open
//! loop, one more thread hands them out on schedule and does nothing else.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc as sync;
use std::thread;
use std::time::Duration;

use crate::clock::{Clock, nanos};
use crate::job::Job;
use crate::run::prepare::{self, Plan, Preparation};
use crate::run::queue::{Producer, Queue};

/// When jobs are handed out.
pub(crate) enum Timing {
    /// As soon as a slot is free.
    Immediate,
    /// At these times, in seconds from the start; jobs with their own time keep it.
    At(Box<dyn Iterator<Item = f64> + Send>),
    /// At the jobs' own times.
    PerJob,
}

/// The queue from which slots on any thread take jobs.
#[derive(Debug)]
pub(crate) struct Feed {
    jobs: Arc<Queue<Job>>,
    clock: Clock,
    /// When the load began.
    begun: AtomicU64,
    /// How often a slot waited because the next request was not ready.
    pub(crate) starved: AtomicU64,
    /// How long slots waited for that reason, in nanoseconds.
    pub(crate) lost_ns: AtomicU64,
    /// Whether no more jobs are prepared.
    stop: Arc<AtomicBool>,
    closed_loop: bool,
}

/// Controls the threads behind a feed; they end when it is dropped.
#[derive(Debug)]
pub(crate) struct FeedHandle {
    go: Option<sync::Sender<Option<u64>>>,
    stop: Arc<AtomicBool>,
    /// The jobs of an open loop that are due.
    due: Option<Arc<Queue<Job>>>,
}

impl Feed {
    /// Starts to prepare requests on `threads`: at most `room` of them in advance.
    pub(crate) fn start(
        plan: Plan,
        timing: Timing,
        room: usize,
        threads: usize,
        clock: Clock,
    ) -> io::Result<(Arc<Self>, FeedHandle, Preparation)> {
        let closed_loop = matches!(timing, Timing::Immediate);
        let room = room.max(1);
        let (give, prepared) = Queue::new(room);
        let stop = Arc::new(AtomicBool::new(false));
        let (go, started) = sync::channel();
        let preparation = prepare::start(plan, threads.max(1), room, give, Arc::clone(&stop))?;
        let jobs = if closed_loop {
            prepared
        } else {
            // A request is handed out when it is due, whether or not a slot is free.
            let (give, due) = Queue::new(BACKLOG.min(room));
            let thread = thread::Builder::new().name("bench-pace".to_owned());
            thread.spawn(move || {
                pace(&prepared, timing, &give, &started, clock);
                prepared.close();
            })?;
            due
        };
        let feed = Arc::new(Self {
            jobs,
            clock,
            begun: AtomicU64::new(u64::MAX),
            starved: AtomicU64::new(0),
            lost_ns: AtomicU64::new(0),
            stop: Arc::clone(&stop),
            closed_loop,
        });
        let handle = FeedHandle {
            go: Some(go),
            stop,
            due: (!closed_loop).then(|| Arc::clone(&feed.jobs)),
        };
        Ok((feed, handle, preparation))
    }

    /// Starts the load.
    pub(crate) fn start_load(&self, handle: &FeedHandle, now: u64) {
        self.begun.store(now, Ordering::Relaxed);
        if let Some(go) = &handle.go {
            // In a closed loop nothing waits for it.
            let _ = go.send(Some(now));
        }
    }

    /// When the load began.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// The next job; `None` at the end.
    pub(crate) async fn next(&self) -> Option<Job> {
        let mut free = None;
        let job = self.jobs.pop(|| free = Some(self.clock.now())).await;
        // A slot that waits for the end of the run has lost nothing.
        if let Some(free) = free.filter(|_| self.closed_loop && job.is_some()) {
            let from = self.begun.load(Ordering::Relaxed).saturating_add(GRACE_NS);
            if free >= from && !self.stop.load(Ordering::Relaxed) {
                self.starved.fetch_add(1, Ordering::Relaxed);
                let lost = self.clock.now().saturating_sub(free);
                self.lost_ns.fetch_add(lost, Ordering::Relaxed);
            }
        }
        job
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.jobs.close();
    }
}

impl FeedHandle {
    /// The number of jobs of an open loop that are due and wait for a slot.
    pub(crate) fn waiting(&self) -> usize {
        self.due.as_ref().map_or(0, |due| due.len())
    }

    /// Hands out no more jobs.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.go = None;
    }
}

/// Waits on a channel instead of sleeping, so that it can be stopped. Both use a kernel timer and
/// are about 50 microseconds late; tokio's timers have a granularity of a millisecond.
fn pace(
    jobs: &Queue<Job>,
    timing: Timing,
    give: &Producer<Job>,
    go: &sync::Receiver<Option<u64>>,
    clock: Clock,
) {
    let Ok(Some(start)) = go.recv() else { return };
    let mut times = match timing {
        Timing::At(times) => Some(times),
        Timing::Immediate | Timing::PerJob => None,
    };
    while let Some(mut job) = jobs.pop_blocking() {
        let offset = match (&mut times, job.scheduled_ns) {
            (Some(times), None) => match times.next() {
                // A time beyond the range of `Duration` is never reached.
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
        if !give.push(job) {
            return;
        }
    }
}

/// The most due jobs that wait for a slot. Beyond it, the schedule itself is delayed, which shows
/// in the dispatch delay.
const BACKLOG: usize = 1 << 20;

/// The time in which the first requests start; waiting in it is not lost.
const GRACE_NS: u64 = 8_000_000;
