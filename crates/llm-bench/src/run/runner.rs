use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::client::Connector;
use crate::clock::Clock;
use crate::error::Error;
use crate::experiment::{ClientHealth, Limits, Load, Run, RunEnd};
use crate::record::{FailureKind, Outcome, Phase, RequestRecord};
use crate::run::feed::{Feed, Plan, Source, Timing};
use crate::run::health::{Watch, cpu_seconds, mark};
use crate::run::saturation::Backlog;
use crate::run::worker::{Event, Gate, Slots, Work};
use crate::target::Target;
use crate::tokens::Tokenizer;

/// What all runs of an experiment have in common.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where requests go.
    pub target: Target,
    /// A second target that gets every request too.
    pub against: Option<Target>,
    /// The model asked for.
    pub model: String,
    /// Opens a connection for every request, and counts that as part of it.
    pub new_connections: bool,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long requests under way may take to finish when a run ends.
    pub drain: Duration,
    /// Between two looks at a Replicate prediction that has no stream.
    pub poll_interval: Duration,
    /// A Replicate prediction that waits longer than this to start counts as cold.
    pub cold_after: Duration,
    /// Threads that measure; `None` chooses by the load and the machine.
    pub threads: Option<u32>,
    /// How long it takes until all slots of a closed loop are at work.
    pub ramp_up: Duration,
    /// Ends a run of an open loop when more comes in than goes out.
    pub stop_on_saturation: bool,
    /// Counts tokens where the server does not.
    pub tokenizer: Option<Tokenizer>,
    /// Share of completed requests left out at the beginning and at the end.
    pub warmup_cooldown: (f64, f64),
    /// Dollars per million tokens, in and out.
    pub price_per_million: Option<(f64, f64)>,
}

impl Settings {
    /// The defaults for a target and a model.
    pub fn new(target: Target, model: impl Into<String>) -> Self {
        Self {
            target,
            against: None,
            model: model.into(),
            new_connections: false,
            timeout: Duration::from_secs(600),
            drain: Duration::from_secs(30),
            poll_interval: Duration::from_millis(500),
            cold_after: Duration::from_secs(5),
            threads: None,
            ramp_up: Duration::ZERO,
            stop_on_saturation: false,
            tokenizer: None,
            warmup_cooldown: (0.0, 0.0),
            price_per_million: None,
        }
    }
}

/// One run of an experiment.
pub struct RunSpec {
    pub(crate) scenario: String,
    pub(crate) load: Load,
    pub(crate) batch_size: u32,
    pub(crate) plan: Plan,
    pub(crate) timing: Timing,
    pub(crate) limits: Limits,
    /// Dollars that may still be spent.
    pub(crate) budget: Option<f64>,
}

impl std::fmt::Debug for RunSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RunSpec({}, {})", self.scenario, self.load)
    }
}

impl RunSpec {
    /// Dollars that this run may spend, by the settings' price.
    #[must_use]
    pub fn with_budget(mut self, dollars: Option<f64>) -> Self {
        self.budget = dollars;
        self
    }

    /// How requests come about.
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// When it ends by itself.
    pub fn limits(&self) -> Limits {
        self.limits
    }
}

/// Hears of a run while it goes on.
pub trait Observer {
    /// A request is over.
    fn record(&mut self, record: &RequestRecord);

    /// A tenth of a second has gone by.
    fn tick(&mut self, progress: &Progress);
}

impl Observer for () {
    fn record(&mut self, _record: &RequestRecord) {}
    fn tick(&mut self, _progress: &Progress) {}
}

/// Where a run stands.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Since the load began.
    pub elapsed: Duration,
    /// Requests under way.
    pub in_flight: usize,
    /// Requests that are over.
    pub done: u64,
    /// Whether no more are started.
    pub stopping: bool,
}

/// How often somebody pressed Ctrl-C: once ends a run in good order, twice at once.
pub type Interrupts = watch::Receiver<u32>;

/// Makes runs.
#[derive(Debug)]
pub struct Runner {
    settings: Settings,
    interrupts: Interrupts,
}

impl Runner {
    /// A runner that ends its runs when `interrupts` rises above 0.
    pub fn new(settings: Settings, interrupts: Interrupts) -> Self {
        Self {
            settings,
            interrupts,
        }
    }

    /// What it runs with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether somebody wants it all to end.
    pub fn is_interrupted(&self) -> bool {
        *self.interrupts.borrow() > 0
    }

