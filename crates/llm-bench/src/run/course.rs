use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::experiment::{Load, RunEnd, RunLimits, Stall};
use crate::record::{FailureKind, Outcome, RequestRecord};
use crate::run::feed::Source;
use crate::run::runner::{Interrupts, Observer, RunProgress};
use crate::run::saturation::Backlog;
use crate::run::settings::RunSettings;
use crate::run::worker::{Event, Gate};

/// A run under way: when it stops, and why.
pub(super) struct Course<'a> {
    settings: &'a RunSettings,
    limits: RunLimits,
    budget: Option<f64>,
    interrupts: Interrupts,
    gate: &'a Gate,
    source: &'a mut Source,
    spent: f64,
    /// How many failed from the beginning on, for reasons that will not go away.
    hopeless: usize,
    hopeless_after: usize,
    end: Option<RunEnd>,
    open: bool,
}

impl<'a> Course<'a> {
    pub(super) fn new(
        settings: &'a RunSettings,
        load: &Load,
        limits: RunLimits,
        budget: Option<f64>,
        interrupts: Interrupts,
        gate: &'a Gate,
        source: &'a mut Source,
    ) -> Self {
        Self {
            settings,
            limits,
            budget,
            interrupts,
            gate,
            source,
            spent: 0.0,
            hopeless: 0,
            hopeless_after: FEWEST_HOPELESS.max(2 * load.concurrency() as usize),
            end: None,
            open: !matches!(load, Load::Concurrency { .. }),
        }
    }

    /// Hears what the workers tell until the last of them is done; how it ended.
    pub(super) async fn follow(
        mut self,
        told: &mut mpsc::UnboundedReceiver<Event>,
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
                event = told.recv() => match event {
                    Some(Event::Done(raw)) => {
                        let record = raw.finish(self.settings.tokenizer.as_ref());
                        observer.record(&record);
                        if let Some(end) = self.judge(&record, records.len()) {
                            deadline = self.stop(end);
                        }
                        records.push(record);
                    }
                    Some(Event::Stalled(stall)) => stalls.push(stall),
                    Some(Event::Ready) => {}
                    None => break,
                },
                () = tokio::time::sleep_until(deadline) => {
                    if self.end.is_none() {
                        deadline = self.stop(RunEnd::Time);
                    } else {
                        self.gate.give_up.send_replace(true);
                        deadline = Instant::now() + FOREVER;
                    }
                }
                count = pressed_again(&mut interrupts, pressed) => {
                    pressed = count;
                    if count > 1 {
                        self.gate.give_up.send_replace(true);
                    }
                    deadline = deadline.min(self.stop(RunEnd::Interrupted));
                }
                _ = ticks.tick() => {
                    let in_flight = self.gate.in_flight.load(Ordering::Relaxed);
                    observer.tick(&RunProgress {
                        elapsed: start.elapsed(),
                        in_flight,
                        done: records.len() as u64,
                        stopping: self.end.is_some(),
                    });
                    tick += 1;
                    if self.open && self.settings.stop_on_saturation && tick.is_multiple_of(TICKS_OF_A_SECOND) {
                        backlog.note(in_flight);
                        if self.end.is_none() && backlog.is_growing() {
                            deadline = self.stop(RunEnd::Saturated);
                        }
                    }
                }
            }
        }
        self.end.unwrap_or_default()
    }

    /// Starts no more requests; returns when those under way are given up.
    fn stop(&mut self, end: RunEnd) -> Instant {
        if self.end.is_none() {
            self.end = Some(end);
            self.gate.stop.store(true, Ordering::Relaxed);
            self.source.stop();
        }
        Instant::now() + self.settings.drain.min(FOREVER)
    }

    /// Whether a record ends the run.
    fn judge(&mut self, record: &RequestRecord, so_far: usize) -> Option<RunEnd> {
        if self.end.is_some() {
            return None;
        }
        if let Some((input, output)) = self.settings.price_per_million {
            let tokens = &record.tokens;
            self.spent += (tokens.input as f64 * input + tokens.output as f64 * output) / 1e6;
        }
        if self.budget.is_some_and(|budget| self.spent >= budget) {
            return Some(RunEnd::Cost);
        }
        if self.hopeless == so_far && is_hopeless(record) {
            self.hopeless += 1;
        }
        (self.hopeless >= self.hopeless_after).then_some(RunEnd::Failing)
    }
}

async fn pressed_again(interrupts: &mut Interrupts, pressed: u32) -> u32 {
    let count = interrupts.wait_for(|count| *count > pressed).await;
    // The guard of the value is not `Send`: it must not last until the next await.
    match count.map(|count| *count) {
        Ok(count) => count,
        // Nobody is left who could press it.
        Err(_) => std::future::pending().await,
    }
}

/// A failure that the next request will have as well.
fn is_hopeless(record: &RequestRecord) -> bool {
    let Outcome::Failed(failure) = &record.outcome else {
        return false;
    };
    match failure.kind {
        FailureKind::Connect | FailureKind::Dns | FailureKind::Tls => true,
        FailureKind::HttpStatus => matches!(record.http_status, Some(400..=405 | 422)),
        _ => false,
    }
}

/// Requests that have to fail before a run is given up.
const FEWEST_HOPELESS: usize = 20;

const TICK: Duration = Duration::from_millis(100);

const TICKS_OF_A_SECOND: u32 = 10;

/// Longer than anybody waits, and still within the reach of timers.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
