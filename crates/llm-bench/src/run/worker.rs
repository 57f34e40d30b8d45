//! A measuring thread: it holds connections, performs requests, and does little else.

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
use crate::experiment::Stall;
use crate::job::Job;
use crate::perform::{Performer, Raw};
use crate::record::{Outcome, Side};
use crate::run::feed::Feed;
use crate::run::health::watch_from_within;
use crate::target::ServerTarget;
use crate::tokens::Tokenizer;

/// What a worker needs to know; each gets a copy.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) clock: Clock,
    pub(crate) targets: (ServerTarget, Option<ServerTarget>),
    pub(crate) model: String,
    pub(crate) connector: Connector,
    pub(crate) new_connections: bool,
    pub(crate) timeout: Duration,
    pub(crate) poll_interval: Duration,
    pub(crate) cold_after: Duration,
    pub(crate) tokenizer: Option<Tokenizer>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) events: mpsc::UnboundedSender<Event>,
}

/// What all workers of a run look at.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Opens when the load begins.
    pub(crate) go: watch::Sender<bool>,
    /// No more requests are to be started.
    pub(crate) stop: AtomicBool,
    /// Requests under way are to be given up.
    pub(crate) give_up: watch::Sender<bool>,
    /// Requests under way.
    pub(crate) in_flight: AtomicUsize,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            go: watch::Sender::new(false),
            stop: AtomicBool::new(false),
            give_up: watch::Sender::new(false),
            in_flight: AtomicUsize::new(0),
        })
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// How a worker shares in the load.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slots {
    /// So many requests at a time, each slot beginning `ramp` after the one before.
    Fixed {
        /// The numbers of this worker's slots.
        first: u32,
        /// Every so many-th slot is this worker's.
        step: u32,
        /// How many slots there are on all workers.
        all: u32,
        /// Between the beginnings of two slots.
        ramp: Duration,
    },
    /// As many as there are jobs; so many connections are opened ahead.
    Unbounded { ahead: usize },
}

/// What a worker tells.
#[derive(Debug)]
pub(crate) enum Event {
    /// Its connections are open.
    Ready,
    /// A request is over.
    Done(Box<Raw>),
    /// It did not get to run.
    Stalled(Stall),
}

impl Work {
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
            performer: Performer {
                clock: self.clock,
                targets: self.targets,
                model: self.model,
                pool: pool.into(),
                timeout: self.timeout,
                poll_interval: self.poll_interval,
                cold_after: self.cold_after,
                keep_text: self.tokenizer.is_some(),
                give_up: self.gate.give_up.subscribe(),
            },
            feed: self.feed,
            gate: self.gate,
            events: self.events,
            swapped: Cell::new(false),
        });
        let stalled = worker.events.clone();
        let watching = tokio::task::spawn_local(watch_from_within(self.clock, move |stall| {
            let _ = stalled.send(Event::Stalled(stall));
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
        // A runner that is gone wants nothing any more; the feed ends as well.
        let _ = worker.events.send(Event::Ready);
        let mut go = worker.gate.go.subscribe();
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
struct Worker {
    performer: Performer,
    feed: Arc<Feed>,
    gate: Arc<Gate>,
    events: mpsc::UnboundedSender<Event>,
    /// Which of two targets comes first changes with every pair, so that neither gains by it.
    swapped: Cell<bool>,
}

impl Worker {
    async fn open_ahead(&self, connections: usize) {
        let sides: &[Side] = match self.performer.targets.1 {
            Some(_) => &[Side::Subject, Side::Against],
            None => &[Side::Subject],
        };
        let opening = sides
            .iter()
            .flat_map(|side| (0..connections.div_ceil(BATCH)).map(move |batch| (*side, batch)));
        for (side, batch) in opening {
            let count = BATCH.min(connections - batch * BATCH);
            let all = (0..count).map(|_| self.performer.open_ahead(side));
            // Requests open what is missing, and tell why that fails.
            let _ = tokio::time::timeout(OPEN_WITHIN, futures_util::future::join_all(all)).await;
            if self.performer.pool.borrow().is_empty() {
                return;
            }
        }
    }

    async fn job(&self, job: Job) {
        if self.gate.is_stopped() {
            // In a closed loop nobody asked for it; in an open loop it was due, and counts.
            if job.scheduled_ns.is_some() {
                self.never_began(&job);
            }
            return;
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
                .and_then(|(conversation, text)| conversation.answered(&text));
            match next {
                Some(next) if !self.gate.is_stopped() => request = next,
                _ => return,
            }
            id += 1;
            scheduled = None;
        }
    }

    /// Performs a request, on both targets if there are two; returns the subject's answer.
    async fn pair(
        &self,
        id: u64,
        request: &crate::request::Prepared,
        scheduled: Option<u64>,
        keep_text: bool,
    ) -> Option<String> {
        let both = [Side::Subject, Side::Against];
        let sides: Vec<Side> = match self.performer.targets.1 {
            None => vec![Side::Subject],
            Some(_) if self.swapped.replace(!self.swapped.get()) => {
                both.into_iter().rev().collect()
            }
            Some(_) => both.to_vec(),
        };
        let mut answer = None;
        for (place, side) in sides.into_iter().enumerate() {
            // The second of a pair is not late: it waits for the first.
            let scheduled = scheduled.filter(|_| place == 0);
            let _counted = InFlight::new(&self.gate.in_flight);
            let raw = self
                .performer
                .perform(id, request, side, scheduled, keep_text)
                .await;
            if side == Side::Subject && raw.record.is_ok() {
                answer.clone_from(&raw.text);
            }
            self.tell(raw);
        }
        answer
    }

    fn never_began(&self, job: &Job) {
        let mut raw = Raw::new(job.id, &job.first);
        raw.record.scheduled_ns = job.scheduled_ns;
        raw.record.dispatched_ns = self.performer.clock.now();
        raw.record.end_ns = raw.record.dispatched_ns;
        raw.record.outcome = Outcome::Cancelled;
        self.tell(raw);
    }

    fn tell(&self, raw: Raw) {
        // Only a runner that was dropped does not listen.
        let _ = self.events.send(Event::Done(Box::new(raw)));
    }
}

/// Counts a request as long as it runs, however it ends.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connections that are opened at a time: more would overflow the backlog of common servers.
const BATCH: usize = 64;

const OPEN_WITHIN: Duration = Duration::from_secs(5);