    /// Makes a run. What goes wrong with requests is in its records; a run that ends early has the
    /// records so far.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] when the system gives no threads.
    pub async fn run(&self, spec: RunSpec, observer: &mut dyn Observer) -> Result<Run, Error> {
        let settings = &self.settings;
        let clock = Clock::start();
        let started_at = SystemTime::now();
        let cpu_before = cpu_seconds();
        let watch = Watch::start(clock).map_err(Error::Start)?;
        let mut run = Run {
            scenario: spec.scenario,
            load: spec.load,
            batch_size: spec.batch_size,
            started_at_ms: millis(started_at),
            ..Run::default()
        };
        let concurrency = match &run.load {
            Load::Concurrency { concurrency } => Some(*concurrency),
            Load::Rate {
                max_concurrency, ..
            }
            | Load::Trace {
                max_concurrency, ..
            } => *max_concurrency,
        };
        let threads = self.threads(&run.load);
        run.client.threads = threads;
        let ahead = AHEAD + 2 * concurrency.unwrap_or(64) as usize;
        let (feed, mut source) =
            Feed::start(spec.plan, spec.timing, ahead, clock).map_err(Error::Start)?;
        let gate = Gate::new();
        let (events, mut told) = mpsc::unbounded_channel();
        let origins = [Some(&settings.target), settings.against.as_ref()];
        let tls = origins.iter().flatten().any(|target| target.origin().tls);
        let work = Work {
            clock,
            targets: (settings.target.clone(), settings.against.clone()),
            model: settings.model.clone(),
            connector: Connector::new(clock, tls)?,
            new_connections: settings.new_connections,
            timeout: settings.timeout,
            poll_interval: settings.poll_interval,
            cold_after: settings.cold_after,
            tokenizer: settings.tokenizer.clone(),
            feed: Arc::clone(&feed),
            gate: Arc::clone(&gate),
            events,
        };
        for number in 0..threads {
            let slots = match concurrency {
                Some(all) => Slots::Fixed {
                    first: number,
                    step: threads,
                    all,
                    ramp: settings.ramp_up / all.max(1),
                },
                None => Slots::Unbounded {
                    ahead: (run.load.expected_in_flight() / threads as usize).max(1),
                },
            };
            work.clone().start(number, slots).map_err(Error::Start)?;
        }
        drop(work);

        let mut stalls = Vec::new();
        let mut ready = 0;
        let mut early = self.interrupts.clone();
        while ready < threads {
            tokio::select! {
                event = told.recv() => match event {
                    Some(Event::Stalled(_)) => {}
                    Some(_) | None => ready += 1,
                },
                _ = early.wait_for(|count| *count > 0) => break,
            }
        }
        let begun = clock.now();
        source.go(begun);
        gate.go.send_replace(true);
        let mut course = Course {
            settings,
            limits: spec.limits,
            budget: spec.budget,
            interrupts: self.interrupts.clone(),
            gate: &gate,
            source: &mut source,
            spent: 0.0,
            hopeless: 0,
            end: None,
            hopeless_after: FEWEST_HOPELESS.max(2 * concurrency.unwrap_or(0) as usize),
            open: !matches!(run.load, Load::Concurrency { .. }),
        };
        run.end = course
            .follow(&mut told, observer, &mut run.records, &mut stalls)
            .await;
        drop(source);

        run.client.starved = feed.starved.load(Ordering::Relaxed);
        run.client.cpu_seconds = cpu_before
            .zip(cpu_seconds())
            .map(|(before, after)| after - before);
        let (late, more) = watch.stop();
        run.client.timer_late_ns = late;
        stalls.extend(more);
        stalls.retain(|stall| stall.start_ns + stall.length_ns > begun);
        run.client.stalls = mark(stalls, &mut run.records);
        conclude(&mut run, settings.warmup_cooldown);
        Ok(run)
    }

    /// One thread keeps up with thousands of chunks a second; more than half of the processors
    /// would take from a server on the same machine.
    fn threads(&self, load: &Load) -> u32 {
        let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        let wanted = match load {
            Load::Concurrency { concurrency } => concurrency.div_ceil(SLOTS_OF_A_THREAD),
            _ => 1,
        };
        let slots = match load.concurrency() {
            0 => u32::MAX,
            slots => slots,
        };
        let chosen = self.settings.threads;
        let chosen = chosen.unwrap_or_else(|| wanted.min(cpus / 2));
        chosen.clamp(1, slots.max(1))
    }
}

/// A run under way: when it stops, and why.
struct Course<'a> {
    settings: &'a Settings,
    limits: Limits,
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

