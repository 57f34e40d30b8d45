use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};

use crate::client::Connector;
use crate::clock::Clock;
use crate::error::Error;
use crate::experiment::{ClientHealth, Run, RunLimits};
use crate::load::Load;
use crate::mix::{self, Mix};
use crate::record::{Phase, RequestRecord};
use crate::run::controller::Controller;
use crate::run::feed::{Feed, Timing};
use crate::run::health::{TimerMonitor, cpu_seconds, mark};
use crate::run::prepare::Plan;
use crate::run::scrape::Scraper;
use crate::run::settings::RunSettings;
use crate::run::worker::{RunState, Slots, WorkerConfig, WorkerEvent};

/// One run of an experiment.
pub struct RunSpec {
    pub(crate) scenario: String,
    pub(crate) load: Load,
    pub(crate) batch_size: u32,
    pub(crate) plan: Plan,
    pub(crate) timing: Timing,
    pub(crate) limits: RunLimits,
    /// The remaining budget in dollars.
    pub(crate) budget: Option<f64>,
    /// The approximate size of a request in bytes: of the first, or of the largest of a trace.
    pub(crate) job_bytes: usize,
}

impl std::fmt::Debug for RunSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RunSpec({}, {})", self.scenario, self.load)
    }
}

impl RunSpec {
    /// The dollars that this run may cost, by the price in the settings.
    #[must_use]
    pub fn with_budget(mut self, dollars: Option<f64>) -> Self {
        self.budget = dollars;
        self
    }

    /// The load.
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// The limits.
    pub fn limits(&self) -> RunLimits {
        self.limits
    }
}

/// Receives the progress of a run.
pub trait Observer: Send {
    /// Called when a request ends.
    fn record(&mut self, record: &RequestRecord);

    /// Called every tenth of a second.
    fn tick(&mut self, progress: &RunProgress);
}

impl Observer for () {
    fn record(&mut self, _record: &RequestRecord) {}
    fn tick(&mut self, _progress: &RunProgress) {}
}

/// The progress of a run.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default)]
pub struct RunProgress {
    /// Time since the load began.
    pub elapsed: Duration,
    /// Running requests.
    pub in_flight: usize,
    /// Requests that have ended.
    pub done: u64,
    /// Whether no more requests start.
    pub stopping: bool,
}

/// The number of interrupts: the first ends a run after a drain, the second at once.
pub type Interrupts = watch::Receiver<u32>;

/// Executes runs.
#[derive(Debug)]
pub struct Runner {
    settings: RunSettings,
    interrupts: Interrupts,
}

impl Runner {
    /// Creates a runner. It ends its runs when `interrupts` rises above 0.
    pub fn new(settings: RunSettings, interrupts: Interrupts) -> Self {
        Self {
            settings,
            interrupts,
        }
    }

    /// The settings.
    pub fn settings(&self) -> &RunSettings {
        &self.settings
    }

    /// Whether the user interrupted.
    pub fn is_interrupted(&self) -> bool {
        *self.interrupts.borrow() > 0
    }

    /// Executes a run. Failures of requests are in its records; a run that ends early has the
    /// records so far.
    ///
    /// # Errors
    ///
    /// [`Error::Start`] if the system cannot start threads.
    pub async fn run(&self, spec: RunSpec, observer: &mut dyn Observer) -> Result<Run, Error> {
        let settings = &self.settings;
        let clock = Clock::start();
        let started_at = SystemTime::now();
        let cpu_before = cpu_seconds();
        let watch = TimerMonitor::start(clock).map_err(Error::Start)?;
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
        let enough = AHEAD + 2 * concurrency.unwrap_or(64) as usize;
        let room = MAX_BYTES_AHEAD / spec.job_bytes.max(1);
        let room = room.min(MAX_JOBS_AHEAD.max(enough));
        let enough = enough.min(room);
        let writers = processors().saturating_sub(threads).clamp(1, MAX_WRITERS);
        let (feed, mut source, preparation) =
            Feed::start(spec.plan, spec.timing, room, writers as usize, clock)
                .map_err(Error::Start)?;
        let state = RunState::new();
        let (events, mut received) = mpsc::unbounded_channel();
        let mut targets = vec![(settings.target.clone(), settings.weight)];
        targets.extend(settings.others.clone());
        let all = targets.iter().map(|(target, _)| target);
        let tls = all
            .chain(&settings.against)
            .any(|target| target.origin().tls);
        let work = WorkerConfig {
            clock,
            targets: (Mix::new(targets, mix::TARGETS), settings.against.clone()),
            model: settings.model.clone(),
            connector: Connector::new(clock, tls.then_some(&settings.tls))?,
            new_connections: settings.new_connections,
            timeout: settings.timeout,
            poll_interval: settings.poll_interval,
            cold_after: settings.cold_after,
            rate_limit_retries: settings.rate_limit_retries,
            tokenizer: settings.tokenizer.clone(),
            feed: Arc::clone(&feed),
            state: Arc::clone(&state),
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
                event = received.recv() => match event {
                    Some(WorkerEvent::Stalled(_)) => {}
                    Some(_) | None => ready += 1,
                },
                _ = early.wait_for(|count| *count > 0) => break,
            }
        }
        tokio::select! {
            () = preparation.clone().ready(enough as u64) => {}
            _ = early.wait_for(|count| *count > 0) => {}
        }
        let scraper = Scraper::start(
            &settings.metrics,
            &settings.tls,
            settings.metrics_interval,
            clock,
        )?;
        let begun = clock.now();
        feed.start_load(&source, begun);
        state.go.send_replace(true);
        let controller = Controller::new(
            settings,
            &run.load,
            spec.limits,
            spec.budget,
            self.interrupts.clone(),
            &state,
            &mut source,
        );
        run.end = controller
            .follow(&mut received, observer, &mut run.records, &mut stalls)
            .await;
        drop(source);

