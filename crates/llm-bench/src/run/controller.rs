use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::experiment::{RunEnd, RunLimits, Stall};
use crate::load::Load;
use crate::record::{FailureKind, Outcome, RequestRecord};
use crate::run::feed::FeedHandle;
use crate::run::runner::{Interrupts, Observer, RunProgress};
use crate::run::saturation::Backlog;
use crate::run::settings::RunSettings;
use crate::run::worker::{RunState, WorkerEvent};

/// Controls a run: decides when it stops, and why.
pub(super) struct Controller<'a> {
    settings: &'a RunSettings,
    limits: RunLimits,
    budget: Option<f64>,
    interrupts: Interrupts,
    state: &'a RunState,
    source: &'a mut FeedHandle,
    spent: f64,
    /// The number of requests, counted from the first, that failed for a lasting reason.
    lasting_failures: usize,
    /// The number of failed requests.
    errors: u64,
    max_lasting_failures: usize,
    end: Option<RunEnd>,
    open: bool,
}

impl<'a> Controller<'a> {
    pub(super) fn new(
        settings: &'a RunSettings,
        load: &Load,
        limits: RunLimits,
        budget: Option<f64>,
        interrupts: Interrupts,
        state: &'a RunState,
        source: &'a mut FeedHandle,
    ) -> Self {
        Self {
            settings,
            limits,
            budget,
            interrupts,
            state,
            source,
            spent: 0.0,
            lasting_failures: 0,
            errors: 0,
            max_lasting_failures: MIN_LASTING_FAILURES.max(2 * load.concurrency() as usize),
            end: None,
            open: !matches!(load, Load::Concurrency { .. }),
        }
    }

    /// Processes the events of the workers until the last of them ends; returns why the run ended.
    pub(super) async fn follow(
        mut self,
        events: &mut mpsc::UnboundedReceiver<WorkerEvent>,
        observer: &mut dyn Observer,
        records: &mut Vec<RequestRecord>,
        stalls: &mut Vec<Stall>,
    ) -> RunEnd {
        let start = Instant::now();
        let time = Duration::try_from_secs_f64(self.limits.max_seconds).unwrap_or(FOREVER);
        let mut deadline = start + time.min(FOREVER);
        let mut ticks = tokio::time::interval(TICK);
        let mut backlog = Backlog::default();
        let mut tick = 0_u32;
        let mut pressed = 0;
        let mut interrupts = self.interrupts.clone();
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(WorkerEvent::Done(raw)) => {
                        let record = raw.finish(self.settings.tokenizer.as_ref());
                        observer.record(&record);
                        if let Some(end) = self.end_after(&record, records.len()) {
                            deadline = self.stop(end);
                        }
                        records.push(record);
                    }
                    Some(WorkerEvent::Stalled(stall)) => stalls.push(stall),
                    Some(WorkerEvent::Ready) => {}
                    None => break,
                },
                () = tokio::time::sleep_until(deadline) => {
                    if self.end.is_none() {
                        deadline = self.stop(RunEnd::Time);
                    } else {
                        self.state.cancel.send_replace(true);
                        deadline = Instant::now() + FOREVER;
                    }
                }
                count = next_interrupt(&mut interrupts, pressed) => {
                    pressed = count;
                    if count > 1 {
                        self.state.cancel.send_replace(true);
                    }
                    deadline = deadline.min(self.stop(RunEnd::Interrupted));
                }
                _ = ticks.tick() => {
                    let in_flight = self.state.in_flight.load(Ordering::Relaxed);
                    observer.tick(&RunProgress {
                        elapsed: start.elapsed(),
                        in_flight,
                        done: records.len() as u64,
                        stopping: self.end.is_some(),
                    });
                    tick += 1;
                    if self.open && self.settings.stop_on_saturation && tick.is_multiple_of(TICKS_PER_SECOND) {
                        backlog.note(in_flight + self.source.waiting());
                        if self.end.is_none() && backlog.is_growing() {
                            deadline = self.stop(RunEnd::Saturated);
                        }
                    }
                }
            }
        }
        self.end.unwrap_or_default()
    }

    /// Starts no more requests; returns when running requests will be cancelled.
    fn stop(&mut self, end: RunEnd) -> Instant {
        if self.end.is_none() {
            self.end = Some(end);
            self.state.stop.store(true, Ordering::Relaxed);
            self.source.stop();
        }
        Instant::now() + self.settings.drain.min(FOREVER)
    }

    /// Whether the requests in flight would cost more than is left of a budget, if they cost as much as
    /// those before them. The next request of a slot that has just become free is one of them.
    fn would_exceed(&self, budget: f64, ended: usize) -> bool {
        let mean = self.spent / ended.max(1) as f64;
        let in_flight = self.state.in_flight.load(Ordering::Relaxed).max(1);
        self.spent + mean * in_flight as f64 > budget
    }

    /// Whether a record ends the run.
    fn end_after(&mut self, record: &RequestRecord, so_far: usize) -> Option<RunEnd> {
        if self.end.is_some() {
            return None;
        }
        if let Some((input, output)) = self.settings.price_per_million {
            let tokens = &record.tokens;
            self.spent += (tokens.input as f64 * input + tokens.output as f64 * output) / 1e6;
        }
        if self
            .budget
            .is_some_and(|budget| self.would_exceed(budget, so_far + 1))
        {
            return Some(RunEnd::Cost);
        }
        self.errors += u64::from(matches!(record.outcome, Outcome::Failed(_)));
        if self.limits.max_errors.is_some_and(|max| self.errors >= max) {
            return Some(RunEnd::Errors);
        }
        if self.lasting_failures == so_far && is_lasting(record) {
            self.lasting_failures += 1;
        }
        (self.lasting_failures >= self.max_lasting_failures).then_some(RunEnd::Failing)
    }
}

async fn next_interrupt(interrupts: &mut Interrupts, pressed: u32) -> u32 {
    let count = interrupts.wait_for(|count| *count > pressed).await;
    // The guard of the value is not `Send`: it must not last until the next await.
    match count.map(|count| *count) {
        Ok(count) => count,
        // The interrupting side is gone.
        Err(_) => std::future::pending().await,
    }
}

/// A failure that the next request will have, too.
fn is_lasting(record: &RequestRecord) -> bool {
    let Outcome::Failed(failure) = &record.outcome else {
        return false;
    };
    match failure.kind {
        FailureKind::Connect | FailureKind::Dns | FailureKind::Tls => true,
        FailureKind::HttpStatus => matches!(record.http_status, Some(400..=405 | 422)),
        _ => false,
    }
}

/// The fewest lasting failures that end a run.
const MIN_LASTING_FAILURES: usize = 20;

const TICK: Duration = Duration::from_millis(100);

const TICKS_PER_SECOND: u32 = 10;

/// Within the range of timers.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