impl Course<'_> {
    async fn follow(
        &mut self,
        told: &mut mpsc::UnboundedReceiver<Event>,
        observer: &mut dyn Observer,
        records: &mut Vec<RequestRecord>,
        stalls: &mut Vec<crate::experiment::Stall>,
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
                    observer.tick(&Progress {
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
        Instant::now() + self.settings.drain
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
    match interrupts.wait_for(|count| *count > pressed).await {
        Ok(count) => *count,
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

/// Puts records in order, tells which of them count, and when the run and they took place.
fn conclude(run: &mut Run, (warmup, cooldown): (f64, f64)) {
    let mut completed: Vec<_> = run.records.iter().filter(|record| record.is_ok()).collect();
    completed.sort_by_key(|record| record.end_ns);
    let share = |share: f64| (completed.len() as f64 * share) as usize;
    let at = |index: usize| completed.get(index).map(|record| record.end_ns);
    // Whatever ended before the first request that counts is warm-up, failures too.
    let from = match share(warmup) {
        0 => None,
        count => at(count),
    };
    let to = match share(cooldown) {
        0 => None,
        count => at(completed.len() - count),
    };
    for record in &mut run.records {
        if from.is_some_and(|from| record.end_ns < from) {
            record.phase = Phase::Warmup;
        } else if to.is_some_and(|to| record.end_ns >= to) {
            record.phase = Phase::Cooldown;
        }
    }
    run.records
        .sort_by_key(|record| (record.id, record.side != crate::record::Side::Subject));
    let span = |records: &mut dyn Iterator<Item = &RequestRecord>| {
        records.fold((u64::MAX, 0), |(from, to): (u64, u64), record| {
            (from.min(record.dispatched_ns), to.max(record.end_ns))
        })
    };
    let sound = |(from, to): (u64, u64)| if from <= to { (from, to) } else { (0, 0) };
    run.active_ns = sound(span(&mut run.records.iter()));
    let counted = |record: &&RequestRecord| record.phase == Phase::Measured;
    let measured = sound(span(&mut run.records.iter().filter(counted)));
    // With a warm-up left out, time begins when its last request ends: those that count and were
    // dispatched earlier ran beside it, and the output of that time is not counted either.
    let last_of = |phase: Phase| {
        let ends = run.records.iter().filter(|record| record.phase == phase);
        ends.map(|record| record.end_ns).max()
    };
    run.measured_ns = (last_of(Phase::Warmup).unwrap_or(measured.0), measured.1);
    let health: &mut ClientHealth = &mut run.client;
    health.threads = health.threads.max(1);
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Load {
    /// Connections worth opening ahead of an open loop: a second's arrivals, within reason.
    fn expected_in_flight(&self) -> usize {
        match self {
            Self::Rate { per_second, .. } => per_second.clamp(1.0, MOST_AHEAD) as usize,
            _ => MOST_AHEAD as usize / 8,
        }
    }
}

const AHEAD: usize = 16;

const MOST_AHEAD: f64 = 256.0;

const SLOTS_OF_A_THREAD: u32 = 256;

/// Requests that have to fail before a run is given up.
const FEWEST_HOPELESS: usize = 20;

const TICK: Duration = Duration::from_millis(100);

const TICKS_OF_A_SECOND: u32 = 10;

/// Longer than anybody waits, and still within the reach of timers.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn run(ends: &[(u64, u64)]) -> Run {
        let records = (0..)
            .zip(ends)
            .map(|(id, &(dispatched_ns, end_ns))| RequestRecord {
                id,
                dispatched_ns,
                end_ns,
                ..RequestRecord::default()
            });
        Run {
            records: records.collect(),
            ..Run::default()
        }
    }

    #[test]
    fn warm_up_is_left_out_of_the_time_as_well() {
        let mut run = run(&[(0, 10), (0, 20), (10, 30), (20, 40)]);
        conclude(&mut run, (0.25, 0.25));
        let phases: Vec<_> = run.records.iter().map(|record| record.phase).collect();
        use Phase::{Cooldown, Measured, Warmup};
        assert_eq!(phases, [Warmup, Measured, Measured, Cooldown]);
        assert_eq!(run.active_ns, (0, 40));
        assert_eq!(run.measured_ns, (10, 30));
    }

    #[test]
    fn nothing_measured_is_nothing_and_no_panic() {
        let mut run = run(&[]);
        conclude(&mut run, (0.5, 0.4));
        assert_eq!((run.active_ns, run.measured_ns), ((0, 0), (0, 0)));
    }
}