        (run.server, run.client.unread_metrics) = scraper.map(Scraper::stop).unwrap_or_default();
        run.client.starved = feed.starved.load(Ordering::Relaxed);
        run.client.lost_slot_ns = feed.lost_ns.load(Ordering::Relaxed);
        (run.client.skipped_prompts, run.client.prompt_error) = preparation.failures();
        run.client.cpu_seconds = cpu_before
            .zip(cpu_seconds())
            .map(|(before, after)| after - before);
        let (late, more) = watch.stop();
        run.client.timer_late_ns = late;
        stalls.extend(more);
        stalls.retain(|stall| stall.start_ns + stall.length_ns > begun);
        run.client.stalls = mark(stalls, &mut run.records);
        set_phases(&mut run, settings.warmup_cooldown);
        Ok(run)
    }

    /// One thread handles thousands of chunks a second. More than half of the processors would slow
    /// down a server on the same machine.
    fn threads(&self, load: &Load) -> u32 {
        let cpus = processors();
        let needed = match load {
            Load::Concurrency { concurrency } => concurrency.div_ceil(SLOTS_PER_THREAD),
            _ => 1,
        };
        let slots = match load.concurrency() {
            0 => u32::MAX,
            slots => slots,
        };
        let configured = self.settings.threads;
        let configured = configured.unwrap_or_else(|| needed.min(cpus / 2));
        configured.clamp(1, slots.max(1))
    }
}

fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}

/// Sorts records, sets their phases, and computes the times of the run and of its measured part.
fn set_phases(run: &mut Run, (warmup, cooldown): (f64, f64)) {
    let mut completed: Vec<_> = run.records.iter().filter(|record| record.is_ok()).collect();
    completed.sort_by_key(|record| record.end_ns);
    let share = |share: f64| (completed.len() as f64 * share) as usize;
    let at = |index: usize| completed.get(index).map(|record| record.end_ns);
    // Everything that ended before the first measured request is warm-up, including failures.
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
    // With a warm-up, the measured time starts when its last request ends. Measured requests that
    // started earlier overlapped the warm-up; their output from that time is not counted either.
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
    /// The connections to open ahead of an open loop: a second's arrivals, within limits.
    fn expected_in_flight(&self) -> usize {
        match self {
            Self::Rate { per_second, .. } => per_second.clamp(1.0, MAX_CONNECTIONS_AHEAD) as usize,
            _ => MAX_CONNECTIONS_AHEAD as usize / 8,
        }
    }
}

/// The requests that must be prepared before a run, besides two per slot.
const AHEAD: usize = 16;

/// The most threads that prepare requests.
const MAX_WRITERS: u32 = 8;

/// The most requests that are prepared and wait to be sent. More would delay the start of a run, and
/// short ones are written faster than any server answers them.
const MAX_JOBS_AHEAD: usize = 20_000;

/// The most bytes of requests that are prepared and wait to be sent.
const MAX_BYTES_AHEAD: usize = 512 << 20;

const MAX_CONNECTIONS_AHEAD: f64 = 256.0;

const SLOTS_PER_THREAD: u32 = 256;

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
    fn warm_up_is_excluded_from_the_measured_time() {
        let mut run = run(&[(0, 10), (0, 20), (10, 30), (20, 40)]);
        set_phases(&mut run, (0.25, 0.25));
        let phases: Vec<_> = run.records.iter().map(|record| record.phase).collect();
        use Phase::{Cooldown, Measured, Warmup};
        assert_eq!(phases, [Warmup, Measured, Measured, Cooldown]);
        assert_eq!(run.active_ns, (0, 40));
        assert_eq!(run.measured_ns, (10, 30));
    }

    #[test]
    fn a_run_without_measured_requests_has_no_measured_time() {
        let mut run = run(&[]);
        set_phases(&mut run, (0.5, 0.4));
        assert_eq!((run.active_ns, run.measured_ns), ((0, 0), (0, 0)));
    }
}
