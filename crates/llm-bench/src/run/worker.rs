//! A measuring thread: it holds connections and sends requests.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};

use crate::client::{Connector, Pool};
use crate::clock::Clock;
use crate::executor::{Executor, RawRecord};
use crate::experiment::Stall;
use crate::job::Job;
use crate::mix::Mix;
use crate::record::{Outcome, Side};
use crate::request::PreparedRequest;
use crate::run::feed::Feed;
use crate::run::health::watch_thread;
use crate::target::ServerTarget;
use crate::tokens::Tokenizer;

/// The parameters of a worker; each worker has a copy.
#[derive(Clone, Debug)]
pub(crate) struct WorkerConfig {
    pub(crate) clock: Clock,
    pub(crate) targets: (Mix<ServerTarget>, Option<ServerTarget>),
    pub(crate) model: String,
    pub(crate) connector: Connector,
    pub(crate) new_connections: bool,
    pub(crate) timeout: Duration,
    pub(crate) poll_interval: Duration,
    pub(crate) cold_after: Duration,
    pub(crate) rate_limit_retries: u32,
    pub(crate) tokenizer: Option<Tokenizer>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) state: Arc<RunState>,
    pub(crate) events: mpsc::UnboundedSender<WorkerEvent>,
}

/// The state of a run that all workers share.
#[derive(Debug)]
pub(crate) struct RunState {
    /// Becomes true when the load begins.
    pub(crate) go: watch::Sender<bool>,
    /// Becomes true when no more requests may start.
    pub(crate) stop: AtomicBool,
    /// Becomes true when running requests must be cancelled.
    pub(crate) cancel: watch::Sender<bool>,
    /// The number of running requests.
    pub(crate) in_flight: AtomicUsize,
}

impl RunState {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            go: watch::Sender::new(false),
            stop: AtomicBool::new(false),
            cancel: watch::Sender::new(false),
            in_flight: AtomicUsize::new(0),
        })
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A worker's share of the load.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slots {
    /// A fixed number of slots; each starts `ramp` after the one before.
    Fixed {
        /// The numbers of this worker's slots.
        first: u32,
        /// The step between this worker's slots.
        step: u32,
        /// The number of slots of all workers.
        all: u32,
        /// The delay between the starts of two slots.
        ramp: Duration,
    },
    /// A slot per job; this many connections are opened ahead.
    Unbounded { ahead: usize },
}

/// An event of a worker.
#[derive(Debug)]
pub(crate) enum WorkerEvent {
    /// Its connections are open.
    Ready,
    /// A request has ended.
    Done(Box<RawRecord>),
    /// The thread did not run for a while.
    Stalled(Stall),
}

impl WorkerConfig {
    pub(crate) fn start(self, number: u32, slots: Slots) -> io::Result<JoinHandle<()>> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::Builder::new()
            .name(format!("bench-{number}"))
            .spawn(move || LocalSet::new().block_on(&runtime, self.run(slots)))
    }

    async fn run(self, slots: Slots) {
        let pool = Pool::new(self.connector.clone(), self.new_connections);
        let worker = Rc::new(Worker {
            executor: Executor {
                clock: self.clock,
                targets: self.targets,
                model: self.model,
                pool: pool.into(),
                timeout: self.timeout,
                poll_interval: self.poll_interval,
                cold_after: self.cold_after,
                rate_limit_retries: self.rate_limit_retries,
                keep_text: self.tokenizer.is_some(),
                cancel: self.state.cancel.subscribe(),
            },
            feed: self.feed,
            state: self.state,
            events: self.events,
            swapped: Cell::new(false),
        });
        let stalled = worker.events.clone();
        let watching = tokio::task::spawn_local(watch_thread(self.clock, move |stall| {
            let _ = stalled.send(WorkerEvent::Stalled(stall));
        }));
        let connections = match slots {
            Slots::Fixed {
                first, step, all, ..
            } => all.saturating_sub(first).div_ceil(step) as usize,
            Slots::Unbounded { ahead } => ahead,
        };
        if !self.new_connections {
            worker.open_ahead(connections).await;
        }
        // If the runner is gone, no event is needed; the feed ends, too.
        let _ = worker.events.send(WorkerEvent::Ready);
        let mut go = worker.state.go.subscribe();
        if go.wait_for(|open| *open).await.is_err() {
            return;
        }
        match slots {
            Slots::Fixed {
                first,
                step,
                all,
                ramp,
            } => {
                let mut running = JoinSet::new();
                for number in (first..all).step_by(step as usize) {
                    let worker = Rc::clone(&worker);
                    running.spawn_local(async move {
                        tokio::time::sleep(ramp * number).await;
                        while let Some(job) = worker.feed.next().await {
                            worker.job(job).await;
                        }
                    });
                }
                while running.join_next().await.is_some() {}
            }
            Slots::Unbounded { .. } => {
                let mut running = JoinSet::new();
                while let Some(job) = worker.feed.next().await {
                    let worker = Rc::clone(&worker);
                    running.spawn_local(async move { worker.job(job).await });
                    while running.try_join_next().is_some() {}
                }
                while running.join_next().await.is_some() {}
            }
        }
        watching.abort();
    }
}

