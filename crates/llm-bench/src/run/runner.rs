use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};

use crate::client::Connector;
use crate::clock::Clock;
use crate::error::Error;
use crate::experiment::{ClientHealth, Load, Run, RunLimits};
use crate::record::{Phase, RequestRecord};
use crate::run::course::Course;
use crate::run::feed::{Feed, Plan, Timing};
use crate::run::health::{Watch, cpu_seconds, mark};
use crate::run::settings::RunSettings;
use crate::run::worker::{Event, Gate, Slots, Work};

/// One run of an experiment.
pub struct RunSpec {
    pub(crate) scenario: String,
    pub(crate) load: Load,
    pub(crate) batch_size: u32,
    pub(crate) plan: Plan,
    pub(crate) timing: Timing,
    pub(crate) limits: RunLimits,
    /// Dollars that may still be spent.
    pub(crate) budget: Option<f64>,
    /// The size of a request, about: of the first, or of the largest of a trace.
    pub(crate) job_bytes: usize,
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
    pub fn limits(&self) -> RunLimits {
        self.limits
    }
}

/// Hears of a run while it goes on.
pub trait Observer: Send {
    /// A request is over.
    fn record(&mut self, record: &RequestRecord);

    /// A tenth of a second has gone by.
    fn tick(&mut self, progress: &RunProgress);
}

impl Observer for () {
    fn record(&mut self, _record: &RequestRecord) {}
    fn tick(&mut self, _progress: &RunProgress) {}
}

/// Where a run stands.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default)]
pub struct RunProgress {
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
    settings: RunSettings,
    interrupts: Interrupts,
}

impl Runner {
    /// A runner that ends its runs when `interrupts` rises above 0.
    pub fn new(settings: RunSettings, interrupts: Interrupts) -> Self {
        Self {
            settings,
            interrupts,
        }
    }

    /// What it runs with.
    pub fn settings(&self) -> &RunSettings {
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
        let most = MOST_BYTES_AHEAD / spec.job_bytes.max(1);
        let (feed, mut source) =
            Feed::start(spec.plan, spec.timing, ahead, most, clock).map_err(Error::Start)?;
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
        let course = Course::new(
            settings,
            &run.load,
            spec.limits,
            spec.budget,
            self.interrupts.clone(),
            &gate,
            &mut source,
        );
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

/// Bytes of requests that are made and wait to be sent.
const MOST_BYTES_AHEAD: usize = 512 << 20;

const MOST_AHEAD: f64 = 256.0;

const SLOTS_OF_A_THREAD: u32 = 256;

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
