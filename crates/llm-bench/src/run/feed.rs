//! Passes jobs from the plan to the slots. One thread prepares requests ahead of time. In an open
//! loop, another thread hands them out on schedule and does nothing else.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc as sync;
use std::thread;
use std::time::Duration;

use crate::clock::{Clock, nanos};
use crate::job::Job;
use crate::run::queue::{Producer, Queue};

/// Jobs in the order of the plan; those of an open loop have start times.
pub(crate) type Plan = Box<dyn Iterator<Item = Job> + Send>;

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
    /// How often a slot waited because the next request was not ready.
    pub(crate) starved: AtomicU64,
    /// Whether no more jobs are prepared.
    stop: Arc<AtomicBool>,
    closed_loop: bool,
}

/// Controls the threads behind a feed; they end when it is dropped.
#[derive(Debug)]
pub(crate) struct FeedHandle {
    go: Option<sync::Sender<Option<u64>>>,
    stop: Arc<AtomicBool>,
}

impl Feed {
    /// Starts to prepare requests: `ahead` of them in advance, but at most `max`.
    pub(crate) fn start(
        plan: Plan,
        timing: Timing,
        ahead: usize,
        max: usize,
        clock: Clock,
    ) -> io::Result<(Arc<Self>, FeedHandle)> {
        let closed_loop = matches!(timing, Timing::Immediate);
        let ahead = ahead.min(max).max(1);
        // In an open loop a request is handed out when it is due, whether or not a slot is free.
        let room = if closed_loop { ahead } else { BACKLOG.min(max) };
        let (give, jobs) = Queue::new(room);
        let stop = Arc::new(AtomicBool::new(false));
        let (go, started) = sync::channel();
        if closed_loop {
            let stop = Arc::clone(&stop);
            named("bench-plan").spawn(move || {
                for job in plan {
                    if stop.load(Ordering::Relaxed) || !give.push(job) {
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
        Ok((feed, FeedHandle { go, stop }))
    }

    /// The next job; `None` at the end.
    pub(crate) async fn next(&self) -> Option<Job> {
        let on_wait = || {
            let starved = self.closed_loop && !self.stop.load(Ordering::Relaxed);
            self.starved
                .fetch_add(u64::from(starved), Ordering::Relaxed);
        };
        self.jobs.pop(on_wait).await
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.jobs.close();
    }
}

impl FeedHandle {
    /// Starts the load.
    pub(crate) fn start_load(&self, now: u64) {
        if let Some(go) = &self.go {
            // In a closed loop nothing waits for it.
            let _ = go.send(Some(now));
        }
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
    jobs: &sync::Receiver<Job>,
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
    while let Ok(mut job) = jobs.recv() {
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

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

/// The most due jobs that wait for a slot. Beyond it, the schedule itself is delayed, which shows
/// in the dispatch delay.
const BACKLOG: usize = 1 << 20;