/// The state of a worker, shared by its slots.
pub(super) struct Worker {
    pub(super) executor: Executor,
    pub(super) feed: Arc<Feed>,
    pub(super) state: Arc<RunState>,
    events: mpsc::UnboundedSender<WorkerEvent>,
    /// The order of the two targets alternates from pair to pair, so that neither has an advantage.
    swapped: Cell<bool>,
}

impl Worker {
    async fn open_ahead(&self, connections: usize) {
        let origins = self.executor.origins();
        let opening = origins
            .iter()
            .flat_map(|origin| (0..connections.div_ceil(BATCH)).map(move |batch| (origin, batch)));
        for (origin, batch) in opening {
            let count = BATCH.min(connections - batch * BATCH);
            let all = (0..count).map(|_| self.executor.open_ahead(origin));
            // Requests open missing connections and report failures.
            let _ = tokio::time::timeout(OPEN_TIMEOUT, futures_util::future::join_all(all)).await;
            if self.executor.pool.borrow().is_empty() {
                return;
            }
        }
    }

    async fn job(self: &Rc<Self>, mut job: Job) {
        if self.state.is_stopped() {
            // A job of an open loop was due, so it is recorded. One of a closed loop was not.
            if job.scheduled_ns.is_some() {
                self.record_unstarted(&job);
            }
            return;
        }
        if let Some(agent) = job.agent.take() {
            return self.agent_job(agent, job.first, job.scheduled_ns).await;
        }
        let mut id = job.id;
        let mut request = job.first;
        let mut conversation = job.conversation;
        let mut scheduled = job.scheduled_ns;
        loop {
            let keep_text = conversation.is_some();
            let answer = self.pair(id, &request, scheduled, keep_text).await;
            let next = conversation
                .as_mut()
                .zip(answer)
                .and_then(|(conversation, text)| conversation.next(&text));
            match next {
                Some(next) if !self.state.is_stopped() => request = next,
                _ => return,
            }
            id += 1;
            scheduled = None;
        }
    }

    /// Sends a request, to both targets if there are two; returns the text from the subject.
    async fn pair(
        &self,
        id: u64,
        request: &PreparedRequest,
        scheduled: Option<u64>,
        keep_text: bool,
    ) -> Option<String> {
        let mut answer = None;
        for (place, side) in self.sides().into_iter().enumerate() {
            // The second request of a pair waits for the first: that is not a delay.
            let scheduled = scheduled.filter(|_| place == 0);
            let sent = self.send(id, request, side, scheduled, keep_text).await;
            if side == Side::Subject {
                answer = sent.text;
            }
        }
        answer
    }

    /// The targets in the order in which they are used next.
    pub(super) fn sides(&self) -> Vec<Side> {
        let both = [Side::Subject, Side::Against];
        match self.executor.targets.1 {
            None => vec![Side::Subject],
            Some(_) if self.swapped.replace(!self.swapped.get()) => {
                both.into_iter().rev().collect()
            }
            Some(_) => both.to_vec(),
        }
    }

    /// Sends a request to one target and records it.
    pub(super) async fn send(
        &self,
        id: u64,
        request: &PreparedRequest,
        side: Side,
        scheduled: Option<u64>,
        keep_text: bool,
    ) -> Answer {
        let _counted = InFlightGuard::new(&self.state.in_flight);
        let raw = self
            .executor
            .execute(id, request, side, scheduled, keep_text)
            .await;
        let answer = Answer {
            end_ns: raw.record.end_ns,
            text: match keep_text && raw.record.is_ok() {
                true => raw.text.clone(),
                false => None,
            },
        };
        self.send_record(raw);
        answer
    }

    fn record_unstarted(&self, job: &Job) {
        let mut raw = RawRecord::new(job.id, &job.first);
        raw.record.scheduled_ns = job.scheduled_ns;
        raw.record.dispatched_ns = self.executor.clock.now();
        raw.record.end_ns = raw.record.dispatched_ns;
        raw.record.outcome = Outcome::Cancelled;
        self.send_record(raw);
    }

    fn send_record(&self, raw: RawRecord) {
        // The receiver is gone only if the runner was dropped.
        let _ = self.events.send(WorkerEvent::Done(Box::new(raw)));
    }
}

/// The response to a request.
pub(super) struct Answer {
    pub(super) end_ns: u64,
    /// The text, if it was kept and is complete.
    pub(super) text: Option<String>,
}

/// Counts a request while it runs.
struct InFlightGuard<'a>(&'a AtomicUsize);

impl<'a> InFlightGuard<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connections opened at a time: more would overflow the accept backlog of common servers.
const BATCH: usize = 64;

const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
